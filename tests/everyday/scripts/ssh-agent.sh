# keys that sign, and an agent that holds them
# needs: ssh-keygen ssh-agent
ssh-keygen -q -t ed25519 -N '' -f k -C me
ssh-keygen -l -f k | awk '{print $1,$3,$4}'
ssh-keygen -y -f k | cmp - <(cut -d' ' -f1-3 k.pub) && echo ok
echo data > f
ssh-keygen -q -Y sign -f k -n file f 2>&1
echo "me $(cut -d' ' -f1,2 k.pub)" > al
ssh-keygen -Y verify -f al -I me -n file -s f.sig < f | sed 's/SHA256:.*/X/'
ssh-keygen -q -t rsa -b 2048 -N pw -f r
ssh-keygen -p -P pw -N '' -f r
stat -c '%a' k k.pub
ssh-agent sh -c 'ssh-add -q k; ssh-add -l | wc -l; ssh-add -D 2>&1'
