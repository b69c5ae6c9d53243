# ps and kill
# needs: ps pgrep
sleep 50 &
sleep 60 &
ps -o comm= --ppid $$ | sort | head -3
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
