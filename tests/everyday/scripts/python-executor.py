# python executor
import concurrent.futures as f
import math

if __name__ == "__main__":
    for E in f.ThreadPoolExecutor, f.ProcessPoolExecutor:
        with E(3) as e:
            print(list(e.map(math.factorial, range(12))), e.submit(divmod, 7, 2).result())
