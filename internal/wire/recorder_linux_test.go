package wire //nolint:testpackage // tests what is not exported

import (
	"os"
	"testing"
)

// TestPageCannotBeCut is why the host may map a memfd: its worker can't make it
// shorter, or longer.
func TestPageCannotBeCut(t *testing.T) {
	t.Parallel()
	r := pages(t, 1)["best"]
	if _, ok := r.mem.(*memfdPage); !ok {
		t.Fatalf("the page is a %T: memfd_create does not work here", r.mem)
	}
	for _, size := range []int64{0, 4096, int64(recorderSize(1)) + 4096} {
		if err := os.Truncate(r.path(), size); err == nil {
			t.Errorf("the page was cut to %d bytes", size)
		}
	}
	if _, ok := r.progress(0); !ok {
		t.Error("the page can't be read any more")
	}
}
