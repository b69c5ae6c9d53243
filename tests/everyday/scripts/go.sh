# A program in Go, built and run: goroutines, HTTP over the loopback, children, signals, tickers, the collector.
# needs: go
export GOCACHE=${TMPDIR:-/tmp}/axptr-everyday-go GOPATH=$PWD/path GO111MODULE=off GOFLAGS=-p=2  # the library is compiled once
cat > main.go <<'END'
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	var wg sync.WaitGroup
	sums := make(chan int, 100)
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			s := 0
			for k := 0; k <= 1000*i; k++ {
				s += k
			}
			sums <- s
		}(i)
	}
	wg.Wait()
	close(sums)
	total := 0
	for s := range sums {
		total += s
	}
	fmt.Println("sum", total)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.URL.Path) })
	go http.Serve(l, mux)
	got := make([]string, 20)
	for i := range got {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			r, err := http.Get(fmt.Sprintf("http://%s/%d", l.Addr(), i))
			if err != nil {
				got[i] = err.Error()
				return
			}
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			got[i] = r.Status + " " + string(b)
		}(i)
	}
	wg.Wait()
	fmt.Println(strings.Join(got, "\n"))

	out, err := exec.Command("sh", "-c", "echo from a child; exit 3").CombinedOutput()
	fmt.Printf("%q %v\n", out, err)
	cat := exec.Command("cat")
	in, _ := cat.StdinPipe()
	o, _ := cat.StdoutPipe()
	cat.Start()
	go func() { io.WriteString(in, "line one\nline two\n"); in.Close() }()
	sc := bufio.NewScanner(o)
	for sc.Scan() {
		fmt.Println("cat:", sc.Text())
	}
	fmt.Println(cat.Wait())

	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-c)

	t := time.NewTicker(5 * time.Millisecond)
	for i := 0; i < 3; i++ {
		<-t.C
	}
	t.Stop()
	select {
	case <-time.After(10 * time.Millisecond):
		fmt.Println("timeout")
	}
	m := map[string]int{}
	var mu sync.Mutex
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			runtime.LockOSThread()
			mu.Lock()
			m[fmt.Sprint("thread", i)] = i
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	keys := []string{}
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	fmt.Println(keys)
	runtime.GC()
	ss := make([][]byte, 0)
	for i := 0; i < 2000; i++ {
		ss = append(ss, make([]byte, 10000))
	}
	runtime.GC()
	fmt.Println(len(ss))
	d, _ := os.MkdirTemp("", "x")
	os.WriteFile(d+"/f", []byte("data"), 0644)
	e, _ := os.ReadDir(d)
	fmt.Println(len(e), e[0].Name())
	os.RemoveAll(d)
	defer func() { fmt.Println("recovered", recover()) }()
	var p *int
	fmt.Println(*p)
}
END
go build -o main main.go && ./main
echo $?
