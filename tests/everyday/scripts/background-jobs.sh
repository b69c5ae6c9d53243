# background jobs
for i in 1 2 3 4 5; do (sleep 0.0$i; echo $i >f$i) & done
wait
cat f?
