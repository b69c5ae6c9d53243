# tar and cpio with what is sparse, linked and special
# needs: tar cpio zip unzip ar
mkdir t
truncate -s 3M t/sp
printf x | dd of=t/sp bs=1 seek=2000000 conv=notrunc 2>/dev/null
echo a > t/a
ln t/a t/b
ln -s a t/l
mkfifo t/p
chmod 4751 t/a
tar --xattrs -Scf x.tar t
tar tvf x.tar | awk '{print $1,$3,$6,$7,$8}' | sort
mkdir o
tar --xattrs -xpf x.tar -C o
stat -c '%n %a %h %s %F' o/t/* | sort
du -k o/t/sp | awk '{print ($1<200)}'
cmp t/sp o/t/sp && echo eq
find t -print0 | sort -z | cpio -0 -o -H newc 2>/dev/null > x.cpio
mkdir c
(cd c; cpio -id --no-absolute-filenames 2>/dev/null < ../x.cpio)
find c -printf '%P %m %n %y\n' | sort
tar cf - t | tar xf - -C c --strip-components=1
tar -g snap -cf i1.tar t
echo z > t/z
tar -g snap -cf i2.tar t
tar tf i2.tar
tar --zstd -cf x.zst t 2>&1
ar rc l.a t/a t/z
ar t l.a
zip -qr z.zip t/a t/l
unzip -l z.zip | tail -1 | awk '{print $2}'
