# nginx
# needs: nginx curl
mkdir -p www logs tmp
echo page >www/index.html
printf 'daemon off; master_process on; worker_processes 1; user root; pid nginx.pid; error_log logs/e; events {} http { access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp; server { listen 127.0.0.1:18099; root www; } }' >n.conf
nginx -p $PWD -c n.conf -e logs/e &
for i in $(seq 50); do curl -sf http://127.0.0.1:18099/ && break; sleep 0.1; done
curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:18099/none
kill -QUIT %1
wait %1
echo $?
