package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// unknown is what a system without /proc tells of processes.
const unknown = "?"

// marked returns the processes that have the mark in their environment: those that
// a host has started, whoever is their parent by now. The dead have none.
func marked(mark string) (pids []int, known bool) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		return nil, false
	}
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil {
			continue // gone, or another user's
		}
		for entry := range bytes.SplitSeq(environ, []byte{0}) {
			if string(entry) == mark {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids, true
}

func killMarked(mark string) {
	pids, _ := marked(mark)
	for _, pid := range pids {
		_ = sendSignal(pid, syscall.SIGKILL)
	}
}

// whatIsLeft counts the processes that outlive their host by a second, and of a
// host that was killed those after seven seconds too, and names the files that are
// left in its folder for temporary files.
func whatIsLeft(ctx context.Context, mark, temp string, twice bool) string {
	died := time.Now()
	left := count(ctx, mark, died.Add(leaveWithin))
	if twice && left != "0" && left != unknown {
		left += " after 1 s, " + count(ctx, mark, died.Add(secondLook)) + " after 7 s"
	}
	entries, err := os.ReadDir(temp)
	switch {
	case err != nil:
		left += ", " + err.Error()
	case len(entries) > 0:
		left += fmt.Sprintf(", %d files", len(entries))
	}
	return left
}

// count waits until no marked process is left, but no longer than until the
// deadline.
func count(ctx context.Context, mark string, deadline time.Time) string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, known := marked(mark)
		if !known {
			return unknown
		}
		if len(pids) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return strconv.Itoa(len(pids))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
