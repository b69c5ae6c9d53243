# job control
set -m
sleep 100 & kill -STOP %1; sleep 0.05; kill -CONT %1
kill -KILL %1; wait %1 2>/dev/null; echo $?
(sleep 0.05; exit 5) & wait $!; echo $?
sleep 0.2 & sleep 0.1 & wait -n; echo $?; wait; jobs | wc -l
