# A program in Rust, built and run: threads, channels, locks, sockets, children, a panic, a deep stack.
# needs: rustc
cat > main.rs <<'END'
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;
use std::time::Duration;

fn main() {
    let (tx, rx) = mpsc::channel();
    for i in 0..20u64 {
        let tx = tx.clone();
        thread::spawn(move || tx.send((0..=1000 * i).sum::<u64>()).unwrap());
    }
    drop(tx);
    println!("sum {}", rx.iter().sum::<u64>());
    let map = Arc::new(RwLock::new(HashMap::new()));
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let (map, barrier) = (map.clone(), barrier.clone());
            thread::Builder::new().name(format!("worker{i}")).spawn(move || {
                barrier.wait();
                map.write().unwrap().insert(i, thread::current().name().unwrap().to_string());
            }).unwrap()
        })
        .collect();
    for t in threads { t.join().unwrap(); }
    let mut names: Vec<_> = map.read().unwrap().values().cloned().collect();
    names.sort();
    println!("{names:?}");
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let other = pair.clone();
    let t = thread::spawn(move || { for _ in 0..100 { *other.0.lock().unwrap() += 1; other.1.notify_one(); } });
    let mut n = pair.0.lock().unwrap();
    while *n < 100 { n = pair.1.wait(n).unwrap(); }
    println!("condvar {n}");
    drop(n);
    t.join().unwrap();
    let (_g, r) = pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(5)).unwrap();
    println!("timed out {}", r.timed_out());
    drop(_g);
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = l.local_addr().unwrap();
    let server = thread::spawn(move || {
        for s in l.incoming().take(5) {
            let mut s = s.unwrap();
            let mut line = String::new();
            BufReader::new(s.try_clone().unwrap()).read_line(&mut line).unwrap();
            s.write_all(line.to_uppercase().as_bytes()).unwrap();
        }
    });
    for i in 0..5 {
        let mut s = TcpStream::connect(addr).unwrap();
        s.set_nodelay(true).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        writeln!(s, "hello {i}").unwrap();
        let mut got = String::new();
        s.read_to_string(&mut got).unwrap();
        print!("{got}");
    }
    server.join().unwrap();
    let a = UdpSocket::bind("127.0.0.1:0").unwrap();
    let b = UdpSocket::bind("[::1]:0").unwrap();
    println!("{:?} {:?}", a.local_addr().unwrap().ip(), b.local_addr().unwrap().ip());
    let (mut x, mut y) = UnixStream::pair().unwrap();
    x.write_all(b"unix").unwrap(); drop(x);
    let mut s = String::new(); y.read_to_string(&mut s).unwrap(); println!("{s}");
    let out = Command::new("sh").args(["-c", "echo child $VAR; exit 4"]).env("VAR", "value").output().unwrap();
    println!("{:?} {:?}", String::from_utf8_lossy(&out.stdout), out.status);
    let mut c = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    c.stdin.take().unwrap().write_all(b"through cat\n").unwrap();
    let out = c.wait_with_output().unwrap();
    println!("{:?} {:?}", String::from_utf8_lossy(&out.stdout), out.status.code());
    let mut c = Command::new("sleep").arg("100").spawn().unwrap();
    println!("{:?}", c.try_wait().unwrap());
    c.kill().unwrap();
    println!("{:?}", c.wait().unwrap());
    println!("{}", Command::new("/nonexistent").spawn().unwrap_err());
    let r = thread::spawn(|| -> i32 { panic!("in a thread") }).join();
    println!("{}", r.is_err());
    println!("{}", thread::available_parallelism().is_ok());
    thread::scope(|s| { for i in 0..3 { s.spawn(move || thread::sleep(Duration::from_millis(i))); } });
    fn deep(n: u64) -> u64 { let a = [n; 100]; if n == 0 { 0 } else { 1 + deep(n - 1) + a[5] - n } }
    println!("{}", deep(5000));
    std::process::exit(7);
}
END
rustc --edition 2021 -o main main.rs && ./main 2> errors
echo $?
sed 's/ ([0-9]*)//' errors
