package conformance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/procpool/procpool/executor"
)

// surroundingCases are about the standard streams and the environment, which are the user's.
func surroundingCases() []Case {
	const s = "surroundings"
	write := []string{"write", "pid"}
	return []Case{
		{Section: s, Name: "lines", uses: write, run: outputLines, Promise: "What is written to standard output and error comes line by line."},
		{Section: s, Name: "pieces of a line", uses: write, run: outputPieces, Promise: "A line that is written in pieces, over several calls, comes as one."},
		{Section: s, Name: "junk", uses: write, run: outputJunk, Promise: "Bytes of all values, and what looks like a handshake, are output like any other; the worker lives."},
		{Section: s, Name: "long line", uses: write, run: outputLong, Promise: "A line of 300,000 characters comes whole, in pieces."},
		{Section: s, Name: "flood", uses: write, run: outputFlood, Promise: "16 MiB on each stream hold up neither the call nor the worker."},
		{Section: s, Name: "standard input", uses: []string{"read_stdin", "pid"}, run: inputEmpty, Promise: "Standard input is empty for tasks, and reading it does not end the worker."},
		{Section: s, Name: "standard input of children", uses: []string{"child", "pid"}, run: inputOfChildren, Promise: "What a task starts has the null device as standard input, and does not inherit the host's pipe. Linux only."},
		{Section: s, Name: "environment", uses: []string{"environment"}, run: environment, Promise: "A task sees the environment that the pool was given, and of the handshake's variables PROCPOOL_DEPTH alone."},
	}
}

// print has the worker write.
func (p *pool) print(to, data string, times int) {
	call[any](p, "write", args{"to": to, "data": []byte(data), "times": times})
}

func outputLines(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, to := range []string{"stdout", "stderr"} {
		p.print(to, "first of "+to+"\nsecond of "+to+" žluť\n", 1)
		p.printed("first of "+to+"\n", "write was called for two lines to "+to)
		p.printed("second of "+to+" žluť\n", "write was called for two lines to "+to)
	}
	p.sameWorker(pid, "write was called")
}

func outputPieces(t *trial) {
	p := t.pool()
	pid := p.pid()
	p.print("stdout", "12", 3)
	p.pid()
	p.print("stdout", "345 end\n", 1)
	p.printed("121212345 end\n", "write was called for parts of a line")
	p.sameWorker(pid, "write was called")
}

func outputJunk(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, junk := range []string{"\n1|1|unix|/nowhere/to/be/found|grpc\n", "1|1|tcp|127.0.0.1:1|grpc|AAAA", "\x00\x01\xff\xfe\n\n\r\n", "\x1b[31m%s%n"} {
		p.print("stdout", junk, 1)
		p.print("stderr", junk, 1)
		p.sameWorker(pid, fmt.Sprintf("write was called with %q", junk))
	}
	p.print("stdout", "\nthe end\n", 1)
	p.printed("1|1|unix|/nowhere/to/be/found|grpc\n", "write was called with what looks like a handshake")
	p.printed("the end\n", "write was called with junk, then with \"the end\"")
}

func outputLong(t *trial) {
	p := t.pool()
	pid := p.pid()
	const n = 300_000
	p.print("stdout", strings.Repeat("x", 1000), n/1000)
	p.print("stdout", "\nthe end\n", 1)
	p.printed("the end\n", "write was called for a long line, then with \"the end\"")
	expect(t, fmt.Sprintf("write was called for a line of %d x: how many came", n), strings.Count(p.out.String(), "x"), n)
	p.sameWorker(pid, "write was called")
}

func outputFlood(t *trial) {
	p := t.pool()
	pid := p.pid()
	line := strings.Repeat("y", 65_535) + "\n"
	p.print("stdout", line, 256)
	p.print("stderr", line, 256)
	p.sameWorker(pid, "write was called for 16 MiB to each stream")
}

func inputEmpty(t *trial) {
	p := t.pool()
	pid := p.pid()
	for range 2 {
		expect(t, "read_stdin was called: the bytes that it has read", call[int](p, "read_stdin", nil), 0)
	}
	p.sameWorker(pid, "read_stdin was called")
}

func inputOfChildren(t *trial) {
	if runtime.GOOS != "linux" {
		t.skipf("only Linux shows what another process has open")
	}
	inherited := slices.Collect(maps.Values(t.openFiles(os.Getpid())))
	p := t.pool()
	worker, child := p.pid(), call[int](p, "child", nil)
	const done = "child was called: what the process that it has started has open"
	all := t.openFiles(child)
	expect(t, done+", as standard input", all["0"], "/dev/null")
	outputs := t.openFiles(worker)
	for number, file := range all {
		if strings.HasPrefix(file, "pipe:") && file != outputs["1"] && file != outputs["2"] && !slices.Contains(inherited, file) {
			t.failf("%s: expected no pipe of the host's but for output, got descriptor %s, %s", done, number, file)
		}
	}
}

// openFiles returns the names of what a process has open, by descriptor.
func (t *trial) openFiles(pid int) map[string]string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	t.must(err)
	all := make(map[string]string)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			all[e.Name()] = target // else it was closed meanwhile
		}
	}
	return all
}

func environment(t *trial) {
	given := map[string]string{"CONFORMANCE_A": "a=b c", "CONFORMANCE_EMPTY": "", "CONFORMANCE_LINES": "one\ntwo", "CONFORMANCE_TEXT": "žluť"}
	p := t.pool(func(c *executor.Config) {
		c.Env = slices.Clone(c.Env)
		for name, value := range given {
			c.Env = append(c.Env, name+"="+value)
		}
		c.ThreadsPerWorker = 1
	})
	got := call[map[string]string](p, "environment", nil)
	for name, value := range given {
		if got[name] != value {
			t.failf("%s was set to %q in the pool's environment: expected that tasks see it, got %q", name, value, got[name])
		}
	}
	for name := range got {
		if (strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "PROCPOOL_")) && name != "PROCPOOL_DEPTH" {
			t.failf("environment was called: expected none of the handshake's variables but PROCPOOL_DEPTH, got %s=%q", name, got[name])
		}
	}
	if got["PROCPOOL_DEPTH"] == "" {
		t.failf("environment was called: expected PROCPOOL_DEPTH, it is not set")
	}
	for _, name := range []string{"GOMAXPROCS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		if got[name] == "" {
			t.failf("ThreadsPerWorker is 1, and environment was called: expected that %s is set, it is not", name)
		}
	}
}
