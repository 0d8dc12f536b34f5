package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCallPrintsTheResult(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		args        []string
		stdin, want string
	}{
		{[]string{"square", "7"}, "", "49\n"},
		{[]string{"square", "-7"}, "", "49\n"}, // no flag
		{[]string{"square", "-"}, " 8\n", "64\n"},
		{[]string{"square"}, "9", "81\n"},
		{[]string{"echo"}, "", "null\n"},
		{[]string{"echo", "1"}, "2", "1\n"}, // standard input is not looked at
		{[]string{"echo", `{"b": [1, "x", null],` + "\n" + `"a": {}}`}, "", `{"a":{},"b":[1,"x",null]}` + "\n"},
		{[]string{"echo", `"grüße <x> \u0041"`}, "", `"grüße <x> A"` + "\n"},
		{[]string{"echo_bytes", `"/wAB"`}, "", `"/wAB"` + "\n"},
		{[]string{"echo_bytes", "--raw", "as it is"}, "", "as it is"},
		{[]string{"echo_bytes", "--raw"}, "\xff\x00\n", "\xff\x00\n"},
		{[]string{"echo_bytes", "--raw", "-"}, "", ""},
		{[]string{"nan", "--codec", "cbor"}, "", `"NaN"` + "\n"},
		{[]string{"echo_bytes", "--codec", "raw", "x"}, "", "x"},
		{[]string{"echo", "--codec", "cbor", `{"b": [1.0, "x", 12345678901234567890]}`}, "", `{"b":[1.0,"x",12345678901234567890]}` + "\n"},
		{[]string{"environment", "-e", "COLOUR=a=b", "--env", "OTHER=", `"COLOUR"`}, "", `"a=b"` + "\n"},
		{[]string{"exit_at_first", "--retries", "1"}, "", "2\n"},
		{[]string{"square", "--timeout", "1m", "3"}, "", "9\n"},
	} {
		got := invoke(t, test.stdin, on(t, append([]string{"call"}, test.args...)...)...)
		t.Logf("%q", test.args)
		got.mustBe(t, 0, test.want)
	}
}

func TestCallRunsTheWorkerInAFolder(t *testing.T) {
	processes(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := invoke(t, "", on(t, "call", "--dir", dir, "folder")...)
	got.mustBe(t, 0, `"`+strings.ReplaceAll(dir, `\`, `\\`)+`"`+"\n")
}

func TestCallThatFails(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"fail", `"no 7"`}, 1, []string{`procpool: task "fail" failed: no 7: there is no such customer`, "  type: *fmt.wrapError (go)\n  code: no_customer\n"}},
		{[]string{"panic", `"boo"`}, 1, []string{`procpool: task "panic" panicked: boo`, "  goroutine ", "main_test.go"}},
		{[]string{"square", `"x"`}, 1, []string{"can't decode the argument", "cannot unmarshal string"}},
		{[]string{"exit", "5"}, 4, []string{"] last words", `died running "exit": exit status 5`}},
		{[]string{"exit", "5", "--retries", "1"}, 4, []string{"exit status 5; the call is run again\n", "[worker 2", "given up after 2 attempts"}},
		{[]string{"squar", "5"}, 2, []string{`unknown task "squar", did you mean "square"?`}},
		{[]string{"square", "5", "--raw"}, 2, []string{`"square" does not accept the codec raw but cbor, json`}},
		{[]string{"nan"}, 1, []string{"can't encode the result", "NaN", "try --codec cbor"}},
		{[]string{"sum", "-"}, 2, []string{"a session", "put it on the command line"}},
	} {
		got := invoke(t, "", on(t, append([]string{"call"}, test.args...)...)...)
		t.Logf("%q", test.args)
		got.mustBe(t, test.code, "", test.words...)
	}
}

func TestCallSaysOnStandardErrorWhatIsNoResult(t *testing.T) {
	processes(t)
	for level, logs := range map[string]int{"debug": 2, "info": 1, "warn": 0} {
		got := invoke(t, "", on(t, "call", "talk", "--log-level", level)...)
		got.mustBe(t, 0, "\"said\"\n", "] printed\n")
		if strings.Count(got.stderr, "msg=") != logs || strings.Contains(got.stderr, "half way") {
			t.Errorf("with --log-level %s it says\n%s", level, got.stderr)
		}
	}
}

func TestCallThatRunsTooLong(t *testing.T) {
	processes(t)
	for _, task := range []string{"hold", "hold_out"} {
		mark := filepath.Join(t.TempDir(), "mark")
		got := invoke(t, "", on(t, "call", "-t", "50ms", task, jsonText(t, mark))...)
		got.mustBe(t, 5, "", "ran longer than its Timeout of 50ms")
		if found := exists(t, mark+".cancelled"); found != (task == "hold") {
			t.Errorf("%s had the chance to stop: %v", task, found)
		}
	}
}

func TestCallPrintsTheValuesOfAStream(t *testing.T) {
	processes(t)
	invoke(t, "", on(t, "call", "count", "5")...).mustBe(t, 0, "0\n1\n2\n3\n4\n")
	invoke(t, "", on(t, "call", "count", "0")...).mustBe(t, 0, "")
	invoke(t, "", on(t, "call", "count", "3")...).mustBe(t, 1, "0\n1\n2\n", `task "count" failed: three is too many`)
}

func TestCallConverses(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		args        []string
		stdin, want string
		code        int
		words       []string
	}{
		{[]string{"sum", "10"}, "1\n\n -2 \n3", "11\n9\n12\n", 0, nil},
		{[]string{"sum", "-1"}, "", "", 1, []string{`task "sum" failed: below zero`}},
		{[]string{"upper", "--raw"}, "some \x00 text\n", "SOME \x00 TEXT\n", 0, nil},
	} {
		got := invoke(t, test.stdin, on(t, append([]string{"call"}, test.args...)...)...)
		t.Logf("%q", test.args)
		got.mustBe(t, test.code, test.want, test.words...)
	}
	// How much of what came before was answered by then is left to chance.
	got := invoke(t, "1\ntwo\n3\n", on(t, "call", "sum", "0")...)
	if got.code != 2 || !strings.Contains(got.stderr, "line 2 of standard input, two, is no JSON") || strings.Contains(got.stdout, "4") {
		t.Errorf("exit code %d, it printed\n%s\nand said\n%s", got.code, got.stdout, got.stderr)
	}
	got = invoke(t, "1\n\"x\"\n3\n", on(t, "call", "sum", "0")...)
	if got.code != 1 || !strings.Contains(got.stderr, "cannot unmarshal string") {
		t.Errorf("exit code %d, it printed\n%s\nand said\n%s", got.code, got.stdout, got.stderr)
	}
}
