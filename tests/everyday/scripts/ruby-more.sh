# ruby: sockets, processes, threads, signals
# needs: ruby
cat > r.rb <<'E'
require 'socket'
require 'open3'
require 'timeout'
require 'tempfile'
require 'io/console'
require 'etc'
s=TCPServer.new('127.0.0.1',0)
t=Thread.new{c=s.accept
c.puts c.gets.upcase
c.close}
c=TCPSocket.new('127.0.0.1',s.addr[1])
c.puts 'hi'
puts c.gets
t.join
o,st=Open3.capture2e('sh','-c','echo a;echo b >&2;exit 3')
print o
p st.exitstatus
r,w=IO.pipe
pid=fork{r.close
w.write Process.ppid==0
exit!(2)}
w.close
p r.read
Process.wait pid
p $?.exitstatus
begin
Timeout.timeout(0.1){sleep 5}
rescue Timeout::Error
puts 'to'
end
trap('USR1'){puts 'usr'}
Process.kill('USR1',$$)
sleep 0.1
p Etc.getpwuid(0).name
UNIXSocket.pair.then{|a,b| a.send_io($stdout)
b.recv_io.puts 'passed'}
File.write('f','x')
p File.flock rescue p :e
File.open('f'){|f| p f.flock(File::LOCK_EX|File::LOCK_NB)}
p IO.select([r],nil,nil,0) rescue p $!.class
m=Mutex.new
n=0
5.times.map{Thread.new{100.times{m.synchronize{n+=1}}}}.each(&:join)
p n
p Process.clock_gettime(Process::CLOCK_MONOTONIC).class
p Dir.glob('*').sort
p `echo x`.chomp
IO.popen('cat','r+'){|i| i.write 'q'
i.close_write
p i.read}
p Process.spawn('true').class
Process.waitall
rd,wr=Socket.pair(:UNIX,:DGRAM)
wr.send 'd',0
p rd.recvfrom(10)[0]
ractor=(Ractor.new{1+2}.take rescue 0)
p ractor
at_exit{puts 'bye'}
exit 6
E
ruby -W0 r.rb
echo $?
