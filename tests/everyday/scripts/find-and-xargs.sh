# find and xargs
mkdir -p a/{b,c}/{d,e}
touch a/{b,c}/{d,e}/{1,2,3}
find a -type f | sort
find a -name 1 -exec sh -c 'echo "$@"' x {} + | tr ' ' '\n' | sort
find a -name 2 -delete
find a -type f -print0 | xargs -0 -n 2 -P 3 sh -c 'cat "$@"; echo $#' x | sort
find a -type d -empty
seq 100000 | xargs | wc
(ulimit -s 100; /bin/echo $(seq 10000) | wc -c)
seq 30000 | xargs -s 400000 sh -c 'echo $#'
