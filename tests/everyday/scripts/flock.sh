# locks on files
# needs: flock
exec 9>lock
flock -n 9 && echo got
( exec 8>lock; flock -n 8 || echo busy; flock -w 0.2 8 || echo timed out $? )
flock -u 9
flock -s lock -c 'echo shared'
flock lock sh -c 'flock -n lock true || echo inner busy'
flock --verbose lock true 2>&1 | sed 's/[0-9.]* seconds/N/'
