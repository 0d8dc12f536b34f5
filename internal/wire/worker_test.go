//go:build unix

package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// The test binary run again is the worker. roleEnv says which kind; a plain
// worker has none.
const roleEnv = "WIRE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" && !wire.UnderHost() {
		os.Exit(m.Run())
	}
	os.Exit(runRole(role))
}

// runRole is the main function of a child.
func runRole(role string) int {
	switch role {
	case "exits":
		fmt.Println("out: I can't work like this")
		fmt.Fprintln(os.Stderr, "err: no licence found")
		return 7
	case "silent":
		// Never says anything, and leaves when it is told to.
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "closes-stdout":
		_ = os.Stdout.Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "wrong-version":
		fmt.Println("1|99|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/x|grpc")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "wrong-core":
		fmt.Println("2|1|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/x|grpc")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "nobody-listens":
		fmt.Println("1|1|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/x|grpc")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "dies-at-once":
		dies()
	case "dies-in-handshake":
		fmt.Print("1|1|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/x|gr")
		dies()
	case "dies-after-handshake":
		fmt.Println("1|1|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/x|grpc")
		dies()
	case "mute-server":
		return muteServer()
	case "foreign-server":
		return foreignServer()
	case "chatty":
		fmt.Println("loading the model")
		fmt.Print("no newline here: ")
	case "host":
		return hostThatDies()
	case "bare-stream":
		return runBareStream(os.Getenv(hostDirEnv))
	}
	if behaviour, ok := strings.CutPrefix(role, fakePrefix); ok {
		return runFake(behaviour)
	}
	if err := wire.ServeWorker(context.Background(), wire.ServeOptions{Tasks: tasks}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if role == "lingers" {
		select {}
	}
	return 0
}

// errKnown keeps its identity across the boundary.
var errKnown = errors.New("a known failure")

// The tasks of the worker.
var (
	square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	echo   = procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw))
	fails  = procpool.Define("fails", func(_ context.Context, text string) (int, error) {
		if text == "known" {
			return 0, fmt.Errorf("wrapped: %w", errKnown)
		}
		return 0, errors.New(text)
	}, procpool.Errors(map[string]error{"known": errKnown}))
	panics = procpool.Define("panics", func(_ context.Context, text string) (int, error) { panic(text) })
	// oddPanics panics for odd numbers.
	oddPanics = procpool.Define("odd_panics", func(_ context.Context, n int) (int, error) {
		if n%2 == 1 {
			panic("odd")
		}
		return n, nil
	})
	goexit = procpool.Define("goexit", func(context.Context, int) (int, error) {
		runtime.Goexit()
		return 0, nil
	})
	exits   = procpool.Define("exits", func(_ context.Context, code int) (int, error) { os.Exit(code); return 0, nil })
	signals = procpool.Define("signals", func(_ context.Context, sig int) (int, error) {
		if err := syscall.Kill(os.Getpid(), syscall.Signal(sig)); err != nil {
			return 0, err
		}
		select {}
	})
	// spin takes that many microseconds of processor time.
	spin = procpool.Define("spin", func(_ context.Context, micros int) (int, error) {
		busy(time.Duration(micros) * time.Microsecond)
		return micros, nil
	})
	// forever does not look at its context.
	forever = procpool.Define("forever", func(context.Context, int) (int, error) { select {} })
	// blocks waits in a system call.
	blocks = procpool.Define("blocks", func(context.Context, int) (int, error) {
		var pipe [2]int
		if err := syscall.Pipe(pipe[:]); err != nil {
			return 0, err
		}
		return syscall.Read(pipe[0], make([]byte, 1))
	})
	// untilCancelled returns how its context ended.
	untilCancelled = procpool.Define("until_cancelled", func(ctx context.Context, _ int) (string, error) {
		<-ctx.Done()
		return ctx.Err().Error(), nil
	})
	// dawdle returns at once for 0 and else when it is cancelled.
	dawdle = procpool.Define("dawdle", func(ctx context.Context, n int) (int, error) {
		if n != 0 {
			<-ctx.Done()
		}
		return n, nil
	})
	// remaining returns the milliseconds up to the deadline, -1 for none.
	remaining = procpool.Define("remaining", func(ctx context.Context, _ int) (int, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return -1, nil
		}
		return int(time.Until(deadline).Milliseconds()), nil
	})
	tenant = procpool.Define("tenant", func(ctx context.Context, _ int) (string, error) {
		return procpool.MetadataFrom(ctx)["tenant"], nil
	})
	// makeBytes returns n bytes of the value n, and panics when that is negative.
	makeBytes = procpool.Define("make_bytes", func(_ context.Context, n int) ([]byte, error) {
		return bytes.Repeat([]byte{byte(n)}, n), nil
	})
	flood = procpool.Define("flood", func(_ context.Context, lines int) (int, error) {
		line := strings.Repeat("x", 1<<20) + "\n"
		for range lines {
			if _, err := os.Stdout.WriteString(line); err != nil {
				return 0, err
			}
			if _, err := os.Stderr.WriteString(line); err != nil {
				return 0, err
			}
		}
		return lines, nil
	})
	readStdin = procpool.Define("read_stdin", func(context.Context, int) (int, error) {
		n, err := bufio.NewReader(os.Stdin).Read(make([]byte, 16))
		if err == nil {
			return n, errors.New("standard input is not at its end")
		}
		if !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("standard input gave %d bytes: %w", n, err)
		}
		return n, nil
	})
	environ = procpool.Define("environ", func(context.Context, int) ([]string, error) { return os.Environ(), nil })
	// grandchild starts a process that outlives its parent unless somebody
	// sees to it, and returns its id.
	grandchild = procpool.Define("grandchild", func(context.Context, int) (int, error) {
		cmd := exec.Command("sleep", "1000")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	// dieQuick returns at once for 1 and dies for 2.
	dieQuick = procpool.Define("die_quick", func(_ context.Context, n int) (int, error) {
		if n == 2 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return n, nil
	})
	// hangUp closes every socket of its process.
	hangUp = procpool.Define("hang_up", func(context.Context, int) (int, error) {
		for fd := 3; fd < 64; fd++ {
			if _, err := syscall.Getpeername(fd); err == nil {
				if err := syscall.Shutdown(fd, syscall.SHUT_RDWR); err != nil {
					return 0, err
				}
			}
		}
		select {}
	})
	// burn takes a processor until it is cancelled.
	burn = procpool.Define("burn", func(ctx context.Context, n int) (int, error) {
		for ctx.Err() == nil {
			busy(time.Microsecond)
		}
		return n, nil
	})
	attempt = procpool.Define("attempt", func(ctx context.Context, _ int) (int, error) { return procpool.AttemptFrom(ctx), nil })
	leak    = procpool.Define("goroutine_panic", func(context.Context, int) (int, error) {
		go func() { panic("in a goroutine of its own") }()
		select {}
	})
)

var tasks = slices.Concat([]procpool.Task{
	square, echo, fails, panics, oddPanics, goexit, exits, signals, spin, forever, untilCancelled, dawdle, remaining, tenant, makeBytes,
	flood, readStdin, environ, grandchild, leak, dieQuick, hangUp, burn, attempt, blocks,
}, streamTasks, nestingTasks, []procpool.Task{operates, relocks}, actorTasks)

func busy(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}
