//go:build unix

package executor_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/procpool/procpool/executor"
)

var (
	chaosFor  = flag.Duration("chaos.for", time.Minute, "how long TestChaos goes on")
	chaosSeed = flag.Uint64("chaos.seed", 0, "the seed of TestChaos; 0 means a new one")
)

// TestChaos has several callers make calls of every kind in a pool whose workers
// are killed, stopped and terminated from outside all the time, as are the processes
// of its actors, and which is resized and restarted meanwhile. Rules 6.1, 6.2, 6.4
// and 6.6: every call has one outcome, and in bounded time; none that was started
// is run again unless that is allowed, which the calls' own ledger shows; no call
// fails but those that died with their worker, were given up or were to fail; and
// in the end the pool is as it was, and then nothing is left of it.
//
// It prints a seed, with which its choices, though not the machine's, are made
// again.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again: go test -run 'TestChaos' ./executor -chaos.for=%v -chaos.seed=%d", *chaosFor, seed)
	for i, s := range []struct {
		name   string
		share  float64 // of the time
		cfg    executor.Config
		shared bool // the calls in a worker share its fate
		nests  bool // calls make calls of the pool
		// leave ends the pool with calls in it.
		leave func(*executor.Pool) error
	}{
		{"one by one", 0.3, executor.Config{Workers: 3, Spares: 1, MaxCalls: 200, MaxAge: 3 * time.Second}, false, false, shutdown},
		{"elastic", 0.2, executor.Config{MinWorkers: 1, Workers: 4, IdleTimeout: 20 * time.Millisecond}, false, false, (*executor.Pool).Close},
		{"several at once", 0.2, executor.Config{Workers: 2, Concurrency: 4, RetireGrace: 200 * time.Millisecond}, true, false, (*executor.Pool).Close},
		// Who waits for a call of its own may share a worker with it.
		{"nested", 0.3, executor.Config{Workers: 2, Spares: 1, MaxCalls: 300}, true, true, shutdown},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := newChaos(t, s.cfg, seed+uint64(i), s.shared)
			c.nests = s.nests
			c.run(time.Duration(float64(*chaosFor) * s.share))
			c.leave(s.leave)
		})
	}
}

func shutdown(p *executor.Pool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.Shutdown(ctx)
}

// chaos is a pool under attack, and its callers.
type chaos struct {
	t      *testing.T
	seed   uint64
	cfg    executor.Config
	pool   *executor.Pool
	monkey *monkey
	ledger chaosLedger
	shared bool
	nests  bool

	ids      atomic.Int64 // calls so far, those of a Map that left early included
	closing  atomic.Bool  // ErrClosed is an outcome now
	outcomes outcomes
}

func newChaos(t *testing.T, cfg executor.Config, seed uint64, shared bool) *chaos {
	t.Helper()
	processes(t)
	sockets, err := os.MkdirTemp("", "chaos") //nolint:usetesting // the path of t.TempDir has no room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(sockets); err != nil {
			t.Errorf("something is left where the sockets were: %v", err)
		}
	})
	c := &chaos{t: t, seed: seed, shared: shared, outcomes: newOutcomes()}
	c.ledger.path = filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(c.ledger.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mark := ledgerVariable + "=" + c.ledger.path
	c.monkey = newMonkey(mark)
	cfg.SocketDir, cfg.QueueSize, cfg.CancelGrace, cfg.HungAfter = sockets, 100, 50*time.Millisecond, 3*time.Second
	cfg.OnEvent = c.monkey.heard
	// The race detector keeps every process for a second at its end.
	cfg.Env = append(os.Environ(), mark, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	c.cfg, c.pool = cfg, newPool(t, cfg)
	return c
}

const (
	callers = 4
	// aRound is after how long all calls made so far must have ended, so that the
	// ledger can be held against them.
	aRound = 5 * time.Second
)

// run goes on for a while and then waits until the pool is as it was.
func (c *chaos) run(d time.Duration) {
	ctx, cancel := context.WithCancel(c.t.Context())
	attacked := make(chan struct{})
	go func() {
		defer close(attacked)
		c.monkey.run(ctx, rand.New(rand.NewPCG(c.seed, 0)), c.pool)
	}()
	end := time.Now().Add(d)
	for round := uint64(1); time.Now().Before(end) && !c.t.Failed(); round++ {
		c.check(c.round(round, min(aRound, time.Until(end)), c.settled))
	}
	cancel()
	<-attacked
	c.fullSize()
	c.count()
	c.t.Logf("%d calls: %v; attacks: %v; %+v", c.ids.Load(), &c.outcomes, c.monkey, c.pool.Stats())
}

// fullSize waits until the pool is as it was in the beginning.
func (c *chaos) fullSize() {
	if err := c.pool.Resize(c.cfg.Workers); err != nil {
		c.t.Error(err)
	}
	least := c.cfg.Workers
	if c.cfg.MinWorkers > 0 {
		least = c.cfg.MinWorkers
	}
	eventually(c.t, "the pool is at full size", func() bool {
		s := c.pool.Stats()
		return s.Idle >= least && s.Idle+s.Spares == s.Workers && s.Spares == c.cfg.Spares && s.Starting == 0 && s.Retiring == 0
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.pool.Restart(ctx); err != nil {
		c.t.Errorf("nobody attacks, and a restart ends with: %v", err)
	}
}

// leave ends the pool while it has calls, which end too.
func (c *chaos) leave(end func(*executor.Pool) error) {
	c.closing.Store(true)
	half := make(chan struct{})
	go func() {
		defer close(half)
		pause(c.t.Context(), 300)
		if err := end(c.pool); err != nil {
			c.t.Errorf("the end of the pool: %v", err)
		}
	}()
	c.check(c.round(0, time.Second, func() { <-half }))
	c.pool.Close()
	c.count()
}

// round has the callers make calls for a while and returns them when each has
// ended and settled says that none goes on.
func (c *chaos) round(number uint64, d time.Duration, settled func()) (records []*record) {
	ctx, cancel := context.WithTimeout(c.t.Context(), d)
	defer cancel()
	var (
		wg  sync.WaitGroup
		all [callers][]*record
	)
	for i := range all {
		wg.Go(func() {
			all[i] = c.caller(ctx, rand.New(rand.NewPCG(c.seed, number*callers+uint64(i)+1)))
		})
	}
	wg.Wait()
	settled()
	for _, of := range all {
		records = append(records, of...)
	}
	return records
}

// settled waits until no call runs any more, those that were given up included.
func (c *chaos) settled() {
	eventually(c.t, "the pool has nothing to do", func() bool {
		s := c.pool.Stats()
		return s.Queued == 0 && s.Running == 0 && s.Delayed == 0 && s.Nested == 0 && s.Dedicated == 0 && s.Actors == 0
	})
}

// count holds the pool's counts against each other and against the calls made.
func (c *chaos) count() {
	s := c.pool.Stats()
	if s.Submitted != s.Succeeded+s.Failed+s.Cancelled+s.Refused || s.Submitted > uint64(c.ids.Load()) {
		c.t.Errorf("%d calls were made, and the counts don't add up: %+v", c.ids.Load(), s)
	}
}
