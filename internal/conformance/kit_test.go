//go:build unix

package conformance_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/conformance"
)

// config is the kit's for a worker that the test binary is.
func config(t *testing.T, worker string) conformance.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// With the race detector a process waits for a second before it exits.
	return conformance.Config{Command: []string{self}, Env: append(os.Environ(), workerEnv+"="+worker, "GORACE=atexit_sleep_ms=0")}
}

// results runs the kit and returns what is not passed, by "section/name".
func results(t *testing.T, c conformance.Config) (failed, skipped map[string]string) {
	t.Helper()
	failed, skipped = make(map[string]string), make(map[string]string)
	began, cases := time.Now(), 0
	err := conformance.Run(t.Context(), c, conformance.Cases(), func(r conformance.Result) {
		id := r.Section + "/" + r.Name
		cases++
		t.Logf("%s %s (%v) %s", r.Outcome, id, r.Duration.Round(time.Millisecond), r.Reason)
		switch r.Outcome {
		case conformance.Fail:
			failed[id] = r.Reason
		case conformance.Skip:
			skipped[id] = r.Reason
		}
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d cases in %v", cases, time.Since(began))
	return failed, skipped
}

// The Go SDK's worker passes every case, and without a recorder every case that needs
// none.
func TestGoWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundred processes")
	}
	failed, skipped := results(t, config(t, goWorker))
	if len(failed)+len(skipped) > 0 {
		t.Errorf("failed: %q\nskipped: %q", failed, skipped)
	}
}

func TestGoWorkerWithoutRecorder(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundred processes")
	}
	c := config(t, goWorker)
	c.Command = append([]string{"env", "-u", "PROCPOOL_RECORDER"}, c.Command...)
	failed, skipped := results(t, c)
	if len(failed) > 0 {
		t.Errorf("failed: %q", failed)
	}
	if len(skipped) == 0 {
		t.Error("nothing was skipped, so there was a recorder")
	}
	for id, why := range skipped {
		if !strings.Contains(why, "recorder") {
			t.Errorf("%s was skipped: %s", id, why)
		}
	}
}

// The plain worker shares no line with the Go SDK's worker's side, and passes as well;
// it can't do mutual TLS, which is its right.
func TestPlainWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundred processes")
	}
	failed, skipped := results(t, config(t, plainWorker))
	delete(skipped, "start/mutual tls")
	if len(failed)+len(skipped) > 0 {
		t.Errorf("failed: %q\nskipped: %q", failed, skipped)
	}
}

// A worker may print before it is ready; that goes on in the line that others have begun.
func TestWorkerThatPrintsFirst(t *testing.T) {
	t.Parallel()
	c := config(t, goWorker)
	c.Command = append([]string{"sh", "-c", `echo "the model is loaded"; exec "$@"`, "sh"}, c.Command...)
	c.Only = regexp.MustCompile("^start/handshake behind output$")
	c.Limit = 20 * time.Second // which is all over if it is to fail
	failed, skipped := results(t, c)
	if len(failed)+len(skipped) > 0 {
		t.Errorf("failed: %q\nskipped: %q", failed, skipped)
	}
}

// What the protocol calls a minimal worker passes, and all that is skipped is what it
// has not named.
func TestMinimalWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundred processes")
	}
	failed, skipped := results(t, config(t, minimalWorker))
	if len(failed) > 0 {
		t.Errorf("failed: %q", failed)
	}
	for id, why := range skipped {
		if !strings.Contains(why, "has not named") && !strings.Contains(why, "one lane") && !strings.Contains(why, "recorder") && id != "start/mutual tls" {
			t.Errorf("%s was skipped: %s", id, why)
		}
	}
}

// A required function that is missing fails what needs it, an optional one skips it.
func TestMissingFunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := config(t, fewWorker+":echo,echo_proto,count")
	c.Only = exactly([]string{"start/functions", "values/json", "values/raw", "values/proto", "nested/function", "streams/values"})
	failed, skipped := results(t, c)
	for id, want := range map[string]string{
		"start/functions": "echo count", "values/json": `the function "echo", which docs/conformance.md requires`,
		"nested/function": `the function "echo", which docs/conformance.md requires`,
		"streams/values":  `the function "count", which docs/conformance.md requires`,
	} {
		if !strings.Contains(failed[id], want) {
			t.Errorf("%s fails for %q, want %q", id, failed[id], want)
		}
		delete(failed, id)
	}
	if want := `the function "echo_proto", which is optional`; !strings.Contains(skipped["values/proto"], want) {
		t.Errorf("values/proto is skipped for %q, want %q", skipped["values/proto"], want)
	}
	if len(failed) > 0 || len(skipped) != 1 {
		t.Errorf("failed, too: %q; skipped: %q", failed, skipped)
	}
}

func TestRunThatCannotBe(t *testing.T) {
	self := config(t, goWorker)
	none, gone := self, self
	none.Command, gone.Command = nil, []string{"/nowhere/to/be/found"}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for want, run := range map[string]func() error{
		"name the worker program": func() error { return conformance.Run(t.Context(), none, conformance.Cases(), nil) },
		"there is no such file":   func() error { return conformance.Run(t.Context(), gone, conformance.Cases(), nil) },
		"was given up":            func() error { return conformance.Run(over, self, conformance.Cases(), nil) },
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
