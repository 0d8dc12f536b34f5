package conformance

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// startCases are about what is before the first call.
func startCases() []Case {
	const s = "start"
	return []Case{
		{Section: s, Name: "handshake", run: handshake, Promise: "The worker prints a newline and the handshake with five fields, the socket in the directory that it was given, and listens by then."},
		{Section: s, Name: "handshake behind output", run: handshakeBehind, Promise: "Output without a newline before the handshake stays the user's: the handshake begins a line of its own."},
		{Section: s, Name: "by hand", run: byHand, Promise: "Started by nobody's host, the program says what it is and exits with an error."},
		{Section: s, Name: "in a pool", uses: []string{"add"}, run: startsInPool, Promise: "A pool takes the worker, also behind a shell and behind output of other programs."},
		{Section: s, Name: "mutual tls", uses: []string{"add"}, run: startsWithTLS, Promise: "With mutual TLS the worker works, or says that it can't and exits."},
		{Section: s, Name: "hello", uses: []string{"pid"}, run: hello, Promise: "HelloResponse is complete: a revision, the SDK, a language in lower case, lanes within what was asked, the process id, and tasks with unique names."},
		{Section: s, Name: "functions", run: servesAll, Promise: "Every standard function is served, with its kind and its codecs."},
		{Section: s, Name: "hello from the future", uses: []string{"add"}, run: helloFromTheFuture, Promise: "A host of a later revision, with capabilities and fields that nobody knows, is answered as any other."},
		{Section: s, Name: "hello from a bare host", uses: []string{"add"}, run: helloFromABareHost, Promise: "A host that offers nothing, and wants one lane, has a worker all the same."},
		{Section: s, Name: "hello twice", uses: []string{"add"}, run: helloTwice, Promise: "A second Hello is answered with FAILED_PRECONDITION and changes nothing."},
		{Section: s, Name: "work before hello", run: workBeforeHello, Promise: "A stream that is opened before Hello is answered with FAILED_PRECONDITION."},
		{Section: s, Name: "one lane", uses: []string{"add"}, run: oneLane, Promise: "Asked for one lane the worker offers one."},
		{Section: s, Name: "without a recorder", uses: []string{"add"}, run: withoutRecorder, Promise: "Where the host has no recorder, or does not want it opened, recorder_open is false, and the worker works."},
		{Section: s, Name: "foreign page", uses: []string{"add"}, run: foreignPage, Promise: "A recorder of another version is not written to: recorder_open is false, or Hello is refused."},
		{Section: s, Name: "one connection", uses: []string{"add"}, run: oneConnection, Promise: "Once the host is connected nobody else is let in."},
		{Section: s, Name: "directory removed", uses: []string{"add"}, run: directoryRemoved, Promise: "The worker goes on when the host removes the socket's directory."},
	}
}

// maxSocketPath is the longest path of a socket in bytes.
const maxSocketPath = 103

func handshake(t *trial) {
	w := t.started()
	said := w.Handshake()
	done := fmt.Sprintf("The worker was started and printed the handshake %q", said.Line)
	expect(t, done+": what stands before it in its line", said.Before, "")
	expect(t, done+": the number of fields", len(said.Fields), 5)
	for i, want := range []string{"1", "1", "unix"} {
		expect(t, fmt.Sprintf("%s: field %d", done, i+1), said.Fields[i], want)
	}
	expect(t, done+": field 5", said.Fields[4], "grpc")
	expect(t, done+": the directory of the socket", filepath.Dir(said.Path()), w.SocketDir())
	if len(said.Path()) > maxSocketPath {
		t.failf("%s: expected a path of at most %d bytes, got %d", done, maxSocketPath, len(said.Path()))
	}
	if err := w.Dial(t.ctx); err != nil {
		t.failf("%s: expected that it listens there, got: %v", done, err)
	}
	if _, err := w.Greet(t.ctx, w.Request()); err != nil {
		t.failf("%s and Hello was called: expected an answer, got: %v; %s", done, err, w.End())
	}
}

// behindShell makes the command run behind a shell script, which finds it in "$@".
func behindShell(script string, command []string) []string {
	return append([]string{"sh", "-c", script, "sh"}, command...)
}

func handshakeBehind(t *trial) {
	w := t.started(func(o *rawhost.Options) {
		o.Command = behindShell(`printf 'loading the model: 97%%'; exec "$@"`, o.Command)
	})
	done := "A program printed \"loading the model: 97%\" without a newline, then became the worker"
	expect(t, done+": what stands before the handshake in its line (the worker begins with a newline)", w.Handshake().Before, "")
	// What the worker prints before it is ready, in an initializer say, goes on in that line.
	if !t.eventually(func() bool { return strings.Contains(w.out.String(), "loading the model: 97%") }) {
		t.failf("%s: expected the text in the output, %s", done, w.out.tail())
	}
}

