# yes into head
yes | head -c 1000000 | sha256sum
echo ${PIPESTATUS[@]}
