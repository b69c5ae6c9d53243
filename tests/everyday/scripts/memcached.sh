# memcached
# needs: memcached
memcached -u root -l 127.0.0.1 -p 11299 &
for i in $(seq 100); do { exec 3<>/dev/tcp/127.0.0.1/11299; } 2>/dev/null && break; sleep 0.1; done
printf 'set a 0 0 1\r\n5\r\nget a\r\nincr a 1\r\nget none\r\nquit\r\n' >&3
cat <&3
kill %1
wait %1
echo $?