func byHand(t *trial) {
	var mu sync.Mutex
	var printed bytes.Buffer
	cfg := t.kit.cfg
	child, err := t.kit.spawner.Start(t.ctx, proc.Spec{
		Path: cfg.Command[0], Args: cfg.Command, Env: rawhost.CleanEnv(cfg.Env), Dir: cfg.Dir,
		Output: func(_ proc.Stream, line []byte) {
			mu.Lock()
			defer mu.Unlock()
			printed.Write(append(slices.Clip(line), '\n'))
		},
	})
	t.must(err)
	t.onEnd(func() {
		child.Kill()
		child.Close()
	})
	const done = "The program was started without the variables of a host"
	select {
	case <-child.Done():
	case <-t.ctx.Done():
		t.failf("%s: expected that it exits with an error, it goes on", done)
	}
	child.Close() // then all of its output is here
	if exit := child.Exit(); exit.Code <= 0 {
		t.failf("%s: expected an exit status above 0, got: %v", done, exit)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.TrimSpace(printed.String()) == "" {
		t.failf("%s: expected that it says what it is, it printed nothing", done)
	}
}

func startsInPool(t *trial) {
	for _, script := range []string{
		`exec "$@"`,
		`"$@"; exit $?`, // the worker is the shell's child
		`echo 'version 1|2|3'; printf 'no newline here'; exec "$@"`,
	} {
		p := t.pool(func(c *executor.Config) {
			command := behindShell(script, t.kit.cfg.Command)
			c.Command = executor.Program(command[0], command[1:]...)
		})
		expect(t, fmt.Sprintf("The worker was started by sh -c %q, and add was called with 1 and 2", script), call[int](p, "add", args{"a": 1, "b": 2}), 3)
		t.must(p.Close())
	}
}

func startsWithTLS(t *trial) {
	p, err := t.tryPool(func(c *executor.Config) { c.AutoMTLS = true })
	if err != nil {
		if t.ctx.Err() != nil || p.out.String() == "" {
			t.failf("The worker was started with PLUGIN_CLIENT_CERT: expected that it works, or says that it can't and exits, got: %v; %s", err, p.out.tail())
		}
		t.skipf("the worker can't do mutual TLS; %s", p.out.tail())
	}
	expect(t, "The worker was started with mutual TLS, and add was called with 1 and 2", call[int](p, "add", args{"a": 1, "b": 2}), 3)
}

func hello(t *trial) {
	w := t.raw()
	r := w.Hello()
	const done = "Hello was called"
	if r.GetRevision() < 1 {
		t.failf("%s: expected a revision of 1 or more, got %d", done, r.GetRevision())
	}
	if r.GetSdk() == "" || r.GetLanguage() == "" || r.GetLanguage() != strings.ToLower(r.GetLanguage()) {
		t.failf("%s: expected the name of the SDK and a language in lower case, got %q and %q", done, r.GetSdk(), r.GetLanguage())
	}
	if r.GetLanes() < 1 || r.GetLanes() > lanesAsked {
		t.failf("%s with %d lanes: expected between 1 and %d, got %d", done, lanesAsked, lanesAsked, r.GetLanes())
	}
	seen := make(map[string]bool)
	for _, task := range r.GetTasks() {
		if seen[task.GetName()] || task.GetName() == "" {
			t.failf("%s: expected tasks with unique names, got %q twice or an empty one", done, task.GetName())
		}
		seen[task.GetName()] = true
	}
	if !w.InGroup(int(r.GetPid())) {
		t.failf("%s: expected the pid of the worker, which is %d or a process of its group, got %d", done, w.PID(), r.GetPid())
	}
	pid := w.task("pid", nil)
	w.send(pid)
	expect(t, "Hello said which pid the worker has, and pid was called", decode[int64](t, "pid", w.answer("pid was called", pid)), r.GetPid())
}

func servesAll(t *trial) {
	w := t.raw()
	r := w.Hello()
	for _, f := range standardFunctions() {
		i := slices.IndexFunc(r.GetTasks(), func(d *workerv1.TaskDescription) bool { return d.GetName() == f.name })
		capability := map[workerv1.TaskKind]string{kindStream: capStream, kindSession: capSession, kindActor: capActor}[f.wireKind()]
		switch {
		case i < 0 && (f.optional || capability != "" && !has(r, capability)):
			continue
		case i < 0:
			t.noteMissing(f.name)
			continue
		}
		d := r.GetTasks()[i]
		kind := d.GetKind()
		if kind == workerv1.TaskKind_TASK_KIND_UNSPECIFIED {
			kind = kindFunction
		}
		expect(t, fmt.Sprintf("Hello describes %s: its kind", f.name), kind, f.wireKind())
		for _, codec := range f.codecs {
			if !slices.Contains(d.GetCodecs(), codec) {
				t.failf("Hello describes %s: expected that its codecs are %q, got %q", f.name, f.codecs, d.GetCodecs())
			}
		}
		expect(t, fmt.Sprintf("Hello describes %s: its first codec", f.name), d.GetCodecs()[0], f.codecs[0])
	}
}

// noteMissing adds a function to those that the worker does not serve.
func (t *trial) noteMissing(name string) {
	if t.failed == "" {
		t.failed = "docs/conformance.md requires functions that the worker does not serve:"
	}
	t.failed += " " + name
}

func helloFromTheFuture(t *trial) {
	w := t.started()
	t.must(w.Dial(t.ctx))
	r := rawhost.WithUnknown(w.Request())
	r.Revision, r.Capabilities = 99, append(r.GetCapabilities(), "telepathy", "")
	const done = "Hello was called with revision 99, the capabilities \"telepathy\" and \"\", and fields that nobody knows"
	if _, err := w.Greet(t.ctx, r); err != nil {
		t.failf("%s: expected an answer, got: %v; %s", done, err, w.End())
	}
	t.must(w.Open())
	if got := w.Hello().GetRevision(); got < 1 {
		t.failf("%s: expected the worker's revision, got %d", done, got)
	}
	w.works(done)
}

func helloFromABareHost(t *trial) {
	w := t.started(withoutPage)
	t.must(w.Dial(t.ctx))
	const done = "Hello was called with revision 1 and one lane and nothing else"
	if _, err := w.Greet(t.ctx, &workerv1.HelloRequest{Revision: 1, Lanes: 1}); err != nil {
		t.failf("%s: expected an answer, got: %v; %s", done, err, w.End())
	}
	t.must(w.Open())
	expect(t, done+": recorder_open", w.Hello().GetRecorderOpen(), false)
	expect(t, done+": the lanes of the answer", w.Hello().GetLanes(), 1)
	w.works(done)
}

func helloTwice(t *trial) {
	w := t.raw()
	_, err := w.Greet(t.ctx, w.Request())
	if !rawhost.Refused(err) {
		t.failf("Hello was called a second time: expected the error FAILED_PRECONDITION, got: %v", err)
	}
	w.works("Hello was called a second time")
}

func workBeforeHello(t *trial) {
	w := t.started()
	t.must(w.Dial(t.ctx))
	if err := w.OpenUngreeted(t.ctx); !rawhost.Refused(err) {
		t.failf("The stream Work was opened before Hello: expected the error FAILED_PRECONDITION, got: %v", err)
	}
}

func oneLane(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.Lanes = 1 })
	expect(t, "Hello was called with 1 lane: the lanes of the answer", w.Hello().GetLanes(), 1)
	w.works("Hello was called with 1 lane")
}

