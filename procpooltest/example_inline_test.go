package procpooltest_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var Title = procpool.Define("title", func(_ context.Context, word string) (string, error) {
	if word == "" {
		return "", fmt.Errorf("no word")
	}
	return strings.ToUpper(word[:1]) + word[1:], nil
})

// headline is what is to be tested: it takes any executor.
func headline(ctx context.Context, ex procpool.Executor, words ...string) (string, error) {
	futures := make([]*procpool.Future[string], len(words))
	for i, w := range words {
		futures[i] = Title.Submit(ctx, ex, w)
	}
	titled, err := procpool.All(ctx, futures...)
	return strings.Join(titled, " "), err
}

func ExampleInline() {
	ex := procpooltest.Inline(Title)

	fmt.Println(headline(context.Background(), ex, "dog", "bites", "man"))
	_, err := headline(context.Background(), ex, "man", "")
	fmt.Println(err)
	// Output:
	// Dog Bites Man <nil>
	// procpool: task "title" failed: no word
}
