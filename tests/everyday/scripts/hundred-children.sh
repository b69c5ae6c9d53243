# hundred children
for i in $(seq 100); do /bin/true || echo failed; done
echo done
