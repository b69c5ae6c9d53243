# A script in PHP: sockets, a child, pipes, generators, hashes.
# needs: php
cat > main.php <<'END'
<?php
echo PHP_VERSION, "\n"; $a = range(1, 1000); echo array_sum($a), "\n";
file_put_contents("f.txt", str_repeat("line\n", 100)); echo count(file("f.txt")), "\n";
$s = stream_socket_server("tcp://127.0.0.1:0", $e, $m); $n = stream_socket_get_name($s, false);
if (function_exists("pcntl_fork") && ($p = pcntl_fork()) == 0) { $c = stream_socket_client("tcp://$n"); fwrite($c, "hello\n"); echo "got ", fgets($c); exit(5); }
$c = stream_socket_accept($s); fwrite($c, strtoupper(fgets($c))); fclose($c); pcntl_wait($st); echo pcntl_wexitstatus($st), "\n";
$pr = proc_open(["cat"], [["pipe","r"],["pipe","w"],["pipe","w"]], $pipes); fwrite($pipes[0], "through"); fclose($pipes[0]); echo stream_get_contents($pipes[1]), "\n"; echo proc_close($pr), "\n";
echo shell_exec("echo shell; exit 2"), json_encode(["a"=>[1,2,["b"=>null]]]), "\n"; preg_match('/(\d+)-(\d+)/', 'x 12-34', $mm); print_r($mm);
usort($a, fn($x, $y) => $y <=> $x); echo $a[0], "\n"; function g() { for ($i = 0; $i < 3; $i++) yield $i => $i * $i; } foreach (g() as $k => $v) echo "$k=$v "; echo "\n";
try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo $e->getMessage(), "\n"; } echo md5("x"), hash("sha256", "y"), "\n"; $x = gzcompress(str_repeat("a", 10000)); echo strlen(gzuncompress($x)), "\n"; exit(3);
END
php main.php
echo $?
