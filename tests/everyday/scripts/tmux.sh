# tmux
# needs: tmux
export TMUX_TMPDIR=$PWD
unset TMUX
tmux -f /dev/null new-session -d -s s -x 80 -y 24 'echo in tmux >out; sleep 0.2' && for i in $(seq 40); do [ -s out ] && break; sleep 0.05; done
cat out
tmux kill-server 2>/dev/null
echo end
