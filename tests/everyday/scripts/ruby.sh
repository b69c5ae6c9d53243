# A script in Ruby: threads, processes, sockets, signals, timeouts, fibers, a stack without an end.
# needs: ruby
cat > main.rb <<'END'
require 'socket'; require 'tempfile'; require 'open3'; require 'json'; require 'digest'; require 'timeout'
puts RUBY_VERSION
q = Queue.new; ts = 5.times.map { |i| Thread.new { q << i * i } }; ts.each(&:join); puts 5.times.map { q.pop }.sort.inspect
r, w = IO.pipe; pid = fork { r.close; w.puts "child #{Process.ppid == 0}"; exit! 4 }; w.close; puts r.read; Process.wait pid; puts $?.exitstatus
s = TCPServer.new('127.0.0.1', 0); t = Thread.new { c = s.accept; c.puts c.gets.upcase; c.close }; c = TCPSocket.new('127.0.0.1', s.addr[1]); c.puts 'hello'; puts c.read; t.join
o, e, st = Open3.capture3('sh', '-c', 'cat; echo err >&2; exit 3', stdin_data: 'in'); p o, e, st.exitstatus
puts `echo backtick`; p system('false'); Tempfile.create('x') { |f| f.write 'abc'; f.flush; puts File.size(f.path) }
trap('USR1') { puts 'usr1' }; Process.kill 'USR1', $$; sleep 0.05
begin; Timeout.timeout(0.05) { sleep 10 }; rescue Timeout::Error => e; puts e.class; end
f = Fiber.new { 3.times { |i| Fiber.yield i }; :done }; 4.times { p f.resume }
puts JSON.generate({a: [1, nil, 2.5]}), Digest::SHA256.hexdigest('x'); ObjectSpace.garbage_collect; a = (1..100000).map(&:to_s); GC.start; puts a.size
p Dir.children('.').sort; File.write('f', "1\n2\n"); p File.readlines('f', chomp: true); m = Mutex.new; n = 0; 4.times.map { Thread.new { 100.times { m.synchronize { n += 1 } } } }.each(&:join); puts n
u1, u2 = UNIXSocket.pair; u1.send_io $stdout; io = u2.recv_io; io.puts 'through a passed descriptor'; io.flush
def deep(n) n == 0 ? 0 : 1 + deep(n - 1) end; begin; deep(1_000_000); rescue SystemStackError => e; puts e.class; end
at_exit { puts 'end' }; exit 6
END
ruby main.rb
echo $?
