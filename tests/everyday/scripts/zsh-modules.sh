# zsh with modules, coprocesses and terminals of its own
# shells: zsh
zmodload zsh/net/tcp zsh/zselect zsh/stat zsh/system zsh/datetime zsh/mapfile zsh/zpty 2>/dev/null
setopt extendedglob
print -l a b > f
print ${mapfile[f]}
zstat -H s f
print $s[size]
ztcp -l 0 2>/dev/null
print $?
coproc tr a-z A-Z
print -p hello
coproc exit
read -p x
print $x
zpty t cat
zpty -w t hi
zpty -r t l
print ${l%%$'\r'*}
zpty -d t
print *(N.)
TRAPUSR1() { print usr1 }
kill -USR1 $$
sleep 0.1
repeat 2 print r
print -rn -- $(( 2**10 ))
print
diff =(print 1) =(print 2)
print ${(j:,:)$(print 3 1 2 | xargs -n1 | sort)}
exec {fd}<>f
print -u $fd zz
cat f
sysopen -r -u 7 f
sysread -i 7 -s 2 v
print $v
() { local x=1; print $x }
