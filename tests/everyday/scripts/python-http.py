# python http
import http.server
import threading
import urllib.request


class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(self.path.encode())

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(data[::-1])

    def log_message(self, *a):
        pass


s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
u = "http://127.0.0.1:%d" % s.server_address[1]
for n in range(5):
    print(urllib.request.urlopen(f"{u}/page/{n}").read())
r = urllib.request.urlopen(urllib.request.Request(u, b"abc" * 10000))
print(r.status, len(r.read()))
s.shutdown()
s.server_close()
