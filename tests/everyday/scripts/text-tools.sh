# text tools
# needs: bc column
seq 100 | awk '{ s += $1; a[$1 % 3]++ } END { print s, a[0]; "echo from awk" | getline x; print x; print "b\na" | "sort"; close("sort"); system("exit 3") }'
seq 30 | split -l 10 - part
wc -l part*
paste <(seq 3) <(seq 4 6) | column -t
seq 5 | sed -n '2{p;q}'
printf 'b 1\na 2\n' | sort | join - <(echo a 3)
echo 'x=1;y=2;x+y' | bc
comm -12 <(seq 5) <(seq 3 8)
seq 3 | tee a b >c
md5sum a b c
printf '%s\n' 3 1 2 | sort -n | nl
date -u -d @86400 +%F
echo hello | fold -w 2
expr 3 \* 4
factor 1001
seq 10 | shuf --random-source=/bin/ls | wc -l
timeout 0.1 sleep 5
echo $?
nice -n 5 nice
env -i A=1 env
nohup echo x 2>/dev/null
mktemp -d -p . XXXX | wc -c
stdbuf -oL echo y
sort --parallel=2 -S 1M <(seq 5000) | md5sum
