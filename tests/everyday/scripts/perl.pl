# perl
use strict; use IPC::Open2; use IO::Socket; use POSIX ":sys_wait_h";
pipe(my $r, my $w); my $pid = fork;
if (!$pid) { close $r; print $w "child says $_\n" for 1..3; exit 5 }
close $w; print while <$r>; waitpid($pid, 0); print $? >> 8, "\n";
print `echo backticks; exit 2`, $? >> 8, "\n"; system("sh", "-c", "kill -9 \$\$"); print $? & 127, "\n";
my $p = open2(my $out, my $in, "sort"); print $in "b\na\n"; close $in; print <$out>; waitpid $p, 0;
open(my $k, "-|", "seq", "3") or die; print sort { $b <=> $a } <$k>; close $k;
$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 5;
$SIG{CHLD} = sub { while ((my $c = waitpid(-1, WNOHANG)) > 0) { print "reaped\n" } }; my $c = fork; exit 0 unless $c; sleep 3; print "end\n";
