// Polyglot calls a Python function.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

var Summary = procpool.Remote[[]float64, map[string]float64]("summary")

func main() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{
		Command: executor.Python("examples/polyglot/worker.py"),
		Tasks:   []procpool.Task{Summary}, // a wrong name or type is an error here
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println(Summary.Call(ctx, pool, []float64{2, 4, 4, 4, 5, 5, 7, 9}))
}
