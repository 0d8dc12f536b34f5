package rawhost

import (
	"fmt"
	"math"
	"slices"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// maxElements is how many elements a message may have.
const maxElements = 65536

// ledger is what the host has sent and what it may be sent for that. Its methods
// return what the worker has done that it must not do.
type ledger struct {
	offered    []string
	logLevel   workerv1.LogLevel
	lanes      uint32
	maxPayload uint64

	lane      map[uint32]*laneLedger
	given     map[callKey]bool     // calls for which a Cancel was sent
	calls     map[uint64]*hostCall // of all numbers that were ever used
	openCalls int
}

// callKey names a call.
type callKey struct {
	lane uint32
	seq  uint64
}

// laneLedger is what a lane owes answers for.
type laneLedger struct {
	owed        []sentCall // in the order sent
	lowestFence uint64     // of all that were ever set
}

// sentCall is a call that was sent and not answered.
type sentCall struct {
	seq             uint64
	stream, session bool
	values, bytes   int64 // the credit that is left
}

// hostCall is a call that the worker has made.
type hostCall struct {
	session, answered, ended bool
	values, bytes            int64 // the credit for what it sends to a session
}

func (l *ledger) begin(r *workerv1.HelloRequest, hello *workerv1.HelloResponse) {
	*l = ledger{
		offered: r.GetCapabilities(), logLevel: r.GetLogLevel(), lanes: hello.GetLanes(), maxPayload: r.GetMaxPayloadBytes(),
		lane: make(map[uint32]*laneLedger), given: make(map[callKey]bool), calls: make(map[uint64]*hostCall),
	}
	if l.maxPayload == 0 {
		l.maxPayload = math.MaxUint64
	}
}

func (l *ledger) of(lane uint32) *laneLedger {
	if l.lane[lane] == nil {
		l.lane[lane] = &laneLedger{lowestFence: NoFence}
	}
	return l.lane[lane]
}

// running returns the call that a lane runs, or is next to run; nil for none.
func (l *ledger) running(lane uint32) *sentCall {
	if owed := l.of(lane).owed; len(owed) > 0 {
		return &owed[0]
	}
	return nil
}

// find returns a call that was sent and not answered, nil if there is none.
func (l *ledger) find(key callKey) *sentCall {
	owed := l.of(key.lane).owed
	if i := slices.IndexFunc(owed, func(c sentCall) bool { return c.seq == key.seq }); i >= 0 {
		return &owed[i]
	}
	return nil
}

// sent enters what the host sends.
func (l *ledger) sent(r *workerv1.WorkRequest) {
	for _, t := range r.GetTasks() {
		lane := l.of(t.GetLane())
		for i := range max(len(t.GetItemSizes()), 1) {
			lane.owed = append(lane.owed, sentCall{
				seq: t.GetSeq() + uint64(i), stream: t.GetResultCredit() > 0, session: t.GetStreamsArgument(),
				values: credit(t.GetResultCredit()), bytes: credit(t.GetResultCreditBytes()),
			})
		}
	}
	for _, c := range r.GetCredits() {
		if call := l.find(callKey{c.GetLane(), c.GetSeq()}); call != nil && c.GetHostCall() == 0 {
			call.values, call.bytes = call.values+credit(c.GetValues()), call.bytes+credit(c.GetBytes())
		}
		if call := l.calls[c.GetHostCall()]; call != nil {
			call.values, call.bytes = call.values+credit(c.GetValues()), call.bytes+credit(c.GetBytes())
		}
	}
	for _, reply := range r.GetHostReplies() {
		if call := l.calls[reply.GetId()]; call != nil && !call.answered {
			call.answered = true
			l.openCalls--
		}
	}
}

// credit keeps sums of credit from wrapping.
func credit(n uint64) int64 { return int64(min(n, 1<<40)) }

// check goes through a message of the worker's and enters it.
func (l *ledger) check(r *workerv1.WorkResponse) error {
	elements := len(r.GetOutcomes()) + len(r.GetValues()) + len(r.GetCredits()) + len(r.GetProgress()) + len(r.GetLogs()) +
		len(r.GetHostCalls()) + len(r.GetHostCancels())
	if elements > maxElements {
		return fmt.Errorf("a WorkResponse has %d elements, more than %d", elements, maxElements)
	}
	if err := l.checkSaid(r); err != nil {
		return err
	}
	for _, v := range r.GetValues() {
		if err := l.checkValue(v); err != nil {
			return err
		}
	}
	for _, o := range r.GetOutcomes() {
		if err := l.checkOutcome(o); err != nil {
			return err
		}
	}
	return nil
}

// checkSaid checks what must not be sent unless it was offered.
func (l *ledger) checkSaid(r *workerv1.WorkResponse) error {
	if len(r.GetProgress()) > 0 && !slices.Contains(l.offered, "progress") {
		return fmt.Errorf("it sent Progress, which it was not offered: %v", r.GetProgress()[0])
	}
	for _, line := range r.GetLogs() {
		switch {
		case !slices.Contains(l.offered, "log") || l.logLevel == workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED:
			return fmt.Errorf("it sent a Log, which it was not offered: %v", line)
		case max(line.GetLevel(), workerv1.LogLevel_LOG_LEVEL_DEBUG) < l.logLevel && line.GetLevel() != workerv1.LogLevel_LOG_LEVEL_UNSPECIFIED:
			return fmt.Errorf("it sent a Log of %v where %v is the least that is wanted: %v", line.GetLevel(), l.logLevel, line)
		}
	}
	for _, c := range r.GetHostCalls() {
		if err := l.checkHostCall(c); err != nil {
			return err
		}
	}
	return nil
}

// checkHostCall checks a call that the worker makes, and enters it if it is to be
// answered.
func (l *ledger) checkHostCall(c *workerv1.HostCall) error {
	for _, capability := range capabilitiesOf(c.GetKind()) {
		if !slices.Contains(l.offered, capability) {
			return fmt.Errorf("it sent a HostCall, which it was not offered (%s): %v", capability, c)
		}
	}
	shared := c.GetKind() == workerv1.TaskKind_TASK_KIND_SHARED
	parent := l.running(c.GetParentLane())
	switch {
	case c.GetId() == 0 || l.calls[c.GetId()] != nil:
		return fmt.Errorf("a HostCall has the id %d; ids are above 0 and not used twice", c.GetId())
	case c.GetName() == "" || c.GetCodec() == "":
		return fmt.Errorf("HostCall %d has the name %q and the codec %q; it needs both", c.GetId(), c.GetName(), c.GetCodec())
	case c.GetNoReply() && !shared:
		return fmt.Errorf("HostCall %d of %q wants no reply, which is for shared state alone", c.GetId(), c.GetName())
	case shared && (parent == nil || parent.seq != c.GetParentSeq()):
		return fmt.Errorf("HostCall %d of %q is made by call %d on lane %d, which does not run", c.GetId(), c.GetName(), c.GetParentSeq(), c.GetParentLane())
	case shared && c.GetCodec() != "cbor":
		return fmt.Errorf("HostCall %d of %q has the codec %q; that of shared state is cbor", c.GetId(), c.GetName(), c.GetCodec())
	case c.GetNoReply():
		return nil // its id is not in use
	}
	l.calls[c.GetId()] = &hostCall{session: c.GetKind() == workerv1.TaskKind_TASK_KIND_SESSION}
	l.openCalls++
	if l.openCalls > maxElements {
		return fmt.Errorf("it has made %d HostCalls that are not answered", l.openCalls)
	}
	return nil
}

// capabilitiesOf are what a host must have named for calls of a kind.
func capabilitiesOf(kind workerv1.TaskKind) []string {
	switch kind {
	case workerv1.TaskKind_TASK_KIND_SHARED:
		return []string{"shared_state"}
	case workerv1.TaskKind_TASK_KIND_ACTOR:
		return []string{"host_call", "actor"}
	}
	return []string{"host_call"}
}

// checkValue checks a value, and takes its price off the credit.
func (l *ledger) checkValue(v *workerv1.StreamValue) error {
	size := len(v.GetInline())
	if v.GetSegment() != nil {
		return fmt.Errorf("it sent a value in a segment, which it was not offered")
	}
	if uint64(size) > l.maxPayload {
		return fmt.Errorf("a value has %d bytes, more than max_payload_bytes, %d", size, l.maxPayload)
	}
	if id := v.GetHostCall(); id != 0 {
		return l.checkHostValue(v, id, size)
	}
	call := l.running(v.GetLane())
	switch {
	case call == nil || call.seq != v.GetSeq():
		return fmt.Errorf("it sent a value of call %d on lane %d, which does not run", v.GetSeq(), v.GetLane())
	case !call.stream:
		return fmt.Errorf("it sent a value of call %d on lane %d, which is no stream", v.GetSeq(), v.GetLane())
	case v.GetEnd():
		return fmt.Errorf("it sent end for call %d on lane %d, which it runs: its outcome says that there are no more", v.GetSeq(), v.GetLane())
	case call.values <= 0 || call.bytes <= 0:
		return fmt.Errorf("it sent a value of %d bytes of call %d on lane %d when the credit left was %d values and %d bytes",
			size, v.GetSeq(), v.GetLane(), call.values, call.bytes)
	}
	call.values, call.bytes = call.values-1, call.bytes-int64(size)
	return nil
}

// checkHostValue checks a value for a session that the worker has opened. What is for
// one that has been answered crossed the answer.
func (l *ledger) checkHostValue(v *workerv1.StreamValue, id uint64, size int) error {
	call := l.calls[id]
	switch {
	case call == nil:
		return fmt.Errorf("it sent a value of HostCall %d, which it has not made", id)
	case call.answered:
		return nil
	case !call.session:
		return fmt.Errorf("it sent a value of HostCall %d, which is no session", id)
	case call.ended:
		return fmt.Errorf("it sent a value of HostCall %d behind the end", id)
	case v.GetEnd():
		call.ended = true
		return nil
	case call.values <= 0 || call.bytes <= 0:
		return fmt.Errorf("it sent a value of %d bytes of HostCall %d when the credit left was %d values and %d bytes", size, id, call.values, call.bytes)
	}
	call.values, call.bytes = call.values-1, call.bytes-int64(size)
	return nil
}

// checkOutcome checks an outcome and strikes its call off.
func (l *ledger) checkOutcome(o *workerv1.Outcome) error {
	key := callKey{o.GetLane(), o.GetSeq()}
	call := l.running(key.lane)
	switch {
	case key.lane >= l.lanes:
		return fmt.Errorf("it answered call %d on lane %d, and has %d lanes", key.seq, key.lane, l.lanes)
	case call == nil:
		return fmt.Errorf("it answered call %d on lane %d, where no answer was due", key.seq, key.lane)
	case call.seq != key.seq:
		return fmt.Errorf("it answered call %d on lane %d, where call %d was the next to be answered", key.seq, key.lane, call.seq)
	case o.GetSegment() != nil:
		return fmt.Errorf("it answered call %d on lane %d with a segment, which it was not offered", key.seq, key.lane)
	case uint64(len(o.GetInline())) > l.maxPayload:
		return fmt.Errorf("the result of call %d on lane %d has %d bytes, more than max_payload_bytes, %d", key.seq, key.lane, len(o.GetInline()), l.maxPayload)
	case call.stream && len(o.GetInline()) > 0:
		return fmt.Errorf("the outcome of call %d on lane %d has a result of %d bytes; that of a stream or a session is empty", key.seq, key.lane, len(o.GetInline()))
	}
	lane := l.of(key.lane)
	if o.GetDeclined() != nil {
		if !l.given[key] && key.seq <= lane.lowestFence {
			return fmt.Errorf("it declined call %d on lane %d, which lay beyond no fence and was not cancelled", key.seq, key.lane)
		}
		if o.GetRunNanos() != 0 {
			return fmt.Errorf("it declined call %d on lane %d and says that it ran for %d ns", key.seq, key.lane, o.GetRunNanos())
		}
	}
	delete(l.given, key)
	lane.owed = lane.owed[1:]
	return nil
}
