package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// crashDir keeps a folder for each crash, as Config.CrashDir asks for. Other pools
// and programs may keep theirs in the same directory.
type crashDir struct {
	path    string
	count   int
	bytes   int64
	program crashRecord // what is the same for all crashes of the pool
	init    []byte      // the initializer's argument, nil where there is none

	number  atomic.Int64
	waiting atomic.Int32 // crashes in the hands of save
	dropped atomic.Int64
	warn    sync.Once
	writes  sync.WaitGroup

	pace pace

	mu    sync.Mutex       // held by who changes the directory
	sizes map[string]int64 // of the folders that were seen
}

const (
	// crashBacklog bounds how many crashes wait to be written, crashPatience how
	// long the error of one waits for that.
	crashBacklog  = 16
	crashPatience = time.Second
	// crashBurst and crashRate bound what a storm of crashes writes: so many
	// folders, or MiB, at once, and so many a second.
	crashBurst = 64
	crashRate  = 16
	// staleAfter is the age at which what a writer has left half done is removed.
	staleAfter = time.Hour
)

// crashName is how crash folders are named, so that nothing else is ever removed.
// The names sort by time.
var crashName = regexp.MustCompile(`^crash-\d{8}T\d{6}\.\d{9}Z-\d+-\d+-[A-Za-z0-9_]*$`)

// Prefixes of folders that are not whole: not yet, or no more.
const (
	unfinished = ".unfinished-"
	removed    = ".removed-"
)

// newCrashDir prepares cfg.CrashDir for the crashes of a pool whose workers run the
// program at path, as args. It returns nil, which saves nothing, when none is
// configured.
func newCrashDir(cfg Config, path string, args []string) (*crashDir, error) {
	if cfg.CrashDir == "" {
		return nil, nil //nolint:nilnil // a nil *crashDir is one that saves nothing
	}
	fail := func(err error) (*crashDir, error) {
		return nil, fmt.Errorf("procpool: Config.CrashDir is %q, which can't hold crashes: %w", cfg.CrashDir, err)
	}
	dir, err := filepath.Abs(cfg.CrashDir)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	trial, err := os.MkdirTemp(dir, unfinished)
	if err != nil {
		return fail(err)
	}
	if err := os.Remove(trial); err != nil {
		return fail(err)
	}
	d := &crashDir{
		path: dir, count: cfg.CrashDirCount, bytes: cfg.CrashDirBytes,
		pace: pace{left: crashBurst, at: time.Now()}, sizes: make(map[string]int64),
	}
	d.program, d.init, err = recordOf(cfg, path, args)
	if err != nil {
		return fail(err)
	}
	return d, nil
}

// save keeps item i of the call, which crashed with e, and notes in e where. It
// waits for the disk for a second at most; what can't be kept is counted and harms
// nothing else. It runs without locks of the pool. e must not have been handed to
// anybody yet.
func (d *crashDir) save(c *procpool.Call, i int, e *procpool.CrashError) {
	if d == nil || c.Kind() == procpool.KindSession || c.Kind() == procpool.KindActor { // what a session was sent is gone
		return
	}
	if d.waiting.Add(1) > crashBacklog {
		d.waiting.Add(-1)
		d.dropped.Add(1)
		return
	}
	now := time.Now()
	argument := itemOf(c, i)
	size := int64(len(argument) + len(d.init) + len(e.Stderr))
	if size > d.bytes || !d.pace.take(now, 1+size>>20) {
		d.waiting.Add(-1)
		d.dropped.Add(1)
		return
	}
	name := fmt.Sprintf("crash-%sZ-%d-%d-%s", now.UTC().Format("20060102T150405.000000000"), os.Getpid(), d.number.Add(1), plain(c.Task()))
	record := d.program
	record.describe(c, e, now, len(argument))
	stderr := e.Stderr
	done := make(chan error, 1)
	d.writes.Go(func() {
		defer d.waiting.Add(-1)
		err := d.write(name, record, argument, stderr)
		if err != nil {
			d.dropped.Add(1)
			d.warn.Do(func() { slog.Warn("procpool: a crash could not be kept in Config.CrashDir", "error", err) })
		}
		done <- err
	})
	patience := time.NewTimer(crashPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		if err == nil {
			e.Dir = filepath.Join(d.path, name)
		}
	case <-patience.C:
	}
}

