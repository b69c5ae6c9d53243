# pipeline of ten
seq 1000 | cat | cat | cat | sort -rn | cat | head -20 | tail -3 | rev | tac
echo ${PIPESTATUS[@]}
