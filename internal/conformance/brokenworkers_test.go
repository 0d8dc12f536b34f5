//go:build unix

package conformance_test

import (
	"slices"

	"github.com/procpool/procpool/internal/wire/plainworker"
)

// cases names cases by section.
type cases = map[string][]string

// brokenWorkers is the table of what each fault costs.
func brokenWorkers() []broken { return slices.Concat(brokenCallers(), brokenActors(), brokenSharers()) }

// brokenCallers are broken in what all calls have in common, and in streams and sessions.
func brokenCallers() []broken {
	return []broken{
		{fault: plainworker.NoNewline, fails: cases{"start": {"handshake behind output"}}, because: `expected "", got "loading the model: 97%"`},
		{fault: plainworker.HelloAgain, fails: cases{"start": {"hello twice"}}, because: "expected the error FAILED_PRECONDITION"},
		{fault: plainworker.WorkAtOnce, fails: cases{"start": {"work before hello"}}, because: "expected the error FAILED_PRECONDITION"},
		{fault: plainworker.AnyPage, fails: cases{"start": {"foreign page"}}, because: "recorder_open: expected false, got true"},
		{fault: plainworker.TwoGuests, fails: cases{"start": {"one connection"}}},
		{
			fault: plainworker.KeepsStdin, because: `expected "/dev/null"`,
			fails: cases{"surroundings": {"standard input", "standard input of children"}},
		},
		{fault: plainworker.KeepsEnv, fails: cases{"surroundings": {"environment"}}, because: "expected none of the handshake's variables"},
		{fault: plainworker.DiesOfInt, fails: cases{"leaving": {"interrupt"}}, because: "SIGINT"},
		{fault: plainworker.IgnoresInt, fails: cases{"leaving": {"interrupt of children"}}, because: "ignores SIGINT"},
		{
			fault: plainworker.StaysAlone, because: "expected that the process ends",
			fails:   cases{"leaving": {"idle", "before the host came", "waiting call", "computing call", "deaf call", "child"}},
			perhaps: cases{"sessions": {"process of its own"}},
		},
		{fault: plainworker.StaysHungUp, fails: cases{"leaving": {"connection ends", "connection ends in a call", "stream ends"}}, because: "The connection ended"},

		{
			fault: plainworker.OneNumber, because: "it answered call 1 on lane 0, where call 2 was the next to be answered",
			fails: cases{"packs": {"sizes", "one fails", "one is cancelled", "fence", "one kills the process", "context", "very many items", "map"}},
		},
		{fault: plainworker.OnePack, fails: cases{"packs": {"one kills the process", "very many items"}}, because: "on the wire and in the journal: expected 12, got 0"},
		{fault: plainworker.EndsOnUnknown, fails: cases{"failures": {"unknown function"}}, because: "there is no such function"},
		{
			fault: plainworker.AnyKind, because: "that of a stream or a session is empty",
			fails: cases{"failures": {"called as what it is not"}, "actors": {"no such actor"}},
		},
		{
			fault: plainworker.CodecAsTask, because: "expected a *procpool.CodecError", everywhere: true,
			fails: cases{
				"values": {"no argument", "malformed argument", "unknown codec", "result that can't be encoded"},
				"packs":  {"one fails"}, "streams": {"bad argument"}, "sessions": {"bad value"}, "actors": {"codecs", "failures"},
			},
		},
		{fault: plainworker.PanicKills, fails: cases{"failures": {"panic", "end of the thread"}}, because: "signal: killed"},
		{fault: plainworker.NoLimit, fails: cases{"values": {"too large"}, "streams": {"value too large"}}, because: "expected an error, got the result"},
		{fault: plainworker.OwnClock, fails: cases{"cancel": {"clock is the host's"}}, because: "timeout_nanos was 1"},
		{fault: plainworker.FirstAttempt, fails: cases{"packs": {"context"}, "messages": {"context"}}, because: "the attempt: expected"},
		{
			fault: plainworker.OneThread, because: "on lane 1 did not come",
			fails: cases{
				"cancel": {"neighbour"}, "streams": {"others go on"}, "messages": {"lanes"},
				"nested": {"function", "in a pool of one", "errors", "many", "stream"},
				"actors": {"lanes"}, "shared state": {"queue that waits", "in a pool of one"},
			},
			perhaps: cases{"nested": {"left behind"}},
		},
		{fault: plainworker.QueuesLittle, fails: cases{"messages": {"reads while calls run"}}, because: "expected that the worker reads them while hold runs, it does not"},

		{
			fault: plainworker.NoReplyFirst, because: "is neither on the wire nor in the journal",
			fails:   cases{"deaths": {"results before a crash", "large result before a crash"}},
			perhaps: cases{"deaths": {"only what ran", "last words"}, "packs": {"one kills the process"}, "streams": {"dies half way"}},
		},
		{
			fault: plainworker.RunsDeclined, because: `what was noted: expected ""`,
			fails: cases{
				"cancel":     {"queued call", "first instruction"},
				"withdrawal": {"fence ahead of all", "fence in the queue", "race"},
				"packs":      {"one is cancelled", "fence"}, "actors": {"cancelled before its turn", "fence"},
			},
			perhaps: cases{
				"withdrawal": {"sent ahead"}, "cancel": {"hits no other"}, "packs": {"map"}, "nested": {"left behind"},
				"shared state": {"one at a time"}, "actors": {"order"},
			},
		},
		{
			fault: plainworker.ForgetsFence, because: "expected that it is declined",
			fails: cases{
				"withdrawal": {"fence ahead of all", "fence in the queue", "fence below"}, "packs": {"fence"}, "actors": {"fence"},
			},
			perhaps: cases{"withdrawal": {"race", "sent ahead"}, "packs": {"map"}, "shared state": {"one at a time"}, "actors": {"order"}},
		},
		{
			fault: plainworker.CountsDecline, because: "what the page says was started",
			fails: cases{"withdrawal": {"fence ahead of all", "fence in the queue", "fence below"}},
		},
		{
			fault: plainworker.NeverFinishes, because: "what the page says was finished",
			fails: cases{"deaths": {"results before a crash", "recorder"}, "withdrawal": {"fence ahead of all"}, "packs": {"one kills the process"}},
		},
		{
			fault: plainworker.NeverWaits, because: "expected that waiting_since is set",
			fails: cases{
				"streams": {"waiting is noted"}, "sessions": {"waiting is noted"}, "nested": {"waiting is noted"}, "shared state": {"waiting is noted"},
			},
		},

		{
			fault: plainworker.Deaf, because: `expected that it notes "cancelled"`, everywhere: true,
			fails: cases{
				"cancel":  {"waiting call", "computing call", "deadline", "run time limit", "outcome", "queued call", "first instruction", "neighbour"},
				"packs":   {"one is cancelled"},
				"streams": {"reader leaves", "cancel without credit"}, "sessions": {"deaf", "cancelled while it waits"},
				"nested": {"caller cancelled"}, "actors": {"cancelled method", "cancelled before its turn"},
				"shared state": {"given up", "give back what was given up", "granted just then", "batch given up"},
			},
			perhaps: cases{"nested": {"left behind"}},
		},
		{
			fault: plainworker.LosesEarly, because: "expected that it is declined",
			fails:   cases{"cancel": {"queued call"}, "packs": {"one is cancelled"}, "actors": {"cancelled before its turn"}},
			perhaps: cases{"cancel": {"first instruction"}},
		},
		{
			fault: plainworker.HitsNext, because: "Cancels came for calls that had ended",
			fails: cases{
				"cancel": {"queued call", "too late", "hits no other"}, "packs": {"one is cancelled"}, "actors": {"cancelled before its turn"},
			},
		},
		{
			fault: plainworker.DeclinesEarly, because: "where call 1 was the next to be answered",
			fails:   cases{"cancel": {"queued call"}, "packs": {"one is cancelled"}, "actors": {"cancelled before its turn"}},
			perhaps: cases{"cancel": {"first instruction", "hits no other"}},
		},
		{
			fault: plainworker.EndsEarly, because: "expected that it keeps the mutex",
			fails:   cases{"cancel": {"deaf call"}, "shared state": {"cancelled call that goes on"}},
			perhaps: cases{"shared state": {"give back what was given up", "granted just then", "batch given up"}},
		},

		{
			fault: plainworker.NoCredit, because: "when the credit left was 0 values",
			fails: cases{"streams": {
				"slow reader", "credit of values", "credit of bytes", "credit for nobody", "cancel without credit", "waiting is noted", "others go on",
			}},
			perhaps: cases{"sessions": {"both ways at once"}, "nested": {"stream"}, "streams": {"values", "fails half way", "reader leaves"}},
		},
		{fault: plainworker.NoBytes, fails: cases{"streams": {"credit of bytes"}}, because: "999 values and -101 bytes"},
		{
			fault: plainworker.KeepsFirst, because: "waits behind the first: expected value 0",
			fails: cases{
				"streams": {
					"first value at once", "large values", "value too large", "credit of values", "credit of bytes", "credit for nobody", "cancel without credit",
					"waiting is noted", "others go on",
				},
				"sessions": {"echo", "large values", "process of its own", "all credit at once", "waiting is noted"},
			},
		},
		{
			fault: plainworker.NoEnd, because: "expected the end of the session",
			fails: cases{
				"sessions": {
					"echo", "both ways at once", "sum", "large values", "process of its own", "all credit at once", "end and credit in one message",
					"values for nobody", "waiting is noted",
				},
				"nested": {"session"},
			},
		},
		{
			fault: plainworker.NoMore, because: "credit for values to call 1",
			fails: cases{"sessions": {"both ways at once", "sum", "large values", "all credit at once"}, "nested": {"session"}},
		},
		{fault: plainworker.TakesAll, fails: cases{"sessions": {"values without credit"}}, because: "expected that the worker ends the stream Work"},

		{
			fault: plainworker.LazyPong, because: "A Ping came while the worker ran hold: expected 1 Pongs",
			fails: cases{
				"signs of life": {"waiting call", "computing call", "deaf call", "lives"},
				// They wait for a Pong, to know that a Cancel has come.
				"cancel": {"queued call", "too late", "hits no other"}, "packs": {"one is cancelled"}, "actors": {"cancelled before its turn"},
			},
		},
		{
			fault: plainworker.SaysAll, because: "which it was not offered",
			fails: cases{"reports": {"progress not offered", "log message", "log not offered"}},
		},
		{
			fault: plainworker.SaysLate, because: "the number of Logs before the outcome: expected 3, got 0",
			fails: cases{"reports": {"progress", "progress message", "log message"}},
		},
		{
			fault: plainworker.CallsAtWill, because: "it sent a HostCall, which it was not offered",
			fails: cases{"nested": {"not offered"}, "actors": {"not offered"}, "shared state": {"not offered"}},
		},
		{
			fault: plainworker.SameCall, because: "a HostCall has the id 1; ids are above 0 and not used twice",
			fails: cases{
				"nested": {"in a pool of one", "message", "failures", "replies for nobody", "credit for a stream"},
				"actors": {"host calls", "host replies"},
				"shared state": {
					"queue that waits", "in a pool of one", "messages", "replies", "failures", "many grants", "give back what was given up",
					"granted just then", "batch messages", "batch given up",
				},
			},
		},
		{
			fault: plainworker.OneKind, because: `expected of call 1 an error of kind "ended"`,
			fails: cases{"actors": {"errors for tasks", "not made", "opened anew for a task", "re-entrant", "host replies"}},
		},
	}
}
