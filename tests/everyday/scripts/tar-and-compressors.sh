# tar and compressors
# needs: zstd xz bzip2
mkdir d
seq 20000 >d/a
cp /bin/ls d/b
ln d/a d/c
ln -s a d/l
for z in '' -z -J --zstd; do tar c $z -f t d && mkdir x && tar x -f t -C x && diff -r d x/d && echo ok $z; rm -rf x; done
xz -T2 -k d/b && xz -dc d/b.xz | cmp - d/b && zstd -q -T2 d/b -o z && zstd -qdc z | cmp - d/b && gzip -t d/b.gz 2>/dev/null
bzip2 -k d/a && bzip2 -dc d/a.bz2 | md5sum
echo $?
