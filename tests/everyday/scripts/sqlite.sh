# sqlite
# needs: sqlite3
sqlite3 t.db 'create table t(a); insert into t values(1),(2); select sum(a) from t'
for i in 1 2 3 4; do sqlite3 -cmd '.timeout 5000' t.db 'insert into t values(10)' & done
wait
sqlite3 t.db 'select count(*), sum(a) from t' .schema .dump
