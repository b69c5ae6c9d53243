# script
# needs: script
script -qec 'tty >/dev/null && echo terminal; stty size' /dev/null </dev/null
