# openssl
# needs: openssl
openssl genrsa -out k 2048 2>/dev/null && openssl req -x509 -key k -subj /CN=x -days 1 -out c 2>/dev/null
openssl s_server -accept 127.0.0.1:44330 -key k -cert c -quiet -www -naccept 1 >/dev/null 2>&1 &
sleep 1.5
printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:44330 -quiet >answer 2>/dev/null
head -1 answer
wait $!
echo $?
echo data | openssl enc -aes-256-cbc -pbkdf2 -pass pass:x | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x
seq 10 | openssl dgst -sha256
