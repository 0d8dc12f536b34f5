package standard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/procpool/procpool"
)

type line struct {
	Path string `cbor:"path" json:"path"`
	Line string `cbor:"line" json:"line"`
	Exit *int   `cbor:"exit" json:"exit"`
}

type output struct {
	To    string `cbor:"to" json:"to"`
	Data  []byte `cbor:"data" json:"data"`
	Times *int   `cbor:"times" json:"times"`
}

// effects lists the functions that change or look at what is around them.
func effects() []procpool.Task {
	return []procpool.Task{
		procpool.Define("note", func(_ context.Context, l line) (nothing, error) {
			if err := noteLine(l.Path, l.Line); err != nil {
				return nil, err
			}
			if l.Exit != nil {
				os.Exit(*l.Exit)
			}
			return nil, nil
		}),
		procpool.Define("pid", func(context.Context, nothing) (int, error) { return os.Getpid(), nil }),
		procpool.Define("environment", func(context.Context, nothing) (map[string]string, error) { return environment(), nil }),
		procpool.Define("read_stdin", func(context.Context, nothing) (int64, error) { return io.Copy(io.Discard, os.Stdin) }),
		procpool.Define("write", write),
		procpool.Define("child", child),
	}
}

// noteLine appends a line to a file in one write, so that lines of several
// processes do not mix.
func noteLine(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text + "\n")
	return errors.Join(err, file.Close())
}

func environment() map[string]string {
	all := make(map[string]string)
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		all[name] = value
	}
	return all
}

func write(_ context.Context, o output) (nothing, error) {
	to, ok := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[o.To]
	if !ok {
		return nil, fmt.Errorf("write writes to stdout or stderr, not to %q", o.To)
	}
	times := 1
	if o.Times != nil {
		times = *o.Times
	}
	for range times {
		if _, err := to.Write(o.Data); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func child(context.Context, nothing) (int, error) {
	cmd := exec.Command("sleep", "1000") //nolint:forbidigo // what a task starts by itself is what the kit looks for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	go func() { _ = cmd.Wait() }() // or it stays a zombie when it is killed before its parent
	return pid, nil
}
