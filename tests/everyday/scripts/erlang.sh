# Erlang: processes, a socket, a program
# needs: erl
erl -noshell -eval 'P = self(), [spawn(fun() -> P ! {N, N*N} end) || N <- lists:seq(1,100)], io:format("~p~n", [lists:sum([receive {N,S} -> S end || N <- lists:seq(1,100)])]), {ok,L}=gen_tcp:listen(0,[binary,{active,false},{reuseaddr,true}]),{ok,Po}=inet:port(L), spawn(fun()->{ok,S}=gen_tcp:connect("localhost",Po,[binary]),gen_tcp:send(S,"hey"),gen_tcp:close(S) end),{ok,A}=gen_tcp:accept(L),io:format("~p~n",[gen_tcp:recv(A,0)]),io:format("~s",[os:cmd("echo hi")]),halt(3).'
