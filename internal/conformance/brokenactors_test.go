//go:build unix

package conformance_test

import "github.com/procpool/procpool/internal/wire/plainworker"

// brokenActors are broken in what they do with actors.
func brokenActors() []broken {
	return []broken{
		{
			fault: plainworker.NewEachTime, because: "2 was added, and add was called of actor 1 with -2: the sum: expected 40, got 38",
			fails: cases{"actors": {
				"state", "order", "failing method", "close", "restarts", "shared process", "messages", "codecs", "number in use", "close of nothing",
				"failures", "several", "lanes", "fence", "made by a task", "made by an actor", "passed on",
			}},
		},
		{
			fault: plainworker.OneActor, because: "A thousand actors were opened, this is number 1: expected a result",
			fails: cases{"actors": {
				"shared process", "codecs", "no such actor", "close of nothing", "failures", "several", "lanes", "opened anew for a task",
			}},
		},
		{
			fault: plainworker.Replaces, because: "Actor 7 was opened when there was one of that number: expected a failure",
			fails: cases{"actors": {"number in use"}},
		},
		{
			fault: plainworker.AnyMethod, because: "Method 7 was called of an actor that has 6",
			fails: cases{"actors": {"no such actor"}},
		},
		{
			fault: plainworker.LosesFailed, because: "tally.fail was called, which adds 1 and fails, and tally.add was called with 0: expected the sum 8",
			fails: cases{"actors": {"failing method", "cancelled method", "codecs", "failures", "made by a task", "errors for tasks"}},
		},
		{
			fault: plainworker.KeepsFailed, because: "Actor 3 was opened and failed: expected a failure of FAILURE_KIND_TASK",
			fails: cases{"actors": {"failed open leaves nothing"}},
		},
		{
			fault: plainworker.StrictClose, because: "Actor 7 was closed: expected a result",
			fails: cases{"actors": {"close of nothing", "failed open leaves nothing", "failed close leaves nothing"}},
		},
		{
			fault: plainworker.NeverCloses, because: `expected that ["opened" "closed"] was noted, it is ["opened"]`,
			fails: cases{"actors": {
				"close", "failing close", "shared process", "messages", "number in use", "close of nothing", "failed close leaves nothing",
				"made by a task", "passed on", "not made",
			}},
		},
		{
			fault: plainworker.KeepsClosed, because: `expected that ["opened" "closed"] was noted, it is ["opened" "closed" "closed" "closed"]`,
			fails: cases{"actors": {"messages", "close of nothing", "failed close leaves nothing", "lanes"}},
		},
		{
			fault: plainworker.LaneActors, because: "It was opened on lane 0 and called on two lanes in turn",
			fails: cases{"actors": {"lanes"}},
		},
		{fault: plainworker.ShortNames, because: `expected "tally.fail", got "fail"`, fails: cases{"actors": {"failures"}}},
		{fault: plainworker.OneType, because: "expected method_types for each of 6 methods", fails: cases{"actors": {"description"}}},
		{
			fault: plainworker.LosesNumber, because: "The actor that was made has number 1, and call_actor calls add: actor: expected 0x1, got 0x0",
			fails: cases{"actors": {
				"made by a task", "ends with its task", "made by an actor", "errors for tasks", "not made", "opened anew for a task", "host calls",
			}},
		},
	}
}

// brokenSharers are broken in what they do with shared state.
func brokenSharers() []broken {
	return []broken{
		{
			fault: plainworker.AwaitsSilence, because: "a HostCall did not come in time",
			fails: cases{"shared state": {"mutex", "one at a time", "semaphore", "items come back", "batches", "mismatch", "messages", "many grants", "batch messages"}},
		},
		{
			fault: plainworker.KeepsUnseen, because: "a HostCall did not come in time",
			fails: cases{"shared state": {"give back what was given up", "granted just then", "batch given up"}},
		},
		{
			fault: plainworker.GivesUpSilently, because: "expected a HostCancel",
			fails: cases{"nested": {"credit for a stream"}, "shared state": {"give back what was given up", "granted just then", "batch given up"}},
		},
		{
			fault: plainworker.GivesBackLate, because: `HostCall 2 of "mutex.unlock" is made by call 1 on lane 0, which does not run`,
			fails: cases{"shared state": {
				"mutex", "one at a time", "semaphore", "items come back", "batches", "messages", "many grants", "give back what was given up", "granted just then",
				"batch messages", "batch given up",
			}},
		},
		{
			fault: plainworker.DoneUnheard, because: "expected that the HostCall queue.done wants a reply",
			fails: cases{"shared state": {"messages", "failures", "batch messages"}},
			// A process that exits then may not have said it.
			perhaps: cases{"shared state": {"batches come back"}},
		},
		{
			fault: plainworker.OneTicket, because: "how many tickets there are: expected 2, got 1",
			fails: cases{"shared state": {
				"semaphore", "queue", "batches", "batches come back", "end of the call", "cancelled call that goes on", "crash", "many grants", "batch messages",
			}},
		},
		{
			fault: plainworker.LosesCode, because: `expected of step 1 an error with the code "shared_mismatch"`,
			fails: cases{"shared state": {
				"mutex", "semaphore", "queue", "queue that waits", "items come back", "batches", "mismatch", "failures", "batch messages",
			}},
		},
		{
			fault: plainworker.PutsEach, because: "and a call put three at once: how many items wait in the queue: expected 2, got 4",
			fails: cases{"shared state": {"batches", "batch messages"}},
		},
		{
			fault: plainworker.AsksForAll, because: "most: expected 0x3, got 0x4000",
			fails: cases{"shared state": {"batches", "batches come back", "batch messages", "batch given up"}},
		},
		{
			fault: plainworker.DoneFirst, because: "expected of step 4 [dead:0 queued:0 taken:0]",
			fails: cases{"shared state": {"batches", "batch messages"}},
		},
		{
			fault: plainworker.ReturnsFirst, because: "most in queue.return: expected 0x3, got 0x0",
			fails: cases{"shared state": {"batch given up"}},
		},
	}
}
