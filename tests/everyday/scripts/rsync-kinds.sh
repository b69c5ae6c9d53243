# rsync of all kinds of files
# needs: rsync
mkdir -p a/b
echo 1 > a/1
ln -s 1 a/l
ln a/1 a/hard
mkfifo a/p
truncate -s 1M a/sparse
touch -d '2001-01-02 03:04:05' a/1
chmod 640 a/1
rsync -aHS --itemize-changes a/ c/ | sort
rsync -a --delete -n -v a/ c/ | grep -v -e bytes -e speedup
echo 2 >> a/1
rsync -ac --stats a/ c/ | grep -E 'transferred: |Number of files'
diff -r --no-dereference a/b c/b && stat -c '%n %a %F %h %s' c/* | sort
rm c/p
rsync -a --exclude='*.o' --list-only a/ | awk '{print $1,$2,$5}'
