# bubblewrap: a tree of one's own
# needs: bwrap
mkdir work
bwrap --ro-bind / / --tmpfs /tmp --proc /proc --dev /dev --bind work /mnt --chdir /mnt --die-with-parent bash -c '
ls /tmp; ls /dev; ls /dev/pts; readlink /dev/ptmx; pwd; echo in >made; echo $?; touch /no 2>/dev/null; echo $?
cat /proc/self/comm; cd /proc/sys/kernel; pwd -P; exec 3</dev/zero 4</proc/uptime; readlink /proc/self/fd/3 /proc/self/fd/4
cut -d" " -f5 /proc/self/mountinfo | grep -c "^/proc$"; script -qc tty /dev/null </dev/null'
cat work/made
unshare -m sh -c 'mkdir p; mount --bind /proc p; cd p/sys/fs; pwd -P | sed "s/.*\/p/p/"; exec 3<../../uptime; readlink /proc/$$/fd/3 | sed "s/.*\/p/p/"; readlink /proc/$$/exe'
