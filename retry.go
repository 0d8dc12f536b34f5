package procpool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// FailureClass is a kind of failed attempt that may be worth another.
type FailureClass uint8

// The classes of failed attempts. Cancellation, the end of the caller's context
// and refusals are none: nothing is run again after them.
const (
	// CrashFailure is the death of the worker, but for want of memory.
	CrashFailure FailureClass = iota + 1
	// OOMFailure is the death of the worker where the verdict on memory is
	// [OOMYes] or [OOMLikely].
	OOMFailure
	// TimeoutFailure is an attempt that ran longer than its [Timeout].
	TimeoutFailure
	// TaskFailure is an error or a panic of the task itself.
	TaskFailure
	failureClasses
)

// String returns the class in lower case.
func (c FailureClass) String() string {
	switch c {
	case CrashFailure:
		return "crash"
	case OOMFailure:
		return "out of memory"
	case TimeoutFailure:
		return "timeout"
	case TaskFailure:
		return "task failure"
	case failureClasses:
	}
	return "invalid"
}

const (
	// idempotentRetries is how often [Idempotent] lets a call be run again.
	idempotentRetries = 2
	// maxRetries bounds [Retries], since each failed attempt is remembered.
	maxRetries = 100
	// defaultFirstDelay and defaultLongestDelay are the [Backoff] unless another
	// is given.
	defaultFirstDelay   = 20 * time.Millisecond
	defaultLongestDelay = 5 * time.Second
)

// retryPolicy says when a call may be run again. It is never modified once a spec
// refers to it.
type retryPolicy struct {
	max            int
	first, longest time.Duration
	on             [failureClasses]bool
	when           [failureClasses]func(error) bool // nil: whenever on says so
}

// changeRetry gives s a policy of its own with change applied.
func (s *spec) changeRetry(change func(*retryPolicy)) {
	p := retryPolicy{first: defaultFirstDelay, longest: defaultLongestDelay}
	p.on[CrashFailure], p.on[OOMFailure] = true, true
	if s.retry != nil {
		p = *s.retry
	}
	change(&p)
	s.retry = &p
}

// Idempotent says that a call may safely be run more than once. It is then run
// again when its worker died, at most twice: [Retries] sets another number,
// [RetryOn] other reasons. Without either a call that has started is never run
// again.
func Idempotent() Option {
	return optionFunc(func(s *spec) {
		s.changeRetry(func(p *retryPolicy) {
			if p.max == 0 {
				p.max = idempotentRetries
			}
		})
	})
}

// Retries says that a call may safely be run more than once, and how often it is
// run again: n times at most, whatever the reasons. What counts as a reason is the
// death of its worker; [RetryOn] changes that. Between two attempts it waits (see
// [Backoff]). Where several calls ran in the worker that died, each is run again
// alone, so that the innocent ones finish. A call whose context has ended is not
// run again.
//
// When n are used up the call fails with the last attempt's error, which after a
// crash also matches [ErrPoison]. The attempts before are in [CallInfo.Failed].
// Retries(0) forbids what an option before it has allowed. It panics when n is
// negative or above 100.
func Retries(n int) Option {
	if n < 0 || n > maxRetries {
		panic(fmt.Sprintf("procpool: Retries(%d): between 0 and %d", n, maxRetries))
	}
	return optionFunc(func(s *spec) { s.changeRetry(func(p *retryPolicy) { p.max = n }) })
}

// RetryOn says that a failure of the given class is a reason to run the call again
// if when says so; nil means always. when is given the attempt's error, as the
// caller would get it. Without RetryOn crashes and running out of memory are a
// reason, timeouts and task failures are none. How often is for [Idempotent] or
// [Retries] to say. when is called on a goroutine of the pool's, by several at
// once, and should be quick; a panic in it means no. RetryOn panics for a class
// that there is not.
func RetryOn(class FailureClass, when func(error) bool) Option {
	if class < CrashFailure || class >= failureClasses {
		panic(fmt.Sprintf("procpool: RetryOn(%d): there is no such class", class))
	}
	return optionFunc(func(s *spec) {
		s.changeRetry(func(p *retryPolicy) { p.on[class], p.when[class] = true, when })
	})
}

// Backoff sets how long a call that is run again waits before its first re-run, and
// the longest; in between the wait doubles. Each is made shorter by up to a half by
// chance, so that calls that failed together do not come back together. The default
// is 20 ms and 5 s. It panics when first is negative or longest below it.
func Backoff(first, longest time.Duration) Option {
	if first < 0 || longest < first {
		panic(fmt.Sprintf("procpool: Backoff(%v, %v): from a first wait to the longest", first, longest))
	}
	return optionFunc(func(s *spec) {
		s.changeRetry(func(p *retryPolicy) { p.first, p.longest = first, longest })
	})
}

// MayRetry reports whether the call could be run again at all: its options allow
// it, and no value of a stream has passed, which can't be taken back. It is a quick
// look before [Call.Retry].
func (c *Call) MayRetry() bool {
	if c.spec.retry == nil || c.spec.retry.max == 0 {
		return false
	}
	d := c.Conduit()
	return d == nil || !d.Used()
}

// Retry decides whether the call is run again after one more of its attempts,
// which makes failures so far, failed with err, and after what wait. If not, final
// is the error to finish the call with. It may run user code (see [RetryOn]), so it
// is not to be called with locks held. When it has said yes, what the failed attempt
// of a stream or a session still sends is dropped. Executors use it.
func (c *Call) Retry(failures int, err error) (wait time.Duration, again bool, final error) {
	p, err := c.spec.retry, c.judge(err)
	class := classOf(err)
	if p == nil || class == 0 || !p.on[class] || c.pastDeadline() {
		return 0, false, err
	}
	if when := p.when[class]; when != nil && !agrees(when, err) {
		return 0, false, err
	}
	if failures > p.max {
		if crash, ok := errors.AsType[*CrashError](err); ok && p.max > 0 {
			err = PoisonError(c, failures, crash)
		}
		return 0, false, err
	}
	if d := c.Conduit(); d != nil && !d.detach() {
		return 0, false, err
	}
	return p.wait(failures), true, nil
}

// wait returns how long a call waits after so many failures.
func (p *retryPolicy) wait(failures int) time.Duration {
	wait := p.first
	for range min(failures-1, 62) { // twice as long each time, with no overflow
		wait += min(wait, p.longest-wait)
	}
	return wait - time.Duration(rand.Float64()*float64(wait)/2) //nolint:gosec // jitter, no secret
}

// classOf returns what kind of failed attempt err is, 0 for none that could be run
// again. A sentinel that a task's error has taken along is the task's.
func classOf(err error) FailureClass {
	var (
		crash    *CrashError
		timeout  *TimeoutError
		task     *TaskError
		panicked *PanicError
	)
	switch {
	case errors.As(err, &task), errors.As(err, &panicked):
		return TaskFailure
	case errors.Is(err, ErrActorEnded):
		return 0 // of a crash, but not the call's
	case errors.As(err, &crash) && crash.OOM != OOMNo:
		return OOMFailure
	case crash != nil:
		return CrashFailure
	case errors.As(err, &timeout):
		return TimeoutFailure
	}
	return 0
}

func agrees(when func(error) bool, err error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return when(err)
}
