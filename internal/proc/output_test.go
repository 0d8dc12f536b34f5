//go:build unix

package proc_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/proc"
)

// handshake claims the last "1|" of a line, as a user of Claim may.
func handshake(line []byte) []byte {
	if i := bytes.LastIndex(line, []byte("1|")); i >= 0 {
		return line[i:]
	}
	return nil
}

func TestClaim(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for name, c := range map[string]struct {
		print   string
		claimed string
		early   string
		stdout  []string
	}{
		"first line":             {"1|a\n", "1|a\n", "", nil},
		"after junk":             {"junk\nmore\n1|a\n", "1|a\n", "junk\nmore\n", []string{"junk", "more"}},
		"junk on the same line":  {"loading... 1|a\n", "1|a\n", "loading... ", []string{"loading... "}},
		"only the first is one":  {"1|a\n1|b\n", "1|a\n", "", []string{"1|b"}},
		"lines after it":         {"1|a\nx\ny\n", "1|a\n", "", []string{"x", "y"}},
		"no line end, then exit": {"1|a", "1|a\n", "", nil},
		"carriage return":        {"1|a\r\nx\r\n", "1|a\n", "", []string{"x"}},
		"none":                   {"junk\n", "", "junk\n", []string{"junk"}},
		"nothing at all":         {"", "", "", nil},
		"empty lines":            {"\n\n1|a\n", "1|a\n", "\n\n", []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var r recorder
			spec := helper(t, "print", "3", "1"+c.print)
			spec.Claim, spec.Output = handshake, r.output
			child := start(t, s, spec)
			got, err := io.ReadAll(child.Claimed())
			if err != nil || string(got) != c.claimed {
				t.Errorf("claimed %q, %v, want %q", got, err, c.claimed)
			}
			if early := string(child.Early()); early != c.early {
				t.Errorf("early output is %q, want %q", early, c.early)
			}
			await(t, child)
			child.Close()
			if lines := r.of(proc.Stdout); !slices.Equal(lines, c.stdout) {
				t.Errorf("passed on %q, want %q", lines, c.stdout)
			}
		})
	}
}

// A child that lives on without a handshake blocks the reader until somebody closes it.
func TestClaimedReaderIsClosed(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "sleep"))
	spec := helper(t, "sleep")
	silent := start(t, newSpawner(t), spec)
	read := make(chan error, 1)
	go func() {
		_, err := silent.Claimed().Read(make([]byte, 10))
		read <- err
	}()
	_ = silent.Claimed().Close()
	select {
	case err := <-read:
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Read returned %v, want io.ErrClosedPipe", err)
		}
	case <-time.After(patience):
		t.Error("Close did not end a blocked Read")
	}
	if _, err := c.Claimed().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read at the end returned %v, want io.EOF", err)
	}
}

// A grandchild that holds the output open does not keep the reader of the handshake waiting.
func TestClaimedReaderEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	spec := helper(t, "leave", "away")
	var pid atomic.Int64
	spec.Output = func(_ proc.Stream, line []byte) {
		if text, ok := strings.CutPrefix(string(line), "ready "); ok {
			n, _ := strconv.Atoi(text)
			pid.Store(int64(n))
		}
	}
	c := start(t, newSpawner(t), spec)
	text, err := io.ReadAll(c.Claimed())
	if len(text) != 0 || err != nil {
		t.Errorf("claimed %q, %v", text, err)
	}
	await(t, c)
	killLater(t, int(pid.Load()))
	if !bytes.HasPrefix(c.Early(), []byte("ready ")) {
		t.Errorf("early output is %q", c.Early())
	}
}

func TestEarlyIsBounded(t *testing.T) {
	t.Parallel()
	c := start(t, newSpawner(t), helper(t, "print", "1", "1"+strings.Repeat("junk\n", 10_000)+"the last\n"))
	if _, err := io.ReadAll(c.Claimed()); err != nil {
		t.Fatal(err)
	}
	early := c.Early()
	if len(early) > 8<<10 || !bytes.HasSuffix(early, []byte("junk\nthe last\n")) {
		t.Errorf("%d bytes of early output, ending in %q", len(early), early[max(0, len(early)-30):])
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	spec := helper(t, "print", "1", "2"+strings.Repeat("x", 100_000)+"\nlast words")
	spec.TailBytes = 1000
	c := start(t, newSpawner(t), spec)
	tail := c.Tail(patience)
	if want := strings.Repeat("x", 1000-11) + "\nlast words"; string(tail) != want {
		t.Errorf("tail has %d bytes and ends in %q", len(tail), tail[max(0, len(tail)-30):])
	}
}

func TestTailDoesNotWaitForALivingChild(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "sleep"))
	if tail := c.Tail(time.Millisecond); len(tail) != 0 {
		t.Errorf("tail is %q", tail)
	}
}

// DESIGN 6.8: megabyte lines on both streams are cut and read to their end, whatever their size.
func TestFlood(t *testing.T) {
	t.Parallel()
	const mib, maxLine = 16, 100_000
	spec := helper(t, "flood", strconv.Itoa(mib))
	spec.MaxLine = maxLine
	var total, longest [3]atomic.Int64
	var last [3]atomic.Pointer[string]
	spec.Output = func(stream proc.Stream, line []byte) {
		total[stream].Add(int64(len(line)))
		longest[stream].Store(max(longest[stream].Load(), int64(len(line))))
		text := string(line[:min(len(line), 10)])
		last[stream].Store(&text)
	}
	c := start(t, newSpawner(t), spec)
	if e := await(t, c); e.Code != 0 {
		t.Errorf("it ended with %v: %s", e, c.Tail(time.Second))
	}
	c.Tail(patience)
	if _, err := io.ReadAll(c.Claimed()); err != nil { // standard output has been read to its end
		t.Error(err)
	}
	c.Close()
	for _, stream := range []proc.Stream{proc.Stdout, proc.Stderr} {
		if got, want := total[stream].Load(), int64(mib<<20+len("last")); got != want {
			t.Errorf("%v: %d bytes were passed on, want %d", stream, got, want)
		}
		if got := longest[stream].Load(); got != maxLine {
			t.Errorf("%v: the longest piece has %d bytes, want %d", stream, got, maxLine)
		}
		if got := last[stream].Load(); got == nil || *got != "last" {
			t.Errorf("%v: the unterminated last line is missing", stream)
		}
	}
}

// What a process wrote just before it was killed is there when its end is known.
func TestLastWordsBeforeAKill(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for range 20 {
		var r recorder
		spec := proc.Spec{
			Path: "/bin/sh", Args: []string{"sh", "-c", "echo out; echo err >&2; kill -9 $$"},
			Output: r.output,
		}
		c := start(t, s, spec)
		await(t, c)
		if tail := c.Tail(patience); string(tail) != "err\n" {
			t.Fatalf("tail is %q", tail)
		}
		if _, err := io.ReadAll(c.Claimed()); err != nil {
			t.Fatal(err)
		}
		if out := r.of(proc.Stdout); !slices.Equal(out, []string{"out"}) {
			t.Fatalf("standard output was %q", out)
		}
	}
}
