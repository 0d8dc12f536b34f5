package sched_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.13: hung is not slow. In each row a worker is looked at every second, with a
// window of four seconds; a letter tells what it does in the second before:
//
//	! gives a sign of life     c computes, silent      . nothing
//	s is stopped               S stopped, and a child of it computes
//	? nobody can tell
//	z the host slept for a minute before this look, in which the worker did nothing
func TestPulse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		does string
		hung int    // the look at which it is hung, 0 for none
		why  string // part of the reason
	}{
		"lives":                          {does: "!!!!!!!!!!!!"},
		"signs now and then":             {does: "!...!...!...!...!"},
		"is silent from the start":       {does: "!....", hung: 5, why: "used no processor time for 4s"},
		"falls silent":                   {does: "!!!!!!!....", hung: 11, why: "used no processor time for 4s"},
		"computes in silence":            {does: "!" + strings.Repeat("c", 100)},
		"computes now and then":          {does: "!" + strings.Repeat("...c", 20)},
		"computes, then hangs":           {does: "!ccccccccc....", hung: 14, why: "no processor time"},
		"is stopped":                     {does: "!!!ssss", hung: 7, why: "is stopped"},
		"is stopped while it computes":   {does: "!ccccccssss", hung: 11, why: "is stopped"},
		"is stopped for a while":         {does: "!!!sss!!!sss!!!"},
		"is continued, silent at first":  {does: "!!!sss...!"},
		"is continued, and hangs":        {does: "!!!sss.....", hung: 11, why: "no processor time"},
		"computes, is stopped, computes": {does: "!cccccccsscccccccssscccc"},
		"is stopped and its child is not": {
			does: "!!!SSSS", hung: 7, why: "is stopped",
		},
		"can't be looked at":           {does: "!" + strings.Repeat("?", 100)},
		"can't be looked at once":      {does: "!...?...!"},
		"can't be looked at, hangs":    {does: "!..?....", hung: 8, why: "no processor time"},
		"the host slept":               {does: "!...z...!"},
		"the host slept at first":      {does: "z...!"},
		"the host slept, and it hangs": {does: "!...z....", hung: 9, why: "no processor time"},
		"the host slept, and it stops": {does: "!sssz...s", hung: 9, why: "is stopped"},
		"hangs and is seen to again":   {does: "!....!..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPatient()
			for i, does := range test.does {
				hung, why := w.does(does)
				switch look := i + 1; {
				case look == test.hung:
					if !hung || !strings.Contains(why, test.why) {
						t.Errorf("look %d: hung %v, %q; want it hung for %q", look, hung, why, test.why)
					}
				case hung && name != "hangs and is seen to again", !hung && why != "":
					t.Errorf("look %d: hung %v, %q", look, hung, why)
				}
			}
		})
	}
}

// patient is a worker whose pulse is taken.
type patient struct {
	*sched.Pulse
	now, sign int64
	cpu       time.Duration
}

const pulseWindow = 4 * time.Second

func newPatient() *patient { return &patient{Pulse: sched.NewPulse(pulseWindow)} }

// does lets the worker do one thing for a quarter of the window, as TestPulse tells,
// and looks at it.
func (p *patient) does(what rune) (hung bool, why string) {
	p.now += int64(pulseWindow / 4)
	cpu, stopped, known := &p.cpu, false, true
	switch what {
	case '!':
		p.sign = p.now - 1
		*cpu += time.Millisecond
	case 'c':
		*cpu += time.Second
	case 's':
		stopped = true
	case 'S':
		stopped = true
		*cpu += time.Second
	case '?':
		return p.Look(p.now, p.sign, 0, false, false)
	case 'z':
		p.now += int64(time.Minute)
	}
	return p.Look(p.now, p.sign, *cpu, stopped, known)
}

// Rule 6.13: whatever a worker does, it is not hung while something of the last
// window speaks for it; and it is hung at the latest a window and a quarter after
// the last of that.
func TestPulseProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newPatient()
		var did []rune
		for _, what := range rapid.SliceOfN(rapid.RuneFrom([]rune("!c....ssss?zS")), 1, 60).Draw(t, "does") {
			did = append(did, what)
			hung, why := w.does(what)
			silent := 0 // looks since the last that speaks for it
			for i := len(did) - 1; i > 0 && strings.ContainsRune(".sS", did[i]); i-- {
				silent++
				if did[i] == '.' && (did[i-1] == 's' || did[i-1] == 'S') {
					silent-- // it was continued
					break
				}
			}
			if hung != (silent >= 4) || hung != (why != "") {
				t.Fatalf("after %q: hung %v, %q; silent for %d looks", string(did), hung, why, silent)
			}
		}
	})
}
