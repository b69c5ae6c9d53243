# coprocess and process substitution
coproc tr a-z A-Z
echo hello >&${COPROC[1]}; exec {COPROC[1]}>&-
cat <&${COPROC[0]}; wait
diff <(seq 3) <(seq 2 4); echo $?
tee >(wc -c >n) <<<"some words"; sleep 0.1; cat n
mapfile -t lines < <(seq 4); echo ${#lines[@]} ${lines[2]}
