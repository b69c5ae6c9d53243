# python multiprocessing, in each of the ways to start a process
# needs: python3
cat >m.py <<'END'

import multiprocessing as mp, sys
def square(x): return x * x
def child(q, lock, value):
    with lock: value.value += 1
    q.put(mp.current_process().name)
if __name__ == "__main__":
    mp.set_start_method(sys.argv[1])
    with mp.Pool(3) as pool: print(pool.map(square, range(20)), pool.apply(square, (12,)))
    q, lock, value = mp.Queue(), mp.Lock(), mp.Value("i", 0)
    ps = [mp.Process(target=child, args=(q, lock, value), name=f"p{i}") for i in range(3)]
    [p.start() for p in ps]; print(sorted(q.get() for _ in ps)); [p.join() for p in ps]
    print(value.value, [p.exitcode for p in ps])
    a, b = mp.Pipe(); a.send({"k": [1, 2]}); print(b.recv())

END
for method in fork spawn forkserver; do python3 m.py $method; done
