//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/sharedop"
)

// docs/protocol.md is what workers in other languages are built from. Its examples
// are encoded here again by the code that sends them, and its numbers are compared
// with the constants.

const protocolFile = "../../docs/protocol.md"

func protocolDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(protocolFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exampleBlock is an example in the document: bytes in hex, with a comment behind #
// on each line.
var exampleBlock = regexp.MustCompile("(?ms)^<!-- example: ([a-z-]+) -->\n```text\n(.*?)^```$")

func documentedExamples(t *testing.T) map[string][]byte {
	t.Helper()
	examples := make(map[string][]byte)
	for _, match := range exampleBlock.FindAllStringSubmatch(protocolDocument(t), -1) {
		name := match[1]
		if _, twice := examples[name]; twice {
			t.Errorf("the document has the example %s twice", name)
		}
		examples[name] = []byte{}
		for line := range strings.Lines(match[2]) {
			digits, _, _ := strings.Cut(line, "#")
			b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
			if err != nil {
				t.Errorf("example %s: %q: %v", name, line, err)
			}
			examples[name] = append(examples[name], b...)
		}
	}
	return examples
}

func TestProtocolExamples(t *testing.T) {
	t.Parallel()
	want := make(map[string][]byte)
	helloExamples(t, want)
	callExamples(t, want)
	streamExamples(want)
	nestedExamples(want)
	sharedExamples(t, want)
	recorderExamples(t, want)
	got := documentedExamples(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		example, there := got[name]
		if !there || string(example) != string(want[name]) {
			t.Errorf("%s: the example %s should be (found: %t)\n% x", protocolFile, name, there, want[name])
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s: nothing says what the example %s should be", protocolFile, name)
	}
}

// helloClient is a worker that takes note of what the host says of itself.
type helloClient struct {
	workerv1.WorkerServiceClient
	request *workerv1.HelloRequest
}

var errNoted = errors.New("noted")

func (c *helloClient) Hello(_ context.Context, r *workerv1.HelloRequest, _ ...grpc.CallOption) (*workerv1.HelloResponse, error) {
	c.request = r
	return nil, errNoted
}

func helloExamples(t *testing.T, examples map[string][]byte) {
	t.Helper()
	page, err := newRecorder(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = page.close() })
	client := &helloClient{}
	l := &launch{o: Options{Lanes: 2}.withDefaults(), recorder: page}
	if _, err := l.greet(t.Context(), client); !errors.Is(err, errNoted) {
		t.Fatal(err)
	}
	examples["hello-request"] = marshalled(t, client.request)

	square := procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	count := procpool.DefineStream("count", func(context.Context, int, func(int) error) error { return nil })
	counter := procpool.DefineActor("counter", func(_ context.Context, n int) (int, error) { return n, nil })
	procpool.DefineMethod(counter, "add", func(_ int, _ context.Context, n int) (int, error) { return n, nil })
	s, err := newServer([]procpool.Task{square, count, counter}, page.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Hello(t.Context(), client.request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.recorder.close() })
	response.Pid = 4711
	examples["hello-response"] = marshalled(t, response)
}

func marshalled(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// exampleCall is a call of a task whose argument is 7 in CBOR.
func exampleCall(kind procpool.Kind, seq uint64) *procpool.Call {
	r := procpool.Relay{Task: "square", Codec: "cbor", Kind: kind, Payload: []byte{7}, Window: 2, WindowBytes: 1 << 20, Sink: noSink{}}
	if kind != procpool.KindFunction {
		r.Task = "count"
	}
	r.Done = func(*procpool.Call, []byte, error) {}
	c := r.NewCall()
	c.Slot.Seq = seq
	return c
}

// exampleActorCall is a call of an actor.
func exampleActorCall(step string, seq uint64) *procpool.Call {
	actor := procpool.NewInstance("counter", 1<<39+1593)
	if step == "close" {
		c := actor.NewClose(0)
		c.Slot.Seq = seq
		return c
	}
	r := procpool.Relay{Task: "counter", Codec: "cbor", Kind: procpool.KindActor, Payload: []byte{7}, Actor: procpool.NewInstance("counter", 0)}
	if step == "method" {
		r.Method, r.Actor = "add", actor
	}
	r.Done = func(*procpool.Call, []byte, error) {}
	c := r.NewCall()
	if step == "open" {
		r.Actor.Found(actor.Number())
	}
	c.Slot.Seq = seq
	return c
}

type noSink struct{}

func (noSink) Values([][]byte)     {}
func (noSink) Credit(int64, int64) {}

func callExamples(t *testing.T, examples map[string][]byte) {
	t.Helper()
	now := time.Now()
	request := workRequest{
		function: func(name string) uint32 { return map[string]uint32{"square": 0, "count": 1, "counter": 2}[name] },
		method: func(_ uint32, c *procpool.Call) uint32 {
			return map[procpool.ActorStep]uint32{procpool.StepMethod: 1, procpool.StepClose: methodClose}[c.Step()]
		},
		firstCodec: func(uint32) string { return "cbor" },
		now:        now,
	}
	encode := func(c *procpool.Call) []byte {
		request.calls = []*procpool.Call{c}
		out := request.marshal(newBufferPool())
		defer out.Free()
		return slices.Clone(out.Materialize())
	}
	examples["task"] = encode(exampleCall(procpool.KindFunction, 1))
	examples["task-stream"] = encode(exampleCall(procpool.KindStream, 2))
	for seq, step := range []string{"open", "method", "close"} {
		examples["task-"+step] = encode(exampleActorCall(step, uint64(seq)+4))
	}

	dst, mark := beginOutcome(nil, 1, 0)
	examples["outcome"] = endOutcome(append(dst, 0x18, 49), mark, 1500)
	dst, mark = beginOutcome(nil, 1, 0)
	failed := &procpool.TaskError{Task: "square", Type: "ValueError", Message: "too big", Language: "python"}
	examples["outcome-failure"] = failOutcome(dst, mark, 1500, "square", failed)
	examples["outcome-declined"] = appendDeclined(nil, 1, 1)

	examples["cancel"] = marshalled(t, cancelRequest(callKey{lane: 1, seq: 5}))
	examples["ping"] = marshalled(t, pingRequest(1))
	examples["pong"] = marshalled(t, &workerv1.ControlResponse{Event: &workerv1.ControlResponse_Pong{Pong: &workerv1.Pong{Id: 1, MemoryBytes: 20 << 20}}})
	if m := new(controlMessage); m.unmarshal(mem.BufferSlice{mem.SliceBuffer(examples["pong"])}, newBufferPool()) != nil || m.pong != 1 {
		t.Errorf("the host takes the example of a Pong for %+v", m)
	}
}

func streamExamples(examples map[string][]byte) {
	call := streamKey{seq: 2}
	examples["stream-value"] = appendValue(nil, tagResponseValues, call, []byte{0})
	examples["credit"] = appendCredit(nil, tagRequestCredits, call, 1, 1)
	examples["first-credit"] = appendCredit(nil, tagResponseCredits, streamKey{seq: 3}, inputWindow, inputWindowBytes)
	examples["argument-end"] = appendEnd(nil, tagRequestValues, streamKey{seq: 3})

	p := progress{call: callKey{seq: 2}, fraction: 0.5, text: "half"}
	examples["progress"], _ = sideElementOf(p.append([]byte{tagResponseProgress, 0}), nil)
	l := logLine{call: callKey{seq: 2}, level: workerv1.LogLevel_LOG_LEVEL_WARN, time: time.Unix(1, 0), message: "hot", fields: []logField{{"celsius", "71"}}}
	examples["log"], _ = sideElementOf(l.append([]byte{tagResponseLogs, 0}), nil)
}

func nestedExamples(examples map[string][]byte) {
	payload := []byte{7}
	head := appendHostCall([]byte{tagResponseCalls, 0}, 1, callKey{seq: 2}, exampleCall(procpool.KindFunction, 0), time.Now())
	examples["host-call"], _ = sideElementOf(append(head, tagHostCallInline, byte(len(payload))), payload)

	reply := hostReply{id: 1, worker: 3, pid: 4712, wait: 900, took: 1500}
	result := []byte{0x18, 49}
	head = reply.append([]byte{tagRequestReplies, 0})
	examples["host-reply"], _ = sideElementOf(append(head, tagHostReplyInline, byte(len(result))), result)
	head = appendHostCall([]byte{tagResponseCalls, 0}, 2, callKey{seq: 2}, exampleActorCall("method", 0), time.Now())
	examples["host-call-actor"], _ = sideElementOf(append(head, tagHostCallInline, byte(len(payload))), payload)
	reply = hostReply{id: 3, worker: 4, pid: 4713, wait: 900, took: 1500, actor: 1<<39 + 1593}
	examples["host-reply-actor"], _ = sideElementOf(reply.append([]byte{tagRequestReplies, 0}), nil)
	examples["host-cancel"], _ = sideElementOf(appendNumber([]byte{tagResponseCancels, 0}, tagHostCancelID, 1), nil)
}

// sharedExamples are the call of an operation on shared state, and its answer.
func sharedExamples(t *testing.T, examples map[string][]byte) {
	t.Helper()
	encoded := func(v any) []byte {
		b, err := procpool.CBOR.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	payload := encoded(sharedop.Args{Name: "guard", Ticket: 9})
	call := procpool.Relay{Task: sharedop.MutexLock, Codec: "cbor", Kind: procpool.KindShared, Done: func(*procpool.Call, []byte, error) {}}.NewCall()
	head := appendHostCall([]byte{tagResponseCalls, 0}, 2, callKey{seq: 2}, call, time.Now())
	examples["shared-call"], _ = sideElementOf(append(head, tagHostCallInline, byte(len(payload))), payload)
	reply, result := hostReply{id: 2}, encoded(sharedop.Reply{Abandoned: true})
	head = reply.append([]byte{tagRequestReplies, 0})
	examples["shared-reply"], _ = sideElementOf(append(head, tagHostReplyInline, byte(len(result))), result)
}

// Every operation on shared state, and every argument, result and code of it, is
// explained by its name.
func TestProtocolNamesSharedState(t *testing.T) {
	t.Parallel()
	names := append(sharedop.All(), sharedop.CodeInvalid, sharedop.CodeLimit, sharedop.CodeMismatch, sharedop.CodeNotHeld,
		sharedop.CodeQueueClosed, sharedop.CodeWouldBlock)
	for _, message := range []reflect.Type{reflect.TypeFor[sharedop.Args](), reflect.TypeFor[sharedop.Reply](), reflect.TypeFor[sharedop.Letter]()} {
		for field := range message.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("cbor"), ",")
			if name != "loose" && name != "dropped" { // which never cross the wire
				names = append(names, name)
			}
		}
	}
	_, text, found := strings.Cut(protocolDocument(t), "\n## Shared state\n")
	text, _, _ = strings.Cut(text, "\n## ")
	if !found {
		t.Fatalf("%s has no section on shared state", protocolFile)
	}
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s says nothing of %s", protocolFile, name)
		}
	}
}

