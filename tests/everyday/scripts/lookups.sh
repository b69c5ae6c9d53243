# what may be looked up
getent passwd root nobody
getent group 0
getent hosts localhost | awk '{print $2}'
getent services http | awk '{print $1,$2}'
getent protocols tcp | awk '{print $1,$2}'
getent ahosts 127.0.0.1 | sort | uniq | awk '{print $1,$2}'
getent passwd nosuch
echo $?
locale | head -2
locale -a | head -3
locale charmap
LC_ALL=C.UTF-8 locale charmap
id
id -un
groups
whoami
hostname -s | wc -l
arch
printf 'ä\n' | LC_ALL=C.UTF-8 wc -m
date -u -d @0 +%c
date -d '2020-02-30' 2>&1
TZ=Europe/Berlin date -d @86400 +%T%Z
cal 2 2024 | tail -2 | head -1
iconv -f utf8 -t latin1 <<< ä | od -An -tx1
echo x | iconv -f nosuch 2>&1 | head -1
numfmt --to=iec 12345
factor 1234567
uuidgen | wc -c
mcookie | wc -c
cksum /etc/hostname | wc -w
base32 <<< hi
basenc --z85 -w0 <<< abc
shuf -i 1-5 | sort | tr -d '\n'
tsort <<< 'a b b c'
ptx <<< 'a b' | wc -l
