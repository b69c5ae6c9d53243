# rsync of trees, and from a daemon.
# needs: rsync
mkdir -p src/a/b; for i in 1 2 3 4 5; do seq $((i*1000)) > src/a/f$i; done; ln -s f1 src/a/l; mkfifo src/p; touch -d 2021-02-03 src/a/f*; chmod 640 src/a/f2; touch -d 2020-01-01 src/a/f3; ln src/a/f4 src/a/hard
rsync -a --delete -H src/ dst/; echo $?; diff -r --no-dereference src/a dst/a && echo equal; echo more >> src/a/f5; rm src/a/f1; touch -d 2022-02-02 src/a; rsync -aHi --delete src/ dst/; find dst | sort; rsync -a --checksum --stats src/ dst/ | grep -i 'number of'; stat -c '%a %Y %h' dst/a/f2 dst/a/f3 dst/a/hard
cat > r.conf <<C
port = 0
use chroot = no
uid = root
gid = root
[m]
path = $PWD/src
C
rsync --daemon --config=r.conf --no-detach --port=18730 & p=$!; for i in $(seq 100); do rsync -a --contimeout=5 rsync://127.0.0.1:18730/m/ net/ 2>/dev/null && break; sleep .1; done; diff -r --no-dereference src/a net/a && echo net equal; kill $p; wait $p; echo $?