func withoutRecorder(t *trial) {
	w := t.raw(withoutPage)
	expect(t, "The worker was started without PROCPOOL_RECORDER: recorder_open", w.Hello().GetRecorderOpen(), false)
	w.works("The worker was started without PROCPOOL_RECORDER")

	w = t.started()
	t.must(w.Dial(t.ctx))
	r := w.Request()
	r.Recorder = false
	const done = "PROCPOOL_RECORDER is set, and Hello was called with recorder false"
	if _, err := w.Greet(t.ctx, r); err != nil {
		t.failf("%s: expected an answer, got: %v; %s", done, err, w.End())
	}
	t.must(w.Open())
	expect(t, done+": recorder_open", w.Hello().GetRecorderOpen(), false)
	w.works(done)
}

// withoutPage has a raw host offer no recorder.
func withoutPage(o *rawhost.Options) { o.NoRecorder = true }

func foreignPage(t *trial) {
	w := t.started(func(o *rawhost.Options) { o.PageVersion = 2 })
	t.must(w.Dial(t.ctx))
	const done = "The recorder's header says that its layout has version 2, and Hello was called"
	answer, err := w.Greet(t.ctx, w.Request())
	if err == nil {
		expect(t, done+": recorder_open", answer.GetRecorderOpen(), false)
		t.must(w.Open())
		w.works(done)
	} else if t.ctx.Err() != nil {
		t.failf("%s: expected an answer or an error, got neither in time", done)
	}
	expect(t, done+": the page's header is as it was", w.HeaderKept(), true)
	expect(t, done+": what lane 0 says was started", w.Lane(0).Started, 0)
}

func oneConnection(t *trial) {
	w := t.raw()
	letIn := func() bool {
		conn, err := rawhost.Knock(t.ctx, w.Handshake().Path())
		if err != nil {
			return false
		}
		defer conn.Close()
		// A listener that is closed a moment later ends what it had not taken yet.
		ctx, cancel := context.WithTimeout(t.ctx, t.kit.cfg.Grace/10)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		_, err = conn.Read(make([]byte, 1))
		return err == nil || ctx.Err() != nil
	}
	if !t.soon(func() bool { return !letIn() }) {
		t.failf("The host was connected, and a second connection was made: expected that it is refused or closed, it was taken and kept")
	}
	w.works("A second connection was made")
}

func directoryRemoved(t *trial) {
	w := t.raw()
	w.RemoveDir()
	w.works("The socket's directory was removed")
}
