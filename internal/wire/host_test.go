package wire_test

import "testing"

func TestCallReturns(t *testing.T) {
	h := start(t)
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("square of 7 is %d", got)
	}
}
