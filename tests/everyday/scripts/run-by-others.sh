# programs that run others
nohup sh -c 'kill -HUP $$; echo survived' 2>&1 | tail -1
setsid -w sh -c 'ps -o sid=,pid= -p $$ | awk "{print (\$1==\$2)}"'
timeout 0.2 sleep 5
echo $?
timeout -s KILL 0.2 sleep 5
echo $?
timeout --preserve-status 0.2 sleep 5
echo $?
timeout 5 false
echo $?
timeout 1 nonexistent 2>/dev/null
echo $?
nice -n 5 nice
env -i A=1 env
env -u HOME sh -c 'echo ${HOME-none}'
env --block-signal=INT sh -c 'kill -INT $$; echo ok'
stdbuf -oL echo x
setarch -R uname -m
prlimit --nofile=10 sh -c 'ulimit -n'
