# files and modes
umask 027
touch a
mkdir d
ln -s a l
cp -a a b
mv b d/
chmod u+s,g=r a
stat -c '%A %h %s %n' a d l
rm -r d
ls
ln a h
[ a -ef h ] && echo same
truncate -s 1M big
du --apparent-size big
dd if=big bs=4096 count=3 2>/dev/null | wc -c; cp --sparse=always big c; cmp big c; install -m 600 a i; stat -c %a i; readlink -f l; rmdir nowhere; echo $?; touch -d @1000 a; stat -c %Y a; flock a echo locked
