package workerproc_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/procpool/procpool/workerproc"
)

// The main function of a program that is a worker and nothing else; here it is run
// by hand.
func ExampleServe() {
	if err := workerproc.Serve(context.Background(), Square); err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), ": ", ":\n"))
	}
	// Output:
	// workerproc.Serve:
	// this program is a procpool worker:
	// a pool starts it, it does nothing when it is run by hand; give its path to executor.Program
}
