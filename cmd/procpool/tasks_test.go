package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTasksAreListed(t *testing.T) {
	processes(t)
	// The second line of a doc is for --json, and no line ends in blanks.
	want := `NAME           KIND      TYPES                        CODECS           DOC
square         function  int -> int                   cbor, json       Squares a number.
echo           function  any -> any                   cbor, json
echo_bytes     function  []uint8 -> []uint8           raw, cbor, json
nan            function  any -> float64               cbor, json
environment    function  string -> string             cbor, json
folder         function  any -> string                cbor, json
fail           function  string -> int                cbor, json
panic          function  string -> int                cbor, json
exit           function  int -> int                   cbor, json
exit_at_first  function  any -> int                   cbor, json
talk           function  any -> string                cbor, json
hold           function  string -> string             cbor, json
hold_out       function  string -> string             cbor, json
count          stream    int -> int                   cbor, json
sum            session   int; int -> int              cbor, json       Adds up.
upper          session   []uint8; []uint8 -> []uint8  raw, cbor, json
heap           actor     int                          cbor, json       Keeps things.
heap.push      method    string -> any                cbor, json       Puts one on top.
`
	got := invoke(t, "", on(t, "tasks")...)
	got.mustBe(t, 0, want)
	if got.stderr != "" {
		t.Errorf("it says %q", got.stderr)
	}
}

func TestTasksAsJSON(t *testing.T) {
	processes(t)
	got := invoke(t, "", on(t, "tasks", "--json")...)
	var document struct{ Tasks []map[string]any }
	dec := json.NewDecoder(strings.NewReader(got.stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&document); err != nil || got.code != 0 || len(document.Tasks) != len(served) {
		t.Fatalf("exit code %d, %v, it printed:\n%s\n%s", got.code, err, got.stdout, got.stderr)
	}
	for name, want := range map[string]string{
		"square":     `{"codecs":["cbor","json"],"doc":"Squares a number.\nThe second line is for those who read on.","in":"int","kind":"function","name":"square","out":"int"}`,
		"echo_bytes": `{"codecs":["raw","cbor","json"],"doc":"","in":"[]uint8","kind":"function","name":"echo_bytes","out":"[]uint8"}`,
		"count":      `{"codecs":["cbor","json"],"doc":"","in":"int","kind":"stream","name":"count","out":"int"}`,
		"sum":        `{"codecs":["cbor","json"],"doc":"Adds up.","in":"int","kind":"session","name":"sum","out":"int","receives":"int"}`,
		"heap":       `{"codecs":["cbor","json"],"doc":"Keeps things.","in":"int","kind":"actor","methods":[{"codecs":["cbor","json"],"doc":"Puts one on top.","in":"string","name":"push","out":"interface {}"}],"name":"heap","out":""}`,
	} {
		found := false
		for _, task := range document.Tasks {
			if task["name"] != name {
				continue
			}
			found = true
			if text, err := json.Marshal(task); string(text) != want || err != nil {
				t.Errorf("%s\nwant\n%s", text, want)
			}
		}
		if !found {
			t.Errorf("%q is missing", name)
		}
	}
}
