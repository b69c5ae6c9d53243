# strace
# needs: strace
strace -f -o t sh -c 'echo traced; true | cat'
grep -c 'execve(' t
strace -c -o c true
head -1 c