// close waits for what is being written, for a while, and says what is missing.
func (d *crashDir) close() {
	if d == nil {
		return
	}
	written := make(chan struct{})
	go func() {
		d.writes.Wait()
		close(written)
	}()
	patience := time.NewTimer(crashPatience)
	defer patience.Stop()
	select {
	case <-written:
	case <-patience.C:
	}
	if n := d.dropped.Load(); n > 0 {
		slog.Warn("procpool: crashes are missing in Config.CrashDir: they came too fast, were too large, or the disk failed", "count", n, "dir", d.path)
	}
}

// itemOf returns the encoded argument of item i of a sealed call.
func itemOf(c *procpool.Call, i int) []byte {
	argument, sizes := c.Payload(), c.ItemSizes()
	if sizes == nil {
		return argument
	}
	for _, n := range sizes[:i] {
		argument = argument[n:]
	}
	return argument[:sizes[i]:sizes[i]]
}

// plain returns what of a task's name any file system takes.
func plain(task string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, task)
	return name[:min(len(name), 40)]
}

// write makes the folder. It bears its name only once it is whole.
func (d *crashDir) write(name string, r crashRecord, argument []byte, stderr string) error {
	record, err := r.encode()
	if err != nil {
		return err
	}
	files := []struct {
		name string
		data []byte
	}{{recordFile, record}, {argumentFile, argument}, {stderrFile, []byte(stderr)}}
	if r.Initializer != nil {
		files = append(files, struct {
			name string
			data []byte
		}{initializerFile, d.init})
	}
	var size int64
	for _, f := range files {
		size += int64(len(f.data))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(d.path, 0o700); err != nil { // somebody may have tidied up
		return err
	}
	if err := d.makeRoom(size); err != nil {
		return err
	}
	unready := filepath.Join(d.path, unfinished+name)
	if err := os.Mkdir(unready, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err = os.WriteFile(filepath.Join(unready, f.name), f.data, 0o600); err != nil {
			break
		}
	}
	if err == nil {
		err = os.Rename(unready, filepath.Join(d.path, name))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(unready))
	}
	d.sizes[name] = size
	return nil
}

// makeRoom removes the oldest folders until one more of that size may come, and
// what others have left half done. Pools that share the directory may together be
// over its bounds for a moment; whoever comes next mends that.
func (d *crashDir) makeRoom(size int64) error {
	entries, err := os.ReadDir(d.path) // sorted by name, so by time
	if err != nil {
		return err
	}
	var (
		names []string
		total int64
		seen  = make(map[string]int64, len(entries))
	)
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case crashName.MatchString(name) && entry.IsDir():
			n, known := d.sizes[name]
			if !known {
				n = sizeOf(filepath.Join(d.path, name))
			}
			seen[name] = n
			names = append(names, name)
			total += n
		case strings.HasPrefix(name, unfinished+"crash-"), strings.HasPrefix(name, removed+"crash-"):
			if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
				_ = os.RemoveAll(filepath.Join(d.path, name)) // the next one tries again
			}
		}
	}
	d.sizes = seen
	for len(names) > 0 && (len(names) >= d.count || total+size > d.bytes) {
		if err := d.remove(names[0]); err != nil {
			return err
		}
		total -= seen[names[0]]
		delete(seen, names[0])
		names = names[1:]
	}
	return nil
}

// remove takes a folder away under another name, so that it never looks whole
// when it is not. That another pool was quicker is as good.
func (d *crashDir) remove(name string) error {
	going := filepath.Join(d.path, removed+name)
	if err := os.Rename(filepath.Join(d.path, name), going); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(going)
}

// sizeOf returns how much the files in a folder hold.
func sizeOf(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0 // another pool has just removed it
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// pace is a token bucket.
type pace struct {
	mu   sync.Mutex
	left float64
	at   time.Time
}

// take reports whether n tokens are there, and takes them. What costs more than
// the bucket holds takes all of a full one.
func (p *pace) take(now time.Time, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = min(p.left+max(now.Sub(p.at).Seconds(), 0)*crashRate, crashBurst)
	p.at = now
	cost := float64(min(n, crashBurst))
	if p.left < cost {
		return false
	}
	p.left -= cost
	return true
}
