# what every shell has
# shells: bash dash zsh busybox
f() { local x=$1; [ $x -le 0 ] && { echo done; return 3; }; f $((x - 1)); }
f 5; echo status $?
x=$(echo one; echo two | tr a-z A-Z; exit 4); echo "$x" $?
cat <<END | sed 's/^/> /'
here $((6 * 7)) $(echo nested $(echo deep))
END
(exit 7) || echo subshell $?
trap 'echo trapped TERM' TERM; kill -TERM $$; echo after
trap 'echo leaving' EXIT
( trap - EXIT; echo inner ) &
wait; echo waited $?
for i in 1 2 3; do echo $i; done | while read n; do echo got $n; done
sh -c 'kill -KILL $$'; echo killed $?
sh -c 'exit 300'; echo $?
nowhere_to_be_found 2>/dev/null; echo $?
mkfifo p; (echo through a fifo >p) & cat p; wait
set -- a "b c" d; for w in "$@"; do printf '<%s>' "$w"; done; echo
case abc in a*) echo matched;; esac
exec 3>file; echo to three >&3; exec 3>&-; cat file
! false; echo $?
: | false | true; echo $?
echo "$(seq 1 5 | (while read a; do s=$((s + a)); done; echo $s))"
