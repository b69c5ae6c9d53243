# ssh-keygen
# needs: ssh-keygen
ssh-keygen -q -t ed25519 -N '' -C c -f k && ssh-keygen -y -f k | cut -d' ' -f1 && echo x >m && ssh-keygen -q -Y sign -f k -n n m 2>/dev/null
ls
