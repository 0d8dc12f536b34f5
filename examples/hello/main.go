// Hello squares a number in a worker process.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

var Square = procpool.Define("square", func(ctx context.Context, n int) (int, error) { return n * n, nil })

func main() {
	workerproc.Init(Square) // in a worker process this serves and never returns
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println(Square.Call(ctx, pool, 7)) // 49 <nil>
}
