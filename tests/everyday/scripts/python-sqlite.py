# python sqlite
import os
import sqlite3

for mode in "delete", "wal":
    c = sqlite3.connect("t.db")
    c.execute("pragma journal_mode=" + mode)
    c.execute("create table if not exists t(a, b)")
    c.executemany("insert into t values(?, ?)", ((i, str(i)) for i in range(1000)))
    c.commit()
    if not os.fork():
        d = sqlite3.connect("t.db")
        d.execute("insert into t values(-1, 'child')")
        d.commit()
        d.close()
        os._exit(0)
    print(os.wait()[1], c.execute("select count(*), sum(a) from t").fetchall())
    c.close()
print(sorted(os.listdir(".")))
