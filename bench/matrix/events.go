package main

import (
	"regexp"

	"github.com/procpool/procpool"
)

// event is a row of the matrix: something that happens to a pool.
type event struct {
	Key  string // what -only and the Python script call it
	What string // what the table calls it
	// Call is what must have become of the call in any pool for its row to be
	// good, Ours what must have become of it in procpool's.
	Call, Ours *regexp.Regexp
	// Good is the verdict of a good row, Bad the one where Call does not match.
	Good, Bad string
	// KillHost has the host killed when it is ready; what counts then is which
	// processes are left.
	KillHost bool
	// Alone has nothing but the one call.
	Alone bool
	// Lacks names the pools that have no such thing.
	Lacks []string
	// play is procpool's part.
	play func(*host) error
}

const (
	onlyThatCall  = "only that call"
	nobodyNotices = "nobody notices"
	nothingLeft   = "nothing left"
)

// itsFate compiles the expression for a fate.
func itsFate(expression string) *regexp.Regexp { return regexp.MustCompile(expression) }

// anyError is the fate of a call that ended with an error, whatever its name.
const anyError = "^[A-Z]"

// events are the rows, in the order of the table.
func events() []event {
	rows := []event{
		inTask("kill", "kill -9 in a task", "^CrashError, signal: killed"),
		inTask("exit", "os.Exit(3), os._exit(3)", "^CrashError, exit status 3"),
		inTask("segv", "a segmentation fault", "^CrashError, exit status 2"),
		inTask("panic", "a panic, an exception", "^PanicError"),
		inTask("goexit", "runtime.Goexit, sys.exit(4)", "^PanicError"),
		inTask("odd", "an error that can't be read, an exception with two arguments", "^TaskError"),
		{
			Key: "interrupt", What: "Ctrl-C reaches the worker (SIGINT)", Call: itsFate("^([A-Z]|ok)"), Ours: itsFate("^ok"),
			play: func(h *host) error { return h.among(h.interrupt) },
		},
		ofValue("argument-encode", "the argument can't be encoded", func(h *host) func() string {
			return later(h, procpool.Remote[chan int, int]("square").Submit(h.ctx, h.pool, make(chan int)))
		}),
		ofValue("argument-encoder", "the argument's own encoder fails", func(h *host) func() string {
			return later(h, takeRough.Submit(h.ctx, h.pool, failsToEncode))
		}),
		ofValue("argument-decode", "the argument can't be decoded in the worker", func(h *host) func() string {
			return later(h, takeRough.Submit(h.ctx, h.pool, failsToDecode))
		}),
		ofValue("result-encode", "the result can't be encoded", func(h *host) func() string {
			return later(h, unwritable.Submit(h.ctx, h.pool, 1))
		}),
		ofValue("result-decode", "the result can't be decoded by its caller", func(h *host) func() string {
			return later(h, giveRough.Submit(h.ctx, h.pool, 1))
		}),
		{
			Key: "idle", What: "an idle worker is killed", Call: itsFate("^-$"), Ours: itsFate("^-$"), Good: nobodyNotices,
			play: func(h *host) error { return h.among(h.killIdle) },
		},
		{
			Key: "callback", What: "a callback panics or raises", Call: itsFate("^ok$"), Ours: itsFate("^ok$"), Good: nobodyNotices,
			play: func(h *host) error { return h.among(h.badCallback) },
		},
		{
			Key: "cancel", What: "cancel a running call", Call: itsFate("^Cancel"), Ours: itsFate("^Canceled$"), Bad: "it runs on",
			Lacks: []string{multiprocessingPool},
			play:  func(h *host) error { return h.among(h.cancelRunning) },
		},
		{
			Key: "timeout", What: "a limit of 0.5 s on a task of 10 s", Call: itsFate("^TimeoutError"), Ours: itsFate("^TimeoutError$"),
			Lacks: []string{executorPool, multiprocessingPool},
			play:  func(h *host) error { return h.among(h.timeOut) },
		},
		{
			Key: "cancel-many", What: "cancel 8 calls, one of which runs", Call: itsFate("^8 of 8"), Ours: itsFate("^8 of 8"),
			Good: "only those calls", Bad: "some run on", Lacks: []string{multiprocessingPool},
			play: func(h *host) error { return h.among(h.cancelMany) },
		},
	}
	rows = append(rows, event{
		Key: "stop", What: "a worker is stopped in a task (SIGSTOP)", Call: itsFate(anyError), Ours: itsFate("^CrashError, hung"),
		play: func(h *host) error { return h.among(h.stopRunning) },
	}, event{
		Key: "initializer", What: "the initializer fails", Call: itsFate(anyError), Ours: itsFate("^StartError, starts: 1$"),
		Good: "it says so", Alone: true, play: (*host).badInitializer,
	})
	return append(rows,
		hostKilled("host-idle", "the host is killed, its workers are idle", func(*host) error { return nil }),
		hostKilled("host-busy", "the host is killed, its workers are in a task of 4 s", (*host).occupy),
		hostKilled("host-stopped", "the host is killed, its workers are stopped (SIGSTOP)", (*host).stopAll),
		hostKilled("host-children", "the host is killed, its workers have started programs", (*host).startPrograms),
	)
}

// inTask is something that a running task does to itself or to its process.
func inTask(key, title, ours string) event {
	return event{
		Key: key, What: title, Call: itsFate(anyError), Ours: itsFate(ours),
		play: func(h *host) error {
			return h.among(func(int) (func() string, error) {
				f := deed.Submit(h.ctx, h.pool, what{key, h.path("call")})
				_, err := h.started("call")
				return later(h, f), err
			})
		},
	}
}

// ofValue is trouble with an argument or a result.
func ofValue(key, title string, submit func(*host) func() string) event {
	return event{
		Key: key, What: title, Call: itsFate(anyError), Ours: itsFate("^CodecError"),
		play: func(h *host) error {
			return h.among(func(int) (func() string, error) { return submit(h), nil })
		},
	}
}

// hostKilled is the end of the whole program by SIGKILL.
func hostKilled(key, title string, occupy func(*host) error) event {
	return event{
		Key: key, What: title, KillHost: true, Good: nothingLeft,
		play: func(h *host) error {
			if err := h.start(); err != nil {
				return err
			}
			if err := occupy(h); err != nil {
				return err
			}
			if err := h.tell("ready", fateOK); err != nil {
				return err
			}
			select {}
		},
	}
}
