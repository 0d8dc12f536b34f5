package executor_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// crashed leaves a crash folder of the call behind, as of a pool that runs this
// program again.
func crashed(t *testing.T, cfg executor.Config, b procpool.Bound) string {
	t.Helper()
	if b.Err() != nil {
		t.Fatal(b.Err())
	}
	cfg.CrashDir = t.TempDir()
	d, err := executor.NewCrashDir(cfg, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	c := b.NewCall()
	_, e := crashOf(c.Task(), 0)
	d.Save(c, 0, e)
	if e.Dir == "" {
		t.Fatal("the crash was not kept")
	}
	return e.Dir
}

func TestReplayCrashesAgain(t *testing.T) {
	processes(t)
	dir := crashed(t, executor.Config{}, die.Bind("stderr"))
	for range 2 { // as often as one likes
		_, err := executor.Replay(t.Context(), dir)
		var ce *procpool.CrashError
		if !errors.As(err, &ce) || ce.Task != "die" || ce.ExitCode != 7 || ce.Attempt != 1 || ce.Suspects != 1 || ce.Stderr != "the last words\n" {
			t.Errorf("%#v", err)
		}
	}
}

// What no longer crashes is told as it is.
func TestReplayOfWhatIsMended(t *testing.T) {
	processes(t)
	reply, err := executor.Replay(t.Context(), crashed(t, executor.Config{}, square.Bind(7)))
	var n int
	if err != nil || procpool.CBOR.Decode(reply, &n) != nil || n != 49 {
		t.Errorf("%x, %v", reply, err)
	}
	reply, err = executor.Replay(t.Context(), crashed(t, executor.Config{}, square.Bind(7, procpool.WithCodec(procpool.JSON))))
	if err != nil || json.Unmarshal(reply, &n) != nil || n != 49 {
		t.Errorf("%q, %v", reply, err)
	}
	reply, err = executor.Replay(t.Context(), crashed(t, executor.Config{}, echo.Bind([]byte("as it is"))))
	if err != nil || string(reply) != "as it is" {
		t.Errorf("%q, %v", reply, err)
	}
	_, err = executor.Replay(t.Context(), crashed(t, executor.Config{}, fail.Bind("no luck")))
	var te *procpool.TaskError
	if !errors.As(err, &te) || te.Message != "no luck" {
		t.Errorf("%#v", err)
	}
	_, err = executor.Replay(t.Context(), crashed(t, executor.Config{}, panics.Bind("oh")))
	var pe *procpool.PanicError
	if !errors.As(err, &pe) || pe.Value != "oh" {
		t.Errorf("%#v", err)
	}
}

func TestReplaySeesWhatTheCallSaw(t *testing.T) {
	processes(t)
	dir := crashed(t, executor.Config{}, look.Bind(0, procpool.Metadata(map[string]string{"tenant": "a"})))
	reply, err := executor.Replay(t.Context(), dir)
	var s seen
	if err != nil || procpool.CBOR.Decode(reply, &s) != nil || s.Tenant != "a" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestReplayWithItsMemoryLimit(t *testing.T) {
	processes(t)
	if raceEnabled {
		t.Skip("under the race detector this takes gigabytes and many seconds; TestMemoryLimit does so once")
	}
	const limit = 512 << 20
	_, err := executor.Replay(t.Context(), crashed(t, executor.Config{MemoryLimit: limit}, allocate.Bind(limit+limit/4)))
	var ce *procpool.CrashError
	if !errors.As(err, &ce) || ce.OOM == procpool.OOMNo {
		t.Errorf("%+v", err)
	}
}

func TestReplayIsGivenUp(t *testing.T) {
	processes(t)
	path := filepath.Join(t.TempDir(), "gate")
	dir := crashed(t, executor.Config{}, gate.Bind(path))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := executor.Replay(ctx, dir)
		ended <- err
	}()
	eventually(t, "the call runs", func() bool { return exists(path + ".started") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReplayOfAnotherProgram(t *testing.T) {
	processes(t)
	// A worker program of its own: this one, found by its path.
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := executor.NewCrashDir(executor.Config{CrashDir: t.TempDir(), Command: executor.Program(this)}, this)
	if err != nil {
		t.Fatal(err)
	}
	c, e := square.Bind(9).NewCall(), new(procpool.CrashError)
	d.Save(c, 0, e)
	reply, err := executor.Replay(t.Context(), e.Dir)
	var n int
	if err != nil || procpool.CBOR.Decode(reply, &n) != nil || n != 81 {
		t.Errorf("%x, %v", reply, err)
	}

	gone := filepath.Join(t.TempDir(), "gone")
	d, err = executor.NewCrashDir(executor.Config{CrashDir: t.TempDir(), Command: executor.Program(gone)}, gone)
	if err != nil {
		t.Fatal(err)
	}
	d.Save(c, 0, e)
	_, err = executor.Replay(t.Context(), e.Dir)
	if _, ok := errors.AsType[*procpool.StartError](err); !ok {
		t.Errorf("%#v", err)
	}
	mustContain(t, err, "Replay", gone, "no such file")
}

func TestReplayOfATaskThatIsGone(t *testing.T) {
	processes(t)
	dir := crashed(t, executor.Config{}, unserved.Bind(1))
	_, err := executor.Replay(t.Context(), dir)
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("%#v", err)
	}
	mustContain(t, err, `unknown task "unserved"`, "the call ran in "+os.Args[0])
}

// What Replay can't run it says so of, without starting anything.
func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	damage := func(file string, change func([]byte) []byte) string {
		dir := crashed(t, executor.Config{}, square.Bind(7))
		path := filepath.Join(dir, file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b = change(b); b == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	set := func(field string, value any) string {
		return damage("crash.json", func(b []byte) []byte {
			var m map[string]any
			if err := json.Unmarshal(b, &m); err != nil {
				t.Fatal(err)
			}
			m[field] = value
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, dir := range map[string]string{
		"no such file":                         filepath.Join(t.TempDir(), "nothing"),
		"it is no folder":                      file,
		"it is no crash folder":                t.TempDir(),
		"in format 2: this one reads":          set("format", 2),
		"it names no call to run again":        set("format", 0),
		"crash.json is damaged: it names":      set("task", "two words"),
		"damaged: it names no":                 set("codec", ""),
		"damaged: it names no call":            set("config", map[string]any{}),
		"damaged: json":                        set("task", 7),
		"crash.json is damaged: invalid":       damage("crash.json", func([]byte) []byte { return []byte("{nonsense") }),
		"crash.json is damaged: unexpected":    damage("crash.json", func(b []byte) []byte { return b[:len(b)/2] }),
		`"argument" is damaged: it has 5 byte`: damage("argument", func([]byte) []byte { return []byte("hello") }),
		"argument: no such file":               damage("argument", func([]byte) []byte { return nil }),
	} {
		_, err := executor.Replay(t.Context(), dir)
		mustContain(t, err, "procpool: Replay(", dir, want)
	}
}
