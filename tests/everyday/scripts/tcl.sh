# tcl: sockets, pipes, files, events
# needs: tclsh
tclsh <<'E'
proc acc {s h p} { puts $s "hello"
close $s }
set s [socket -server acc -myaddr 127.0.0.1 0]
set p [lindex [fconfigure $s -sockname] 2]
set c [socket -async 127.0.0.1 $p]
fileevent $c readable {set d [gets $c]}
vwait d
puts $d
close $c
set f [open "|cat" r+]
fconfigure $f -buffering line
puts $f x
puts [gets $f]
close $f
puts [exec echo a | tr a b]
catch {exec sh -c {echo err >&2
exit 3}} m o
puts $m
puts [lindex [dict get $o -errorcode] 2]
file mkdir d
file link -symbolic l d
puts [file type l]
puts [lsort [glob *]]
puts [file attributes d -permissions]
set t [after 100 {set z 1}]
vwait z
puts $z
puts [clock format 0 -gmt 1]
set ch [open f w+]
chan configure $ch -encoding utf-8
puts -nonewline $ch "\u00e4"
seek $ch 0
puts [string length [read $ch]]
close $ch
puts [file size f]
if {[catch {open /nonexistent}]} {puts $errorCode}
set pid [exec sleep 5 &]
exec kill $pid
puts ok
interp create i
puts [i eval {expr 1+1}]
exit 4
E
echo $?
