# python threads
import queue
import threading

q, out = queue.Queue(), []


def work():
    while (n := q.get()) is not None:
        out.append(sum(range(n)))


threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[q.put(n) for n in range(200)]
[q.put(None) for _ in threads]
[t.join() for t in threads]
print(sorted(out) == [sum(range(n)) for n in range(200)], threading.active_count())
lock, cond, n = threading.Lock(), threading.Condition(), 0


def add():
    global n
    for _ in range(1000):
        with lock:
            n += 1


threads = [threading.Thread(target=add) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(n)
b = threading.Barrier(3, timeout=10)
s = threading.Semaphore(2)
e = threading.Event()


def meet():
    b.wait()
    s.acquire()
    s.release()
    e.wait(10)


threads = [threading.Thread(target=meet) for _ in range(3)]
[t.start() for t in threads]
e.set()
[t.join() for t in threads]
t = threading.Timer(0.01, lambda: print("timer"))
t.start()
t.join()
print(e.wait(0.01), q.empty())
