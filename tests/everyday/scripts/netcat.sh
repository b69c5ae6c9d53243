# a server and a client that poll files, too
# needs: nc
nc -l -p 14556 >got &
sleep 0.5
echo hello | nc -N 127.0.0.1 14556
wait
cat got
