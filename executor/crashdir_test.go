package executor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// crashOf makes a crash of a call of the task with an argument of so many bytes.
func crashOf(task string, size int) (*procpool.Call, *procpool.CrashError) {
	call := procpool.Remote[[]byte, []byte](task, procpool.WithCodec(procpool.Raw)).Bind(make([]byte, size)).NewCall()
	return call, &procpool.CrashError{Task: task, Worker: 3, PID: 4711, ExitCode: -1, Signal: "SIGKILL", Reason: "signal: killed", Attempt: 1, Suspects: 1}
}

func newCrashDir(t *testing.T, cfg executor.Config) executor.CrashDir {
	t.Helper()
	d, err := executor.NewCrashDir(cfg, "/bin/worker", "-v", "two words")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// folders returns the names in a directory, sorted.
func folders(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCrashDirKeepsACrash(t *testing.T) {
	t.Setenv("CRASHDIR_SECRET", "hunter2")
	dir := filepath.Join(t.TempDir(), "made", "for it")
	load := procpool.Remote[string, int]("load", procpool.WithCodec(procpool.JSON))
	d := newCrashDir(t, executor.Config{
		CrashDir: dir, Command: executor.Program("worker"), Dir: "/tmp", Env: []string{"CRASHDIR_SECRET=hunter2"},
		MemoryLimit: 1 << 30, Initializer: load.Bind("model.bin", procpool.Timeout(time.Minute)),
	})
	call := procpool.Remote[string, int]("odd/näme", procpool.WithCodec(procpool.JSON), procpool.Timeout(time.Second),
		procpool.Metadata(map[string]string{"tenant": "a"})).Bind("the argument").NewCall()
	e := &procpool.CrashError{
		Task: "odd/näme", Worker: 3, PID: 4711, ExitCode: -1, Signal: "SIGSEGV", Reason: "signal: segmentation fault", OOM: procpool.OOMLikely,
		MaxRSS: 123, UserCPU: time.Second, SystemCPU: 2, Stderr: "the last words", Attempt: 2, Finished: true, Suspects: 4, Hung: true,
	}
	d.Save(call, 0, e)
	d.Close()

	names := folders(t, dir)
	if len(names) != 1 || e.Dir != filepath.Join(dir, names[0]) || !strings.HasPrefix(names[0], "crash-") || !strings.HasSuffix(names[0], "-odd_n_me") {
		t.Fatalf("%q, Dir is %q", names, e.Dir)
	}
	if got := folders(t, e.Dir); !slices.Equal(got, []string{"argument", "crash.json", "initializer", "stderr"}) {
		t.Errorf("it holds %q", got)
	}
	for name, want := range map[string]string{"argument": `"the argument"`, "stderr": "the last words", "initializer": `"model.bin"`} {
		if b, err := os.ReadFile(filepath.Join(e.Dir, name)); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if runtime.GOOS != "windows" { // whose files have no modes
		for _, path := range []string{dir, e.Dir, filepath.Join(e.Dir, "argument"), filepath.Join(e.Dir, "crash.json")} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(e.Dir, "crash.json"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("hunter2")) {
		t.Errorf("the environment is kept:\n%s", b)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"format": 1.0, "task": "odd/näme", "codec": "json", "metadata.tenant": "a", "timeout_ns": 1e9, "attempt": 2.0, "finished": true,
		"crash.signal": "SIGSEGV", "crash.oom": "likely", "crash.exit_code": -1.0, "crash.max_rss_bytes": 123.0, "crash.user_cpu_ns": 1e9,
		"crash.suspects": 4.0, "crash.hung": true, "crash.worker": 3.0, "crash.pid": 4711.0, "crash.reason": "signal: segmentation fault",
		"crash.message": e.Error(), "program.self": false, "program.path": "/bin/worker", "program.dir": "/tmp",
		"config.memory_limit_bytes": float64(1 << 30), "initializer.task": "load", "initializer.timeout_ns": 60e9,
	} {
		value := any(got)
		for step := range strings.SplitSeq(path, ".") {
			m, _ := value.(map[string]any)
			value = m[step]
		}
		if value != want {
			t.Errorf("%s is %v, want %v", path, value, want)
		}
	}
	cfg, err := executor.ReplayConfig(e.Dir)
	if err != nil || cfg.Workers != 1 || cfg.MemoryLimit != 1<<30 || cfg.Command.String() != "/bin/worker -v two words" || cfg.Dir != "/tmp" || cfg.CrashDir != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
	if c := cfg.Initializer.NewCall(); c.Task() != "load" || c.Codec() != "json" || c.Timeout() != time.Minute || strings.TrimSpace(string(c.Payload())) != `"model.bin"` {
		t.Errorf("the initializer is %q(%q)", c.Task(), c.Payload())
	}
}

// holding is an executor that keeps what it is given.
type holding struct{ calls chan *procpool.Call }

func (h holding) Enqueue(_ context.Context, c *procpool.Call, _ int) { h.calls <- c }
func (holding) TakesPacks() bool                                     { return true }

func TestCrashDirKeepsOneItemOfAPack(t *testing.T) {
	t.Parallel()
	d := newCrashDir(t, executor.Config{CrashDir: t.TempDir()})
	h := holding{make(chan *procpool.Call, 1)}
	packed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		inputs := func(yield func(string) bool) {
			_ = yield("a") && yield("bb") && yield("ccc")
			close(packed)
		}
		for _, err := range procpool.Remote[string, string]("shout", procpool.WithCodec(procpool.JSON)).Map(context.Background(), h, inputs) {
			if !errors.Is(err, procpool.ErrClosed) {
				t.Error(err)
			}
		}
	}()
	<-packed
	pack := <-h.calls
	if n := pack.Seal(); n != 3 {
		t.Fatalf("%d items", n)
	}
	for i, want := range []string{`"a"`, `"bb"`, `"ccc"`} {
		_, e := crashOf("shout", 0)
		d.Save(pack, i, e)
		if b, err := os.ReadFile(filepath.Join(e.Dir, "argument")); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("item %d: %q, %v", i, b, err)
		}
	}
	pack.Finish(nil, procpool.ErrClosed)
	<-ended
}

func TestCrashDirIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"aaa", "crash-by hand", "zzz"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := newCrashDir(t, executor.Config{CrashDir: dir, CrashDirCount: 3, CrashDirBytes: 100 << 10})
	var kept []string
	save := func(size int) {
		c, e := crashOf("x", size)
		d.Save(c, 0, e)
		if e.Dir == "" {
			t.Fatalf("a crash of %d bytes was not kept", size)
		}
		kept = append(kept, filepath.Base(e.Dir))
	}
	check := func(n int) {
		t.Helper()
		want := slices.Concat([]string{"aaa", "crash-by hand", "zzz"}, kept[len(kept)-n:])
		slices.Sort(want)
		if got := folders(t, dir); !slices.Equal(got, want) {
			t.Errorf("there are %q, want %q", got, want)
		}
	}
	for range 7 {
		save(10)
	}
	check(3)
	save(90 << 10) // the small ones still fit beside it, but for the oldest
	check(3)
	save(50 << 10)
	check(1)
	save(30 << 10)
	check(2)
	// What can't fit is left out, and nothing is removed for it.
	c, e := crashOf("x", 101<<10)
	d.Save(c, 0, e)
	if e.Dir != "" || d.Dropped() != 1 {
		t.Errorf("kept at %q, %d dropped", e.Dir, d.Dropped())
	}
	check(2)
	if !slices.IsSorted(kept) {
		t.Errorf("the names do not sort by time: %q", kept)
	}
}

// A storm of crashes is written at a bounded pace, and what is left out is counted.
func TestCrashDirInAStorm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newCrashDir(t, executor.Config{CrashDir: dir, CrashDirCount: 10})
	began := time.Now()
	var (
		storm sync.WaitGroup
		mu    sync.Mutex
		kept  int
	)
	const each, of = 250, 8
	for range of {
		storm.Go(func() {
			for range each {
				c, e := crashOf("x", 10)
				d.Save(c, 0, e)
				mu.Lock()
				if e.Dir != "" {
					kept++
				}
				mu.Unlock()
			}
		})
	}
	storm.Wait()
	d.Close()
	most := 64 + 16*int(time.Since(began).Seconds()+1)
	if kept == 0 || kept > most || kept+d.Dropped() > each*of || kept+d.Dropped() < each*of-of {
		t.Errorf("%d kept (at most %d), %d left out", kept, most, d.Dropped())
	}
	if n := len(folders(t, dir)); n != 10 {
		t.Errorf("there are %d folders, want 10", n)
	}
}

