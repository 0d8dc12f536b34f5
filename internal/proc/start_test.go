//go:build unix

package proc_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool/internal/proc"
)

func TestStartErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := newSpawner(t)
	for name, c := range map[string]struct {
		spec   proc.Spec
		reason error
		text   string
	}{
		"no path":             {proc.Spec{}, proc.ErrNotFound, "no program is named"},
		"not in PATH":         {proc.Spec{Path: "procpool-has-no-such-program"}, proc.ErrNotFound, "no directory in PATH has it"},
		"no such file":        {proc.Spec{Path: filepath.Join(dir, "nothing")}, proc.ErrNotFound, "there is no such file"},
		"a directory":         {proc.Spec{Path: dir}, proc.ErrNotExecutable, "it is a directory"},
		"no permission":       {proc.Spec{Path: write("plain", "#!/bin/sh\n", 0o644)}, proc.ErrNotExecutable, "chmod +x"},
		"unknown format":      {proc.Spec{Path: write("junk", "\x00\x01junk", 0o755)}, proc.ErrNotExecutable, "neither a program for this machine nor a script"},
		"no interpreter":      {proc.Spec{Path: write("script", "#!/no/such/interpreter\n", 0o755)}, proc.ErrNotExecutable, "interpreter"},
		"no working dir":      {proc.Spec{Path: "/bin/sh", Dir: filepath.Join(dir, "nothing")}, nil, "working directory"},
		"file as working dir": {proc.Spec{Path: "/bin/sh", Dir: write("file", "", 0o644)}, nil, "working directory"},
		"zero byte":           {proc.Spec{Path: "/bin/sh", Args: []string{"sh", "a\x00b"}}, nil, "zero byte"},
		"too long":            {proc.Spec{Path: "/bin/sh", Args: []string{"sh", strings.Repeat("x", 8<<20)}}, nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			child, err := s.Start(t.Context(), c.spec)
			if err == nil {
				child.Kill()
				<-child.Done()
				child.Close()
				t.Fatal("it started")
			}
			if _, ok := errors.AsType[*proc.StartError](err); !ok {
				t.Fatalf("%v is a %T, want *StartError", err, err)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
			for _, reason := range []error{proc.ErrNotFound, proc.ErrNotExecutable} {
				if errors.Is(err, reason) != (reason == c.reason) { //nolint:errorlint // identity is meant
					t.Errorf("errors.Is(%v, %v) = %v", err, reason, errors.Is(err, reason))
				}
			}
		})
	}
}

func TestWhatTheChildGets(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	spec := helper(t, "where", "a", "b c")
	spec.Dir = dir
	var r recorder
	spec.Output = r.output
	c := start(t, s, spec)
	await(t, c)
	c.Close()
	want := []string{dir, "helper a b c", strings.Join(spec.Env, " ")}
	if got := r.of(proc.Stdout); !slices.Equal(got, want) {
		t.Errorf("the child saw %q, want %q", got, want)
	}
}

func TestNoEnvironmentMeansNone(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	var r recorder
	c := start(t, s, proc.Spec{Path: "env", Output: r.output})
	await(t, c)
	c.Close()
	if got := r.of(proc.Stdout); len(got) != 0 {
		t.Errorf("the child's environment is %q, want nothing of the host's", got)
	}
}

// A program that finds its standard streams in non-blocking mode fails in odd places.
func TestStandardStreamsBlock(t *testing.T) {
	t.Parallel()
	if e := await(t, start(t, newSpawner(t), helper(t, "nonblocking"))); e.Code != 0 {
		t.Errorf("%v: so many standard streams are in non-blocking mode", e)
	}
}

func TestStartRefusesAnEndedContext(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Start(ctx, helper(t, "sleep")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A start that is given up leaves no process behind: Close, which waits for them all, returns.
func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	var wg sync.WaitGroup
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			c, err := s.Start(ctx, helper(t, "sleep"))
			switch {
			case err == nil:
				c.Kill()
				<-c.Done()
				c.Close()
			case !errors.Is(err, context.Canceled):
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
		wg.Go(cancel)
	}
	wg.Wait()
	s.Close()
}

func TestStartAfterClose(t *testing.T) {
	t.Parallel()
	s := proc.NewSpawner()
	s.Close()
	s.Close()
	if _, err := s.Start(t.Context(), helper(t, "sleep")); !errors.Is(err, proc.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// Close during starts: each start either fails or yields a child, and Close waits for those.
func TestCloseDuringStart(t *testing.T) {
	t.Parallel()
	for range 10 {
		s := proc.NewSpawner()
		spec := helper(t, "sleep")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				c, err := s.Start(t.Context(), spec)
				if err != nil {
					if !errors.Is(err, proc.ErrClosed) {
						t.Errorf("Start: %v", err)
					}
					return
				}
				c.Kill()
				<-c.Done()
				c.Close()
			})
		}
		wg.Go(s.Close)
		wg.Wait()
		s.Close()
	}
}

// The host alone holds the write end of a child's standard input: another child does not keep it open.
func TestStdinEnds(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	first, _ := startReady(t, s, helper(t, "stdin"))
	second, _ := startReady(t, s, helper(t, "stdin"))
	first.CloseStdin()
	first.CloseStdin()
	if e := await(t, first); e.Code != 0 {
		t.Errorf("the first child left with %v", e)
	}
	select {
	case <-second.Done():
		t.Errorf("the second child left with %v though its input is open", second.Exit())
	default:
	}
	second.CloseStdin()
	if e := await(t, second); e.Code != 0 {
		t.Errorf("the second child left with %v", e)
	}
}

func TestExitBeforeDoneIsZero(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "sleep"))
	if e := c.Exit(); e != (proc.Exit{}) {
		t.Errorf("Exit of a living child is %+v", e)
	}
	if _, err := io.ReadAll(c.Claimed()); err != nil {
		t.Errorf("a claimed reader read to its end gives %v", err)
	}
}
