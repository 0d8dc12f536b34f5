package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var (
	// Sentences yields the sentences of a text.
	Sentences = procpool.DefineStream("sentences", func(_ context.Context, text string, emit func(string) error) error {
		for s := range strings.SplitSeq(text, ".") {
			if s = strings.TrimSpace(s); s == "" {
				continue
			}
			if err := emit(s); err != nil {
				return err
			}
		}
		return nil
	})

	// CountWords counts the words of a sentence.
	CountWords = procpool.Define("count_words", func(_ context.Context, sentence string) (int, error) {
		if strings.ContainsAny(sentence, "0123456789") {
			return 0, errors.New("a digit")
		}
		return len(strings.Fields(sentence)), nil
	})
)

func ExampleJoin() {
	pool := procpooltest.Inline(Sentences, CountWords)
	texts := slices.Values([]string{"It rains. It is cold.", "Let us go in."})

	// One worker cuts texts up, others count, and what they found is added up
	// here: all at the same time, none far ahead of the next.
	total := 0
	sum := procpool.StageFunc("sum", func(_ context.Context, words int) (string, error) {
		total += words
		return fmt.Sprintf("%d words, %d in all", words, total), nil
	})
	counts := procpool.Join(procpool.Stage(Sentences), procpool.Stage(CountWords, procpool.Parallel(4)))
	for line, err := range procpool.Join(counts, sum).Run(context.Background(), pool, texts) {
		fmt.Println(line, err)
	}
	// Output:
	// 2 words, 2 in all <nil>
	// 3 words, 5 in all <nil>
	// 4 words, 9 in all <nil>
}

func ExamplePipeline_Run_errors() {
	pool := procpooltest.Inline(Sentences, CountWords)
	texts := slices.Values([]string{"One. 2.", "Three."})
	counts := procpool.Join(procpool.Stage(Sentences), procpool.Stage(CountWords))

	// What fails is told in its place, and the others go on.
	for words, err := range counts.Run(context.Background(), pool, texts) {
		fmt.Println(words, err)
	}
	// Or it is the last thing that happens.
	for words, err := range counts.StopAtError().Run(context.Background(), pool, texts) {
		if failed, ok := errors.AsType[*procpool.StageError](err); ok {
			fmt.Println("stopped by input", failed.Input, "in stage", failed.Name)
			break
		}
		fmt.Println(words)
	}
	// Output:
	// 1 <nil>
	// 0 procpool: stage "count_words" failed with input 0: procpool: task "count_words" failed: a digit
	// 1 <nil>
	// 1
	// stopped by input 0 in stage count_words
}
