# ps and kill
# needs: ps pgrep
sleep 50 &
first=$!
sleep 60 &
until [ "$(cat /proc/$first/comm /proc/$!/comm | tr '\n' ' ')" = 'sleep sleep ' ]; do :; done # each has begun its program
ps -o comm= --ppid $$ >children
sort children
kill %1 %2
wait
echo $?
ps -o comm= -p $$
pgrep -P $$ sleep
echo $?
[ -d /proc/$$ ] && tr '\0' ' ' </proc/$$/cmdline | cut -c 1-7
readlink /proc/self/exe
ls /proc/self/fd | wc -l
cat /proc/$$/comm
grep -c . /proc/self/maps >/dev/null && echo maps
grep -E '^(Name|State|Threads)' /proc/self/status
