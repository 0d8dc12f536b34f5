package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// Config says which worker to try and how.
type Config struct {
	// Command is the program and its arguments. A name without a slash is looked up
	// in PATH.
	Command []string
	// Env is the environment as KEY=VALUE; nil means this process's. Variables that
	// begin with PLUGIN_ or PROCPOOL_ are dropped.
	Env []string
	// Dir is the worker's working directory; empty means this process's.
	Dir string
	// Limit bounds each case; 0 means a minute.
	Limit time.Duration
	// Grace is how long a worker may take for what it is to do at once: to leave, to
	// heed a cancellation, to answer a ping. 0 means five seconds.
	Grace time.Duration
	// Only chooses the cases by their ID; nil means all.
	Only *regexp.Regexp
}

// ErrNotInitialized says that the program did not call [Init].
var ErrNotInitialized = errors.New("conformance.Init was not called: call it first thing in main, so that the kit can run the program again as a host that dies")

func (c Config) withDefaults() Config {
	if c.Env == nil {
		c.Env = os.Environ()
	}
	if c.Limit <= 0 {
		c.Limit = time.Minute
	}
	if c.Grace <= 0 {
		c.Grace = 5 * time.Second
	}
	return c
}

// Run runs those of the cases that cfg chooses, one after the other, and reports
// each as it ends, on the calling goroutine. A case that fails is no error. The
// error says that the kit can't do its work: no command, or one that can't be run, a
// system without Unix sockets, an Init that is missing, the end of ctx. Nothing that it has started is
// left when it returns.
func Run(ctx context.Context, cfg Config, cases []Case, report func(Result)) error {
	switch {
	case len(cfg.Command) == 0:
		return errors.New("conformance: there is no command to run; name the worker program")
	case runtime.GOOS == "windows":
		return fmt.Errorf("conformance: the kit speaks to workers over Unix sockets, which it does not do on Windows: %w", errors.ErrUnsupported)
	case !initialized.Load():
		return ErrNotInitialized
	}
	k := &kit{cfg: cfg.withDefaults(), spawner: proc.NewSpawner()}
	defer k.spawner.Close()
	k.probe(ctx)
	if e, ok := errors.AsType[*proc.StartError](k.helloErr); ok {
		return fmt.Errorf("conformance: %w", e)
	}
	for _, c := range cases {
		if cfg.Only != nil && !cfg.Only.MatchString(c.ID()) {
			continue
		}
		r := k.run(ctx, c)
		if ctx.Err() != nil {
			return fmt.Errorf("conformance: the run was given up in %s: %w", c.ID(), context.Cause(ctx))
		}
		report(r)
	}
	return nil
}

// kit is one run over the cases.
type kit struct {
	cfg     Config
	spawner *proc.Spawner

	hello    *workerv1.HelloResponse
	helloErr error // why there is no hello
}

// probe learns what the worker says of itself.
func (k *kit) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Limit)
	defer cancel()
	h, err := rawhost.Connect(ctx, k.options())
	if err != nil {
		k.helloErr = err
		return
	}
	defer h.Close()
	k.hello = h.Hello()
}

// options are those of a raw host that offers everything.
func (k *kit) options() rawhost.Options {
	return rawhost.Options{
		Spawner: k.spawner, Command: k.cfg.Command, Env: k.cfg.Env, Dir: k.cfg.Dir, Lanes: lanesAsked,
		Capabilities: []string{capActor, capHostCall, capShared, capProgress, capLog},
	}
}

// lanesAsked is how many lanes a raw host asks for.
const lanesAsked = 4

// run runs one case.
func (k *kit) run(ctx context.Context, c Case) Result {
	began := time.Now()
	r := Result{Section: c.Section, Name: c.Name}
	r.Outcome, r.Reason = k.try(ctx, c)
	r.Duration = time.Since(began)
	return r
}

func (k *kit) try(ctx context.Context, c Case) (Outcome, string) {
	if len(c.uses)+len(c.needs) > 0 {
		if k.helloErr != nil {
			return Fail, "The worker can't be started: " + k.helloErr.Error()
		}
		if why, allowed := lacks(k.hello, c); allowed {
			return Skip, why
		} else if why != "" {
			return Fail, why
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.cfg.Limit, fmt.Errorf("the limit of %v for a case is over", k.cfg.Limit))
	defer cancel()
	t := &trial{kit: k, ctx: ctx, uses: c.uses}
	done := make(chan struct{})
	go func() { // which the case ends, when it has failed, in its middle
		defer close(done)
		defer t.cleanUp()
		c.run(t)
	}()
	<-done
	return t.outcome()
}
