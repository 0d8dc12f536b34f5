//go:build unix

package conformance_test

import (
	"flag"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/conformance"
	"github.com/procpool/procpool/internal/wire/plainworker"
)

var everywhere = flag.Bool("everywhere", false, "try each broken worker with all cases, not only those of the sections that it is to fail in")

// broken is what a fault costs the plain worker, which passes all cases without one.
type broken struct {
	fault plainworker.Fault
	// fails are the cases that must fail, by section; the reason of one of them must
	// hold the text because.
	fails   map[string][]string
	because string
	// perhaps are cases that may fail or not, by section, since it is a matter of
	// luck whether the fault shows.
	perhaps map[string][]string
	// everywhere has all other cases tried, where else it is those of the same
	// sections.
	everywhere bool
}

// slow are cases that take a while and that no fault is about.
var slow = regexp.MustCompile(`64 MiB|very many|large values|/flood|/map$|/many in one|/lives$|/stopped$|/reads while`)

// A worker that breaks the contract in one way fails the cases that are about that, and
// no others.
func TestBrokenWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some thousand processes")
	}
	for _, b := range brokenWorkers() {
		t.Run(string(b.fault), func(t *testing.T) {
			t.Parallel()
			b.try(t)
		})
	}
}

func (b broken) try(t *testing.T) {
	must := ids(b.fails)
	b.fail(t, must)

	aside := append(must, ids(b.perhaps)...)
	var others []string
	for _, other := range conformance.Cases() {
		id := other.ID()
		_, same := b.fails[other.Section]
		near := same || b.everywhere || *everywhere
		if near && !slices.Contains(aside, id) && (*everywhere || !slow.MatchString(id)) {
			others = append(others, id)
		}
	}
	b.pass(t, others)
}

// fail expects that all the cases fail, one of them for the right reason.
func (b broken) fail(t *testing.T, cases []string) {
	c := config(t, plainWorker+":"+string(b.fault))
	c.Grace = 500 * time.Millisecond
	failed := make(map[string]string)
	passed := func(id string) bool { return failed[id] == "" }
	// Many fail because nothing comes. Where the machine is so busy that all do, they
	// get more time to fail for the right reason; and a fault may have luck once.
	for _, c.Limit = range []time.Duration{time.Second, 20 * time.Second, 20 * time.Second} {
		left := cases
		if b.said(failed) {
			left = slices.DeleteFunc(slices.Clone(cases), func(id string) bool { return !passed(id) })
		}
		if len(left) == 0 {
			return
		}
		c.Only = exactly(left)
		more, _ := results(t, c)
		maps.Copy(failed, more)
	}
	for _, id := range cases {
		if passed(id) {
			t.Errorf("%s does not fail", id)
		}
	}
	if !b.said(failed) {
		t.Errorf("no reason holds %q: %q", b.because, failed)
	}
}

// pass expects that all the cases can pass. The fault may cost one its luck: what it is
// about does not pass in three times.
func (b broken) pass(t *testing.T, cases []string) {
	c := config(t, plainWorker+":"+string(b.fault))
	var failed map[string]string
	for range 3 {
		if len(cases) == 0 {
			return
		}
		c.Only = exactly(cases)
		failed, _ = results(t, c)
		cases = slices.Collect(maps.Keys(failed))
	}
	if len(cases) > 0 {
		t.Errorf("others fail, too: %q", failed)
	}
}

// said reports whether a reason holds what it must.
func (b broken) said(failed map[string]string) bool {
	for _, reason := range failed {
		if strings.Contains(reason, b.because) {
			return true
		}
	}
	return false
}

func ids(bySection map[string][]string) []string {
	var all []string
	for section, names := range bySection {
		for _, name := range names {
			all = append(all, section+"/"+name)
		}
	}
	return all
}

// exactly matches the given names and no others.
func exactly(names []string) *regexp.Regexp {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return regexp.MustCompile("^(" + strings.Join(quoted, "|") + ")$")
}

// Each fault has its row, and each row names cases that there are.
func TestBrokenWorkersAreAll(t *testing.T) {
	all := make(map[string]bool)
	for _, c := range conformance.Cases() {
		all[c.ID()] = true
	}
	rows := make(map[plainworker.Fault]bool)
	for _, b := range brokenWorkers() {
		rows[b.fault] = true
		for _, id := range slices.Concat(ids(b.fails), ids(b.perhaps)) {
			if !all[id] {
				t.Errorf("%q is to fail %q, which is no case", b.fault, id)
			}
		}
	}
	for _, fault := range plainworker.Faults() {
		if !rows[fault] {
			t.Errorf("no row says what %q is to fail", fault)
		}
	}
}
