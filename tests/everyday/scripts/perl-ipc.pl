# perl: what System V has for processes, and pipes
use strict;
use IPC::SysV qw(IPC_PRIVATE IPC_CREAT IPC_RMID);
use Socket;
use POSIX qw(:sys_wait_h mkfifo);
use Fcntl qw(:flock);
$| = 1;

my $queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
if (!fork) { msgsnd($queue, pack("l! a*", 7, "hello"), 0); exit 3 }
wait;
print $? >> 8, "\n";
my $message;
msgrcv($queue, $message, 100, 0, 0);
my ($type, $text) = unpack("l! a*", $message);
print "$type $text\n";
msgctl($queue, IPC_RMID, 0);

my $segment = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
shmwrite($segment, "abc", 0, 3);
my $bytes;
if (!fork) { shmread($segment, $bytes, 0, 3); shmwrite($segment, uc $bytes, 0, 3); POSIX::_exit(0) }
wait;
shmread($segment, $bytes, 0, 3);
print "$bytes\n";
shmctl($segment, IPC_RMID, 0);

my $set = semget(IPC_PRIVATE, 2, 0600 | IPC_CREAT);
if (!fork) { semop($set, pack("s!3", 0, 2, 0)); exit }
semop($set, pack("s!3", 0, -2, 0));
wait;
print semctl($set, 0, 12, 0), "\n";
semctl($set, 0, IPC_RMID, 0);

socketpair(my $one, my $other, AF_UNIX, SOCK_STREAM, PF_UNSPEC);
if (!fork) { close $one; print $other "from the child\n"; exit }
close $other;
print scalar <$one>;
wait;

mkfifo("fifo", 0600);
if (!fork) { open my $end, ">", "fifo"; print $end "through the fifo\n"; exit }
open my $end, "<", "fifo";
print <$end>;
wait;
print -p "fifo" ? "a pipe\n" : "no pipe\n";

eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; select undef, undef, undef, 60 };
print $@;
{
    my $got = 0;
    local $SIG{CHLD} = sub { while (waitpid(-1, WNOHANG) > 0) { print "reaped ", $? >> 8, "\n"; $got = 1 } };
    if (!fork) { exit 5 }
    select undef, undef, undef, 0.1 until $got;
}
open my $pipe, "-|", "echo", "from a pipe" or die;
print <$pipe>;
close $pipe;
print `echo by a shell`;
open my $lock, ">", "lock";
print flock($lock, LOCK_EX | LOCK_NB) ? 1 : 0, "\n";
pipe my $r, my $w;
syswrite $w, "z" x 10;
sysread $r, my $some, 4;
print "$some\n";
exec "echo", "executed";
