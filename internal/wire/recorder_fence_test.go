//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// The fence's promise, tested by brute force: a worker starts calls as fast as it
// can while the host takes back what lies ahead of it. The two meet at the page
// alone. Each round the worker notes in the lane's journal, a byte for each call,
// whether the call ran or was declined; the host looks when the round is over.
const (
	roundCalls = 32 << 10
	ran        = 1
	declined   = 2
)

// A round's number is in the first words of lane 1's journal, where host and
// worker meet between rounds.
func roundOf(w *workerRecorder) (host, worker *atomic.Uint64) {
	at := journalOffset(len(w.lanes), 1)
	return w.mem.word(at), w.mem.word(at + 64)
}

// runCalls is the worker.
func runCalls(w *workerRecorder, rounds int) {
	lane, log := w.lane(0), w.lane(0).journalBuf()[:roundCalls]
	host, worker := roundOf(w)
	for round := range uint64(rounds) {
		for host.Load() <= round {
			runtime.Gosched()
		}
		for i := range uint64(roundCalls) {
			seq := 1 + round*roundCalls + i
			if lane.start(seq, 0) {
				log[i] = ran
				lane.finish(seq)
			} else {
				log[i] = declined
			}
		}
		worker.Store(round + 1)
	}
}

// fenceCalls is the host. w is its own view of the page, for the log.
func fenceCalls(t *testing.T, r *recorder, w *workerRecorder, rounds int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	host, worker := roundOf(w)
	log := w.lane(0).journalBuf()[:roundCalls]
	var tookBack, close int
	for round := range uint64(rounds) {
		clear(log)
		base := 1 + round*roundCalls
		last := base + roundCalls - 1
		host.Store(round + 1)
		// Wait until the worker is somewhere in the middle, then put the
		// fence right in front of its feet.
		target := base + round*9973%roundCalls
		started := uint64(0)
		for i := 0; started < target && worker.Load() <= round; i++ {
			if i%256 == 255 {
				runtime.Gosched() // there may be one processor only
			}
			started, _, _, _ = r.progress(0)
		}
		k := started + round%3
		started, ok := r.fence(0, k)
		if !ok {
			t.Fatal("the page can't be used")
		}
		mine := max(k, started) + 1 // from here on
		for worker.Load() <= round {
			if time.Now().After(deadline) {
				t.Fatal("the worker has stopped")
			}
			runtime.Gosched()
		}
		for seq := base; seq <= last; seq++ {
			switch outcome := log[seq-base]; {
			case seq >= mine && outcome != declined:
				t.Fatalf("round %d: call %d was taken back (fence %d, started %d) and ran all the same", round, seq, k, started)
			case seq <= k && outcome != ran:
				t.Fatalf("round %d: call %d was declined with the fence at %d", round, seq, k)
			case seq < mine && outcome == declined:
				close++ // in the gap: it had said "started", saw the fence and was answered as declined
			case outcome == 0:
				t.Fatalf("round %d: call %d was lost", round, seq)
			}
		}
		if mine <= last {
			tookBack++
		}
		if got, _, _, _ := r.progress(0); got >= mine {
			t.Fatalf("round %d: the page says that call %d started, of which none beyond %d ran", round, got, mine-1)
		}
		r.unfence(0) // each call was answered
	}
	if tookBack == 0 {
		t.Error("the host never took anything back: nothing was tested")
	}
	t.Logf("took calls back in %d of %d rounds; met the worker at the gate in %d", tookBack, rounds, close)
}

func fenceRounds() int {
	if testing.Short() {
		return 50
	}
	return 200
}

func TestFenceAgainstAGoroutine(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 2) {
		w := open(t, r)
		done := make(chan struct{})
		go func() {
			defer close(done)
			runCalls(w, fenceRounds())
		}()
		view := open(t, r)
		t.Log(kind)
		fenceCalls(t, r, view, fenceRounds())
		<-done
	}
}

const (
	fencePageEnv   = "WIRE_TEST_FENCE_PAGE"
	fenceRoundsEnv = "WIRE_TEST_FENCE_ROUNDS"
)

// TestFenceAgainstAProcess runs itself again as the worker.
func TestFenceAgainstAProcess(t *testing.T) {
	if path := os.Getenv(fencePageEnv); path != "" {
		rounds, err := strconv.Atoi(os.Getenv(fenceRoundsEnv))
		if err != nil {
			t.Fatal(err)
		}
		w, err := openRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		runCalls(w, rounds)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for kind, r := range pages(t, 2) {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestFenceAgainstAProcess$")
		cmd.Env = append(os.Environ(), fencePageEnv+"="+r.path(), fenceRoundsEnv+"="+strconv.Itoa(fenceRounds()))
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Log(kind)
		fenceCalls(t, r, open(t, r), fenceRounds())
		if err := cmd.Wait(); err != nil {
			t.Errorf("the worker: %v\n%s", err, output.Bytes())
		}
	}
}
