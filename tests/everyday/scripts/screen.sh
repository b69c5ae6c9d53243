# screen gives its terminals to who uses them
# needs: screen
export SCREENDIR=$PWD/sockets
mkdir -m 700 sockets
screen -dmS s sh -c 'echo in screen >out; tty | cut -c1-9 >>out; sleep 1' && for i in $(seq 80); do [ -s out ] && break; sleep 0.05; done
sleep 0.2
cat out
screen -ls | grep -c Detached
screen -S s -X quit
echo end
