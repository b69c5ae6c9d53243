# vim in batch
# needs: vim
seq 5 >f
vim -u NONE -es -c '%s/3/three/' -c 'g/1/d' -c wq f
cat f
