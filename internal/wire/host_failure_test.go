package wire //nolint:testpackage // a start that fails this way can only be made from inside

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Where a limit can't be held New says so, with an error that can be asked for it:
// go-plugin, through which a start goes, passes on no more than its text.
func TestUnsupportedLimitKeepsItsIdentity(t *testing.T) {
	cause := fmt.Errorf("no memory limit on this system: %w", errors.ErrUnsupported)
	l := &launch{o: Options{Path: "/bin/worker"}, spawnErr: cause}
	err := l.failed(t.Context(), &handshakeError{errors.New(cause.Error())})
	if !errors.Is(err, errors.ErrUnsupported) || strings.Contains(err.Error(), "handshake") {
		t.Errorf("%v", err)
	}
}
