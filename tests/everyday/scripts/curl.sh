# curl and wget at a server on the loopback
# needs: curl wget
cat > s.py <<'X'
import http.server,sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version='HTTP/1.1'
    def log_message(s,*a): pass
    def do_GET(s):
        if s.path=='/r': s.send_response(302); s.send_header('Location','/x'); s.send_header('Content-Length','0'); s.end_headers(); return
        b=b'hello '+s.path.encode(); s.send_response(200); s.send_header('Content-Length',str(len(b))); s.end_headers(); s.wfile.write(b)
    def do_POST(s):
        b=s.rfile.read(int(s.headers['Content-Length'])); s.send_response(201); s.send_header('Content-Length',str(len(b))); s.end_headers(); s.wfile.write(b[::-1])
    do_PUT=do_POST
h=http.server.ThreadingHTTPServer(('127.0.0.1',0),H); print(h.server_port,flush=True); h.serve_forever()
X
python3 s.py > port & p=$!
while ! [ -s port ]; do sleep 0.1; done
u=http://127.0.0.1:$(cat port)
curl -s $u/a
echo
curl -sL -w '%{http_code} %{num_redirects}\n' $u/r
curl -s -d abc $u/p
echo
curl -s -T s.py $u/p | wc -c
wget -qO- $u/w
echo
curl -s --retry 0 http://127.0.0.1:1/
echo $?
kill $p
