package shared

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// Semaphore is a number of permits, each of which one may have at a time. It is a
// handle, immutable and safe for concurrent use.
type Semaphore struct {
	name string
	size int
}

// DefineSemaphore makes a handle on the semaphore of that name, which has so many
// permits. It panics when name is empty, longer than 1 KiB, or no UTF-8 text, and when
// size is below 1 or above 2,147,483,647.
func DefineSemaphore(name string, size int) *Semaphore {
	checkName("DefineSemaphore", name)
	if size < 1 || size > math.MaxInt32 {
		panic(fmt.Sprintf("procpool/shared: DefineSemaphore(%q, %d): a semaphore has between 1 and %d permits", name, size, math.MaxInt32))
	}
	return &Semaphore{name: name, size: size}
}

// Name returns the semaphore's name.
func (s *Semaphore) Name() string { return s.name }

// Acquire gets n permits at once. It blocks until there are so many, at most until ctx
// ends. Permits are granted in the order in which they were asked for: who asks for
// many is not overtaken by those who ask for few. More than there are is an error.
func (s *Semaphore) Acquire(ctx context.Context, ex procpool.Executor, n int) (*Permits, error) {
	return s.acquire(ctx, ex, sharedop.Args{Name: s.name, Size: s.size, Count: n})
}

// TryAcquire gets n permits if there are so many and nobody waits for some, else the
// error matches [ErrWouldBlock].
func (s *Semaphore) TryAcquire(ctx context.Context, ex procpool.Executor, n int) (*Permits, error) {
	return s.acquire(ctx, ex, sharedop.Args{Name: s.name, Size: s.size, Count: n, NoWait: true})
}

func (s *Semaphore) acquire(ctx context.Context, ex procpool.Executor, args sharedop.Args) (*Permits, error) {
	what := fmt.Sprintf("%d permits of semaphore %q were not got", args.Count, s.name)
	g, reply, err := acquire(ctx, ex, semaphoreAcquire, semaphoreRelease, args, what)
	if err != nil {
		return nil, err
	}
	p := &Permits{grant: g, abandoned: reply.Abandoned}
	p.keeper = keep(p, g, reply)
	return p, nil
}

// Permits are permits of a semaphore that somebody has.
type Permits struct {
	grant     *grant
	keeper    keeper
	abandoned bool
}

// Abandoned reports whether permits had come back since the last were granted which
// somebody had not given back, but died, or ended without doing so.
func (p *Permits) Abandoned() bool { return p.abandoned }

// Release gives the permits back. It does not block. Further calls do nothing, and
// neither does one behind the end of the call that they belonged to.
func (p *Permits) Release() {
	p.keeper.stop()
	p.grant.back(sharedop.Args{})
	runtime.KeepAlive(p)
}
