// Worker serves the standard functions of the conformance kit with the Go SDK:
//
//	procpool conform -- go run ./internal/conformance/standard/worker
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/procpool/procpool/internal/conformance/standard"
	"github.com/procpool/procpool/workerproc"
)

func main() {
	if err := workerproc.Serve(context.Background(), standard.Tasks()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
