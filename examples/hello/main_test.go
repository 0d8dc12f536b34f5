package main

import (
	"testing"

	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/procpooltest"
)

func TestMain(m *testing.M) { procpooltest.Main(m, Square) }

// Inline needs no process: quick, debuggable, and what crosses is still encoded.
func TestSquare(t *testing.T) {
	got, err := Square.Call(t.Context(), procpooltest.Inline(Square), 7)
	if got != 49 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

// A real pool: the workers are the test binary run again.
func TestSquareInWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short starts no processes")
	}
	procpooltest.NoOrphans(t) // fails the test if anything is left behind
	pool, err := executor.New(t.Context(), executor.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	got, err := Square.Call(t.Context(), pool, 7)
	if got != 49 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}
