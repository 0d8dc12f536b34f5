package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Tree is a number and the trees below it.
type Tree struct {
	Value    int
	Branches []Tree
}

// sumOf is what SumTree calls itself by: a variable can't refer to itself.
var sumOf = procpool.Remote[Tree, int]("sum_tree")

// SumTree adds up a tree, with a call for each branch.
var SumTree = procpool.Define("sum_tree", func(ctx context.Context, t Tree) (int, error) {
	pool := procpool.ExecutorFrom(ctx) // the pool that runs this call
	var branches []*procpool.Future[int]
	for _, b := range t.Branches {
		branches = append(branches, sumOf.Submit(ctx, pool, b))
	}
	sums, err := procpool.All(ctx, branches...)
	total := t.Value
	for _, s := range sums {
		total += s
	}
	return total, err
})

func ExampleExecutorFrom() {
	pool := procpooltest.Inline(SumTree)

	// However small the pool and deep the tree: a call that waits for others
	// makes room for them.
	tree := Tree{1, []Tree{{2, []Tree{{3, nil}, {4, nil}}}, {5, nil}}}
	fmt.Println(SumTree.Call(context.Background(), pool, tree))
	// Output: 15 <nil>
}
