package workerproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// Square is package-level, because both the program and its workers need it.
var Square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// This is the main function of a program that is its own worker. It is not run
// here, since Init can be called once in a program; examples/hello is.
func ExampleInit() {
	workerproc.Init(Square)

	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println(Square.Call(ctx, pool, 7)) // 49 <nil>
}
