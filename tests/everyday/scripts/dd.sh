# dd with odd flags
dd if=/dev/zero of=a bs=1k count=4 2>&1 | sed 's/,.*//'
dd if=/dev/urandom bs=512 count=3 iflag=fullblock of=b 2>/dev/null
dd if=b of=c bs=100 skip=1 seek=2 conv=notrunc,fsync status=none
stat -c %s c
dd if=a of=d conv=sparse status=none
stat -c '%s %b' d
echo hello | dd conv=ucase,swab status=none
dd if=b bs=512 count=1 oflag=append conv=notrunc of=c status=none
stat -c %s c
cp a e
dd if=a of=e conv=excl 2>&1 | tail -1
dd if=/nonexist 2>&1
echo abcdef | dd bs=1 skip=2 count=3 status=none
echo
dd if=a iflag=skip_bytes,count_bytes skip=10 count=20 of=f status=none
stat -c %s f
(dd if=/dev/zero bs=1 status=none | head -c 3 | wc -c)
dd if=/dev/full of=g bs=10 count=1 status=none
stat -c %s g
dd if=a of=/dev/full bs=10 count=1 2>&1 | head -1
seq 10 | dd cbs=4 conv=block status=none | od -c | head -3
