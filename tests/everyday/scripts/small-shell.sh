# limits, redirections and traps of a small shell
# shells: dash
trap 'echo exit' EXIT; set -e; (set +e; false; echo $?); x=$(exit 3) || echo $?; f() { local a=1; return 4; }; f || echo $?; umask 027; : > u; stat -c %a u; ulimit -f 1; set +e; (yes | head -c 5000 > big); echo $?; stat -c %s big; ulimit -f unlimited 2>/dev/null; (ulimit -v 50000; python3 -c 'x=bytearray(10**9)') >/dev/null 2>&1; echo $?; (ulimit -n 5; cat 3</dev/null 4</dev/null 5</dev/null) 2>&1 | sed 's/.*: //'; sh -c 'kill -SEGV $$'; echo $?; cat <<A | (read a; read b; echo $b $a)
one
two
A
exec 3<<B
here
B
cat <&3
{ echo o; echo e >&2; } 2>&1 >/dev/null | cat
wait
getopts ab: o -b x
echo $o $OPTARG
printf '%s\n' "$(printf 'a\0b' | tr '\0' -)"
eval 'echo ev'
times | wc -l
read -r v < /dev/null
echo $?
test -t 0
echo $?
[ /bin/sh -nt /nonexist ]
echo $?
echo *
set -- a b
shift
echo $#
case abc in a*) echo m;
esac
