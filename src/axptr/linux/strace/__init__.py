"""What system calls look like to whoever watches them: names, arguments decoded, lines as strace writes them, JSON.

watch (who is told what)  ->  lines (strace's text), records (JSON lines), counts (a table)
arguments (which decoder an argument has)  ->  decode, signaltext, sockets, multiplexed  ->  constants
filters (what is wanted)  ->  sets (%file and the like)
"""
