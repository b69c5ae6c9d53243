# redis
# needs: redis-server redis-cli
redis-server --port 16399 --save '' --daemonize no >/dev/null &
for i in $(seq 100); do redis-cli -p 16399 ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
redis-cli -p 16399 set k v
redis-cli -p 16399 get k
redis-cli -p 16399 incr n
redis-cli -p 16399 lpush l 1 2 3
redis-cli -p 16399 lrange l 0 -1
redis-benchmark -p 16399 -n 200 -q -t set >/dev/null && echo benched
redis-cli -p 16399 shutdown nosave
wait
echo $?
