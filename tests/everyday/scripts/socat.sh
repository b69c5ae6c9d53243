# socat
# needs: socat
socat -u TCP-LISTEN:18097,reuseaddr,bind=127.0.0.1 CREATE:got &
for i in $(seq 40); do echo sent | socat - TCP:127.0.0.1:18097 2>/dev/null && break; sleep 0.05; done
wait
cat got
socat UNIX-LISTEN:s EXEC:'tr a-z A-Z' &
sleep 0.3
echo words | socat -t 2 - UNIX-CONNECT:s
