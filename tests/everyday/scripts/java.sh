# A program in Java: a pool of threads, sockets, a child, an exception, the collector.
# needs: java
cat > T.java <<J
import java.util.*; import java.util.concurrent.*; import java.net.*; import java.io.*;
public class T { public static void main(String[] a) throws Exception {
 ExecutorService e = Executors.newFixedThreadPool(4); List<Future<Integer>> f = new ArrayList<>(); for (int i = 0; i < 20; i++) { int n = i; f.add(e.submit(() -> n * n)); } int s = 0; for (var x : f) s += x.get(); System.out.println(s); e.shutdown();
 ServerSocket l = new ServerSocket(0); Thread t = new Thread(() -> { try (Socket c = l.accept()) { c.getOutputStream().write("hello\n".getBytes()); } catch (IOException x) {} }); t.start(); try (Socket c = new Socket("127.0.0.1", l.getLocalPort())) { System.out.println(new BufferedReader(new InputStreamReader(c.getInputStream())).readLine()); } t.join();
 Process p = new ProcessBuilder("sh", "-c", "echo child; exit 3").start(); System.out.println(new String(p.getInputStream().readAllBytes()) + p.waitFor());
 System.gc(); try { Object o = null; o.hashCode(); } catch (NullPointerException x) { System.out.println("npe"); } System.exit(5); } }
J
java -Xshare:auto -XX:TieredStopAtLevel=1 T.java
