// node: a server and many clients, fetch, worker threads, children, a forked one, watching a directory.
// needs: node
const http = require('http'), cp = require('child_process'), fs = require('fs'), {Worker, isMainThread} = require('worker_threads'), net = require('net'), os = require('os');
if (!isMainThread) { require('worker_threads').parentPort.postMessage('from worker'); return; }
const s = http.createServer((q, r) => { let b = ''; q.on('data', d => b += d); q.on('end', () => r.end(`${q.method} ${q.url} ${b}`)); }).listen(0, '127.0.0.1', async () => {
  const port = s.address().port;
  const get = (p, body) => new Promise((y, n) => { const r = http.request({port, path: p, method: body ? 'POST' : 'GET', host: '127.0.0.1'}, m => { let b = ''; m.on('data', d => b += d); m.on('end', () => y(m.statusCode + ' ' + b)); }); r.on('error', n); r.end(body); });
  console.log((await Promise.all([...Array(20).keys()].map(i => get('/' + i, i % 2 ? 'x'.repeat(i) : undefined)))).join('\n'));
  const f = await fetch(`http://127.0.0.1:${port}/f`); console.log(await f.text());
  s.close(); s.closeAllConnections && s.closeAllConnections();
  const w = new Worker(__filename); console.log(await new Promise(y => w.on('message', y))); await w.terminate();
  console.log(cp.execSync('echo sync').toString()); const c = cp.spawn('cat'); let o = ''; c.stdout.on('data', d => o += d); c.stdin.end('async'); console.log(await new Promise(y => c.on('close', code => y([code, o]))));
  const k = cp.fork(__filename, ['child']) ; console.log(await new Promise(y => k.on('message', y))); k.kill(); console.log(await new Promise(y => k.on('exit', (a, b) => y([a, b]))));
  fs.writeFileSync('a', 'b'); console.log(await fs.promises.readFile('a', 'utf8')); fs.watch('.', (e, n) => { console.log(e, n); process.exit(4); }); setTimeout(() => fs.writeFileSync('c', 'd'), 50);
});
if (process.argv[2] == 'child') { s.close(); process.send('from child'); setInterval(() => 0, 1000); }
