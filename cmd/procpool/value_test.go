package main_test

import (
	"strings"
	"testing"

	"github.com/procpool/procpool"
	main "github.com/procpool/procpool/cmd/procpool"
)

func TestCodecIsOneThatTheTaskKnows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ accepted, asked, want, refused string }{
		{"cbor json", "", "json", ""},
		{"cbor json", "cbor", "cbor", ""},
		{"raw cbor", "", "cbor", ""},
		{"raw cbor", "raw", "raw", ""},
		{"proto cbor", "", "cbor", ""},
		{"", "", "cbor", ""},
		{"", "raw", "", `"t" does not accept the codec raw but cbor`},
		{"cbor", "json", "", `"t" does not accept the codec json but cbor`},
		{"raw", "", "", "call it with --raw"},
		{"proto msgpack", "", "", "accepts proto, msgpack, which can't be made of JSON"},
	} {
		got, err := main.ChooseCodec(procpool.TaskInfo{Name: "t", Codecs: strings.Fields(test.accepted)}, test.asked)
		switch {
		case test.refused != "":
			if err == nil || main.ExitCode(err) != 2 || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("of %q asked for %q: %v, %v", test.accepted, test.asked, got, err)
			}
		case err != nil || got.Name() != test.want:
			t.Errorf("of %q asked for %q: %v, %v", test.accepted, test.asked, got, err)
		}
	}
}
