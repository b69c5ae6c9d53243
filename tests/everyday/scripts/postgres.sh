# PostgreSQL: a cluster is made and served as another user, with queries, transactions, a benchmark and a dump.
# needs: psql setpriv
export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
command -v initdb > /dev/null || exit 3
home=$(mktemp -d /tmp/axptr-everyday-XXXXXX); trap 'rm -rf $home' EXIT  # the test's own directory is shut to others
chmod 755 $home; cd $home; mkdir pg; chown nobody pg
P="setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=$PWD/pg LC_ALL=C PATH=$PATH"
$P initdb -D pg/data -A trust -U postgres --no-sync > init.log 2>&1; echo initdb $?; tail -3 init.log | head -1
$P pg_ctl -D pg/data -o "-k $PWD/pg -h '' -p 18532" -l pg/log -w start > /dev/null; echo start $?
$P psql -h $PWD/pg -p 18532 -U postgres -At <<S
create table t (id serial primary key, name text, n int);
insert into t (name, n) select 'name' || i, i * i from generate_series(1, 1000) i;
create index on t (n);
select count(*), sum(n), max(name) from t;
begin; delete from t where id > 500; rollback;
select count(*) from t;
update t set name = upper(name) where n < 50 returning name;
explain (costs off) select * from t where n = 49;
select * from generate_series(1, 3) a join t on t.id = a;
select version() like 'PostgreSQL %';
copy (select id from t limit 3) to stdout;
\d t
select 1/0;
vacuum analyze t;
S
echo psql $?
$P pgbench -i -q -h $PWD/pg -p 18532 -U postgres postgres > /dev/null 2>&1; echo $?
$P pgbench -h $PWD/pg -p 18532 -U postgres -c 2 -t 20 postgres 2>/dev/null | grep processed; 
$P pg_dump -h $PWD/pg -p 18532 -U postgres -t t --schema-only postgres | grep -c CREATE
$P pg_ctl -D pg/data -m fast -w stop > /dev/null; echo stop $?
grep -v '^20' pg/log | sed 's/[0-9]\{4,\}/N/g'; grep -c FATAL pg/log
