package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/term"
)

// A console is where commands read and write. Results go to out, and nothing else does.
type console struct {
	in  *os.File
	out *results
	err *notes
}

func newConsole(in, out, err *os.File) *console {
	n := &notes{file: err}
	if term.IsTerminal(int(err.Fd())) && os.Getenv("TERM") != "dumb" {
		n.width = func() int {
			width, _, err := term.GetSize(int(n.file.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	return &console{in: in, out: &results{file: out, notes: n}, err: n}
}

// inIsTerminal reports whether standard input would be typed by a person, who was not
// asked for any.
func (c *console) inIsTerminal() bool { return term.IsTerminal(int(c.in.Fd())) }

// results writes to standard output.
type results struct {
	file  *os.File
	notes *notes
}

// Write writes p at once. On a terminal it takes the status out of its way.
func (r *results) Write(p []byte) (n int, err error) {
	r.notes.aside(func() { n, err = r.file.Write(p) })
	return n, err
}

// notes writes to standard error what is no result: what workers print, log records,
// and below all that, on a terminal, one line that says how far things have come.
type notes struct {
	file  *os.File
	width func() int // of the terminal; nil where it is none

	mu     sync.Mutex
	status string
}

var _ io.Writer = (*notes)(nil)

// Write writes p above the status.
func (n *notes) Write(p []byte) (written int, err error) {
	n.aside(func() { written, err = n.file.Write(p) })
	return written, err
}

// aside has write called while the status is not shown.
func (n *notes) aside(write func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status != "" {
		n.put(eraseLine)
	}
	write()
	if n.status != "" {
		n.put(n.status)
	}
}

const eraseLine = "\r\x1b[K"

// setStatus changes the status; "" takes it away. Where standard error is no terminal
// it does nothing.
func (n *notes) setStatus(text string) {
	if n.width == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if text = oneLine(text, n.width()-1); text == n.status {
		return
	}
	n.put(eraseLine + text)
	n.status = text
}

func (n *notes) put(text string) {
	_, _ = n.file.WriteString(text) // a terminal that is gone misses nothing
}

// oneLine makes text fit into a line of a terminal: neither longer, nor with anything
// in it that moves the cursor.
func oneLine(text string, width int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return ' '
		}
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, text)
	if runes := []rune(text); len(runes) > width {
		text = string(runes[:max(width-1, 0)]) + "…"
	}
	return text
}
