# Perl's own ways to processes, signals, locks, sockets, users and threads
# needs: perl
perl -e 'use Socket; use POSIX qw(:sys_wait_h :fcntl_h); socketpair(my $a,my $b,AF_UNIX,SOCK_STREAM,0) or die; if(!fork){print $b "hi from child\n"; close $b; exit 3} close $b; print <$a>; wait; print $?>>8,"\n"; '
perl -e '$SIG{ALRM}=sub{die "alarm\n"}; alarm 1; eval{select undef,undef,undef,5}; print $@; print "ok\n"'
perl -MFile::Find -e 'mkdir "x"; mkdir "x/y"; open F,">x/y/z"; print F "1"; close F; find(sub{print "$File::Find::name\n"},"x")'
perl -MIO::Select -MIO::Handle -e 'pipe(my $r,my $w); my $s=IO::Select->new($r); print scalar($s->can_read(0)),"|\n"; syswrite $w,"abc"; print scalar(my @l=$s->can_read(0)),"\n"; sysread $r,my $b,10; print "$b\n"'
perl -MFcntl=:flock -e 'open F,">lock"; print flock(F,LOCK_EX|LOCK_NB),"\n"; if(!fork){open G,">lock"; print flock(G,LOCK_EX|LOCK_NB)?"got":"no: $!","\n"; exit} wait; '
perl -MPOSIX -e 'print join(",",(POSIX::uname())[0,4]),"\n"; print POSIX::ttyname(0)//"none","\n"; print POSIX::sysconf(_SC_PAGESIZE),"\n"; print POSIX::getcwd() =~ m{/d$} ? "cwd\n":"no\n"; my @t=POSIX::times(); print scalar(@t),"\n"; printf "%d\n", POSIX::access("/etc/passwd",4)'
perl -MSys::Hostname -e 'print hostname,"\n"' | wc -l
perl -e '@a=stat("/etc/passwd"); print "$a[2] $a[3] $a[4] $a[5] $a[7] $a[11] $a[12]\n"; @b=lstat("/dev/null"); print "$b[2] $b[6]\n"'
perl -MIPC::Open3 -e 'my $p=open3(my $in,my $out,undef,"cat"); print $in "text\n"; close $in; print <$out>; waitpid $p,0; print $?,"\n"'
perl -MTime::HiRes=ualarm,usleep -e '$SIG{ALRM}=sub{$n++}; ualarm(10000,10000); while($n<3){usleep(1000000)} ualarm 0; print "n>=3\n"'
perl -MSocket -e 'print inet_ntoa(inet_aton("localhost")),"\n"; print join(" ",(getpwnam("root"))[0,2,3,7,8]),"\n"; print join(" ",getgrgid(0)),"\n"; print join(" ",getservbyname("http","tcp")),"\n"; print join(" ",(getprotobyname("tcp"))[0,1,2]),"\n"'
perl -Mthreads -Mthreads::shared -e 'my $x:shared=0; my @t=map{threads->create(sub{for(1..100){lock $x;$x++}})}1..3; $_->join for @t; print "$x\n"'
perl -e 'dbmopen(%h,"db",0644)&&print "dbm\n"; $h{a}=1;dbmclose %h; print -e "db.pag"||-e "db"?"yes":"no","\n"; print -s "/etc/hostname" > 0,"\n"; print join(" ",map{-e $_?1:0} glob("/etc/pass*")),"\n"'
perl -e 'open(my $p,"-|","sh","-c","echo out; exit 5"); print <$p>; close $p; print $?>>8,"\n"; kill 0,$$ and print "alive\n"; print kill(0,999999)," $!\n"; $SIG{USR1}=sub{print "usr1\n"}; kill USR1=>$$; print `echo back`; system("exit 7"); print $?>>8,"\n"; system("kill -9 \$\$"); print $?&127,"\n"'
