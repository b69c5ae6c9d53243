# dropbear: keys, a server in the foreground, a client that is not let in.
# needs: dropbear dropbearkey dbclient
dropbearkey -t ed25519 -f host > /dev/null 2>&1; dropbearkey -t ed25519 -f client > /dev/null 2>&1; echo $?
dropbear -F -E -s -r host -p 127.0.0.1:18722 -P pid 2> log & server=$!
for i in $(seq 100); do [ -s pid ] && break; sleep .1; done
dbclient -y -i client -p 18722 root@127.0.0.1 echo hi 2>&1 | grep -c 'No auth methods'
for i in $(seq 600); do grep -q 'before auth' log && break; sleep .1; done
kill $server; wait $server; echo $?
sed 's/^\[[0-9]*\] [A-Z][a-z]* [0-9]* [0-9:]* //; s/:[0-9]*/:N/g' log