// recorderExamples are a page with one lane after call 1 has run.
func recorderExamples(t *testing.T, examples map[string][]byte) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the page is in the machine's byte order, and the document shows that of a little-endian machine")
	}
	page, err := newRecorder(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.close() }()
	w, err := openRecorder(page.path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.close() }()
	lane := w.lane(0)
	if !lane.start(1, 1_000_000_000) {
		t.Fatal("the call may not start")
	}
	journal := append(lane.journalBuf(), examples["outcome"]...)
	lane.setJournal(len(journal))
	lane.finish(1)
	for name, part := range map[string][2]int{
		"recorder-header":  {0, 48},
		"recorder-lane":    {laneOffset(0), 48},
		"recorder-journal": {journalOffset(1, 0), len(journal)},
	} {
		examples[name] = slices.Clone(w.mem[part[0]:][:part[1]])
	}
	clear(w.mem[:48])
	clear(w.mem[laneOffset(0):][:48])
	clear(w.mem[journalOffset(1, 0):][:len(journal)])
	if i := slices.IndexFunc(w.mem, func(b byte) bool { return b != 0 }); i >= 0 {
		t.Errorf("the page has something at %d that the document does not show", i)
	}
}

// What the document says in numbers is what the code says.
func TestProtocolNumbers(t *testing.T) {
	t.Parallel()
	text := strings.Join(strings.Fields(protocolDocument(t)), " ")
	for _, fact := range []string{
		fmt.Sprintf("`%s=%s`", cookieKey, cookieValue),
		fmt.Sprintf("contract's revision is %d", revision),
		fmt.Sprintf("at most %d bytes in all", maxSocketPath),
		fmt.Sprintf("%d elements", maxElements),
		fmt.Sprintf("`max_payload_bytes` + %d bytes", messageSlack),
		fmt.Sprintf("A HelloResponse has at most %d bytes", maxSideMessage),
		fmt.Sprintf("cut at %d bytes", maxFailureText),
		fmt.Sprintf("at most %d fields", maxLogFields),
		fmt.Sprintf("1 to %d lanes", recorderMaxLanes),
		fmt.Sprintf("%d bytes for one lane", recorderSize(1)),
		fmt.Sprintf("%d bytes for two", recorderSize(2)),
		fmt.Sprintf("%d values or %d bytes ahead", maxAhead, maxAheadBytes),
		fmt.Sprintf("%d HostCalls that are not answered", maxRelayed),
		fmt.Sprintf("%d bytes of arguments", maxRelayedBytes),
		fmt.Sprintf("%d answers or %d bytes wait", maxPostedReplies, maxPostedBytes),
		fmt.Sprintf("%d values and %d bytes at a time", maxRelayWindow, maxRelayBytes),
		fmt.Sprintf("less than %d µs", shareBelow.Microseconds()),
		fmt.Sprintf("%d µs or %d bytes", shareFor.Microseconds(), shareBytes),
		fmt.Sprintf("%v to be dead", exitGrace),
	} {
		if !strings.Contains(text, fact) {
			t.Errorf("%s should say %q", protocolFile, fact)
		}
	}
	if line := regexp.MustCompile(`(?m)^1\|1\|unix\|.*$`).FindString(protocolDocument(t)); line == "" || string(claimHandshake([]byte(line), false)) != line {
		t.Errorf("%s has %q, which is no handshake line", protocolFile, line)
	}
}

