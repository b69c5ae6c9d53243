# shared memory, queues and pools of processes that are forked
import multiprocessing
from multiprocessing import shared_memory


def put(name, index, lock):
    segment = shared_memory.SharedMemory(name=name)
    with lock:
        segment.buf[index] = index * 2
    segment.close()


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    lock, segment = fork.Lock(), shared_memory.SharedMemory(create=True, size=100)
    workers = [fork.Process(target=put, args=(segment.name, index, lock)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print([worker.exitcode for worker in workers], bytes(segment.buf[:4]))
    segment.close()
    segment.unlink()
    queue = fork.Queue()
    worker = fork.Process(target=queue.put, args=(b"x" * 300_000,))
    worker.start()
    print(len(queue.get()))
    worker.join()
    with fork.Pool(2) as pool:
        print(pool.map(abs, range(-3, 3)), pool.apply_async(pow, (2, 5)).get())
    shared = shared_memory.ShareableList([1, "a", 2.5])
    print(list(shared))
    shared.shm.close()
    shared.shm.unlink()
