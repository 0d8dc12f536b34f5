package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far the work is.
type progress struct {
	w                   io.Writer
	live                bool // w is a terminal, whose line can be written anew
	total, done, failed int
	shown               time.Time
}

func newProgress(w *os.File, total int) *progress {
	info, err := w.Stat()
	return &progress{w: w, total: total, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// step counts a file. A terminal has one line that changes, a file gets a line
// at each quarter.
func (p *progress) step(err error) {
	p.done++
	if err != nil {
		p.failed++
	}
	last := p.done == p.total
	if !p.live {
		if p.done*4/p.total > (p.done-1)*4/p.total {
			fmt.Fprintf(p.w, "%d of %d files\n", p.done, p.total)
		}
		return
	}
	if now := time.Now(); last || now.Sub(p.shown) >= 50*time.Millisecond {
		p.shown = now
		const width = 40
		full := p.done * width / p.total
		fmt.Fprintf(p.w, "\r[%s%s] %d of %d files, %d failed\x1b[K",
			strings.Repeat("#", full), strings.Repeat("-", width-full), p.done, p.total, p.failed)
	}
	if last {
		fmt.Fprintln(p.w)
	}
}

// stop ends the line of a run that did not come to its end.
func (p *progress) stop() {
	if p.live && p.done > 0 && p.done < p.total {
		fmt.Fprintln(p.w)
	}
}