// Every message, field and value of the contract is explained by its name.
func TestProtocolNamesTheWholeContract(t *testing.T) {
	t.Parallel()
	text := protocolDocument(t)
	mentioned := func(name string) {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("%s says nothing of %s", protocolFile, name)
		}
	}
	file := workerv1.File_procpool_worker_v1_worker_proto
	service := file.Services().Get(0)
	for i := range service.Methods().Len() {
		mentioned(string(service.Methods().Get(i).Name()))
	}
	for i := range file.Enums().Len() {
		eachEnumValue(file.Enums().Get(i), mentioned)
	}
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		mentioned(string(m.Name()))
		for j := range m.Fields().Len() {
			mentioned(string(m.Fields().Get(j).Name()))
		}
	}
	for _, capability := range []string{
		capabilityRecorder, capabilityFence, capabilityJournal, capabilityPack, capabilityHostCall, capabilityProgress,
		capabilityLog, capabilityStream, capabilitySession, capabilityActor, capabilityShared,
	} {
		if !strings.Contains(text, "| `"+capability+"` |") {
			t.Errorf("%s has no row for the capability %s", protocolFile, capability)
		}
	}
}

func eachEnumValue(e protoreflect.EnumDescriptor, f func(name string)) {
	for i := range e.Values().Len() {
		f(string(e.Values().Get(i).Name()))
	}
}
