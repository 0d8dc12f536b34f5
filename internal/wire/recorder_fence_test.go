//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// The fence's promise, tested by brute force: a worker starts calls as fast as it
// can while the host takes back what lies ahead of it. The two meet at the page
// alone. Each round the worker notes in the lane's journal, a byte for each call,
// whether the call ran or was declined; the host looks when the round is over.
const (
	ran      = 1
	declined = 2
)

// fenceShape is a shape of the test: long rounds, in which the fence falls
// somewhere, and rounds of a few calls, in which it falls right between two
// instructions of the worker now and then.
type fenceShape struct{ rounds, calls int }

func fenceShapes() []fenceShape {
	if testing.Short() {
		return []fenceShape{{20, 32 << 10}, {1000, 16}}
	}
	return []fenceShape{{50, 32 << 10}, {5000, 16}}
}

// roundWords lie in lane 1's journal. The host counts the rounds that it has
// begun and those in which the fence is up, the worker those that it is through
// with. In one round of 16 the worker waits halfway for the fence, so that there
// is something to take back even where there is one processor.
type roundWords struct{ begun, fenced, over *atomic.Uint64 }

func roundsOf(w *workerRecorder) roundWords {
	at := journalOffset(len(w.lanes), 1)
	return roundWords{w.mem.word(at), w.mem.word(at + 64), w.mem.word(at + 128)}
}

func waitsForFence(round uint64) bool { return round%16 == 1 }

// runCalls is the worker.
func runCalls(w *workerRecorder) {
	lane := w.lane(0)
	words := roundsOf(w)
	round, seq := uint64(0), uint64(0)
	for _, shape := range fenceShapes() {
		for range shape.rounds {
			round++
			for words.begun.Load() < round {
				runtime.Gosched()
			}
			log := lane.journalBuf()[:shape.calls]
			for i := range log {
				seq++
				for i == len(log)/2 && waitsForFence(round) && words.fenced.Load() < round {
					runtime.Gosched()
				}
				if lane.start(seq, 0) {
					log[i] = ran
					lane.finish(seq)
				} else {
					log[i] = declined
				}
			}
			words.over.Store(round)
		}
	}
}

// fenceCalls is the host. w is its own view of the page, for the log.
func fenceCalls(t *testing.T, r *recorder, w *workerRecorder) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	rng := rand.New(rand.NewPCG(7, 8))
	words := roundsOf(w)
	defer func() { // the worker runs to its end, even if the test has failed
		words.begun.Store(math.MaxUint64)
		words.fenced.Store(math.MaxUint64)
	}()
	round, last := uint64(0), uint64(0)
	for _, shape := range fenceShapes() {
		tookBack, gate := 0, 0
		for range shape.rounds {
			base := last + 1
			last += uint64(shape.calls)
			log := w.lane(0).journalBuf()[:shape.calls]
			clear(log)
			round++
			words.begun.Store(round)
			// Wait until the worker is somewhere on its way, then put the
			// fence right in front of its feet.
			target := base + uint64(rng.IntN(shape.calls))
			if waitsForFence(round) {
				target = base + uint64(rng.IntN(shape.calls/2))
			}
			started := uint64(0)
			for i := 0; started < target && words.over.Load() < round; i++ {
				if i%256 == 255 {
					runtime.Gosched() // there may be one processor only
				}
				state, _ := r.progress(0)
				started = state.started
			}
			k := started + uint64(rng.IntN(3))
			started, ok := r.fence(0, k)
			if !ok {
				t.Fatal("the page can't be used")
			}
			words.fenced.Store(round)
			mine := max(k, started) + 1 // from here on
			for words.over.Load() < round {
				if time.Now().After(deadline) {
					t.Fatal("the worker has stopped")
				}
				runtime.Gosched()
			}
			for seq := base; seq <= last; seq++ {
				switch outcome := log[seq-base]; {
				case outcome == 0:
					t.Fatalf("round %d: call %d was lost", round, seq)
				case seq >= mine && outcome != declined:
					t.Fatalf("round %d: call %d was taken back (fence %d, started %d) and ran all the same", round, seq, k, started)
				case seq <= k && outcome != ran:
					t.Fatalf("round %d: call %d was declined with the fence at %d", round, seq, k)
				case seq == started && outcome == declined:
					gate++ // it had said "started", saw the fence, and the host saw the one, too
				}
			}
			if mine <= last {
				tookBack++
			}
			if got, _ := r.progress(0); got.started >= mine {
				t.Fatalf("round %d: the page says that call %d started, and none beyond %d ran", round, got.started, mine-1)
			}
			r.unfence(0) // each call was answered
		}
		if tookBack == 0 {
			t.Errorf("in %d rounds the host never took anything back: nothing was tested", shape.rounds)
		}
		t.Logf("took calls back in %d of %d rounds; the two met at the gate in %d", tookBack, shape.rounds, gate)
	}
}

func TestFenceAgainstAGoroutine(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 2) {
		w := open(t, r)
		done := make(chan struct{})
		go func() {
			defer close(done)
			runCalls(w)
		}()
		t.Log(kind)
		func() {
			defer func() { <-done }()
			fenceCalls(t, r, open(t, r))
		}()
	}
}

const fencePageEnv = "WIRE_TEST_FENCE_PAGE"

// TestFenceAgainstAProcess runs itself again as the worker.
func TestFenceAgainstAProcess(t *testing.T) {
	if path := os.Getenv(fencePageEnv); path != "" {
		w, err := openRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		runCalls(w)
		return
	}
	if testing.Short() {
		t.Skip("starts a process; run without -short")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for kind, r := range pages(t, 2) {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestFenceAgainstAProcess$")
		cmd.Env = append(os.Environ(), fencePageEnv+"="+r.path())
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Log(kind)
		func() {
			defer func() {
				if err := cmd.Wait(); err != nil {
					t.Errorf("the worker: %v\n%s", err, output.Bytes())
				}
			}()
			fenceCalls(t, r, open(t, r))
		}()
	}
}