// Several pools may share a directory. Each folder is whole.
func TestCrashDirIsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var pools sync.WaitGroup
	for range 4 {
		d := newCrashDir(t, executor.Config{CrashDir: dir, CrashDirCount: 5})
		pools.Go(func() {
			for range 40 {
				c, e := crashOf("x", 1000)
				d.Save(c, 0, e)
			}
			d.Close()
			if d.Dropped() != 0 {
				t.Errorf("%d dropped", d.Dropped())
			}
		})
	}
	pools.Wait()
	names := folders(t, dir)
	if len(names) < 5 || len(names) > 5+4 {
		t.Errorf("there are %d: %q", len(names), names)
	}
	for _, name := range names {
		if _, err := executor.ReplayConfig(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCrashDirRemovesWhatOthersLeftHalfDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, age := range map[string]time.Time{
		".unfinished-crash-old": old, ".removed-crash-old": old, ".unfinished-crash-new": time.Now(), ".removed": old,
	} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	d := newCrashDir(t, executor.Config{CrashDir: dir})
	c, e := crashOf("x", 1)
	d.Save(c, 0, e)
	if got, want := folders(t, dir), []string{".removed", ".unfinished-crash-new", filepath.Base(e.Dir)}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
}

// Trouble with the disk harms no call, and is told once.
func TestCrashDirInTrouble(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	dir := filepath.Join(t.TempDir(), "crashes")
	d := newCrashDir(t, executor.Config{CrashDir: dir})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c, e := crashOf("x", 1)
	if d.Save(c, 0, e); e.Dir == "" {
		t.Error("a directory that has vanished is not made again")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if c, e = crashOf("x", 1); e.Dir != "" {
			t.Error(e.Dir)
		}
		if d.Save(c, 0, e); e.Dir != "" {
			t.Errorf("kept at %q", e.Dir)
		}
	}
	if n := strings.Count(log.String(), "could not be kept"); n != 1 || d.Dropped() != 3 {
		t.Errorf("told %d times, %d dropped:\n%s", n, d.Dropped(), log.String())
	}
	d.Close()
	if !strings.Contains(log.String(), "count=3") {
		t.Errorf("Close does not tell what is missing:\n%s", log.String())
	}
}

func TestCrashDirIsChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "nul\x00"} {
		_, err := executor.NewCrashDir(executor.Config{CrashDir: dir}, "/bin/worker")
		mustContain(t, err, "Config.CrashDir", fmt.Sprintf("%q", dir))
	}
	t.Chdir(t.TempDir())
	d := newCrashDir(t, executor.Config{CrashDir: "crashes"})
	t.Chdir(t.TempDir())
	c, e := crashOf("x", 1)
	if d.Save(c, 0, e); !filepath.IsAbs(e.Dir) || !exists(e.Dir) {
		t.Errorf("kept at %q", e.Dir)
	}
	// Without a directory nothing is kept and nobody is told.
	d = newCrashDir(t, executor.Config{})
	c, e = crashOf("x", 1)
	d.Save(c, 0, e)
	d.Close()
	if e.Dir != "" {
		t.Errorf("kept at %q", e.Dir)
	}
}
