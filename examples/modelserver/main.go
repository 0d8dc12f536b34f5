// Modelserver keeps a model in a process of its own: an actor that loads it once and
// then answers a thousand calls. Half way through the process is killed; it is loaded
// again in another, and only the call that was running is lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// model guesses the language of a text by how often its groups of three letters come in
// each.
type model struct {
	weights map[string]map[string]float64 // by group, then by language
	served  int
}

// Model is the actor. Its argument is what the model is made from: a text for each
// language. A real one would take the path of a file, and load it here.
var Model = procpool.DefineActor("model", func(_ context.Context, texts map[string]string) (*model, error) {
	m := &model{weights: make(map[string]map[string]float64)}
	for language, text := range texts {
		for group, n := range groups(text) {
			if m.weights[group] == nil {
				m.weights[group] = make(map[string]float64)
			}
			m.weights[group][language] += n
		}
	}
	return m, nil
})

// The methods of the model.
var (
	Guess  = procpool.DefineMethod(Model, "guess", (*model).guess)
	Served = procpool.DefineMethod(Model, "served", func(m *model, _ context.Context, _ struct{}) (int, error) { return m.served, nil })
	// Ponder takes longer than anybody has patience for.
	Ponder = procpool.DefineMethod(Model, "ponder", func(_ *model, ctx context.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
)

func (m *model) guess(_ context.Context, text string) (best string, err error) {
	m.served++
	scores := make(map[string]float64)
	for group, n := range groups(text) {
		for language, weight := range m.weights[group] {
			scores[language] += n * weight
		}
	}
	for language, score := range scores {
		if best == "" || score > scores[best] {
			best = language
		}
	}
	return best, nil
}

// groups counts the groups of three letters in a text, as parts of it.
func groups(text string) map[string]float64 {
	letters := []rune(" " + strings.ToLower(text) + " ")
	counts := make(map[string]float64)
	for i := range len(letters) - 2 {
		counts[string(letters[i:i+3])] += 1 / float64(len(letters))
	}
	return counts
}

// texts are the first article of a declaration that is known in all languages.
var texts = map[string]string{
	"english": "all human beings are born free and equal in dignity and rights they are endowed with reason and conscience and should act towards one another in a spirit of brotherhood",
	"french":  "tous les êtres humains naissent libres et égaux en dignité et en droits ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité",
	"german":  "alle menschen sind frei und gleich an würde und rechten geboren sie sind mit vernunft und gewissen begabt und sollen einander im geist der brüderlichkeit begegnen",
}

// questions are what is asked, in turn.
var questions = []struct{ text, language string }{
	{"the conscience of one another", "english"},
	{"les droits et la conscience", "french"},
	{"das gewissen und die vernunft", "german"},
}

const half = 500

func main() {
	workerproc.Init(Model)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	ref, err := Model.Spawn(ctx, pool, texts, procpool.Restarts(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the first half:", check(ctx, ask(ctx, ref)), "right,", served(ctx, ref), "by this process")

	lost := Ponder.Submit(ctx, ref, struct{}{})
	behind := ask(ctx, ref) // they wait behind it
	if err := killWhileRunning(ctx, lost); err != nil {
		log.Fatal(err)
	}
	_, err = lost.Result(ctx)
	fmt.Println("the call that ran when it was killed:", reason(err))
	fmt.Println("the second half:", check(ctx, behind), "right,", served(ctx, ref), "by this process")
	if err := ref.Close(); err != nil {
		log.Fatal(err)
	}
	_, err = Guess.Call(ctx, ref, "too late")
	fmt.Println("and then:", err)
}

// ask submits half of the calls.
func ask(ctx context.Context, ref *procpool.Ref) (answers []*procpool.Future[string]) {
	for i := range half {
		answers = append(answers, Guess.Submit(ctx, ref, questions[i%len(questions)].text))
	}
	return answers
}

// check waits for the answers and counts those that are right.
func check(ctx context.Context, answers []*procpool.Future[string]) (right int) {
	for i, future := range answers {
		language, err := future.Result(ctx)
		if err != nil {
			log.Println(err)
		}
		if language == questions[i%len(questions)].language {
			right++
		}
	}
	return right
}

// served tells how many calls the model has answered since it was loaded.
func served(ctx context.Context, ref *procpool.Ref) int {
	n, err := Served.Call(ctx, ref, struct{}{})
	if err != nil {
		log.Println(err)
	}
	return n
}

// killWhileRunning kills the process that runs a call, as the kernel does when memory
// runs out.
func killWhileRunning(ctx context.Context, future *procpool.Future[string]) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for future.State() != procpool.Started {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	process, err := os.FindProcess(future.Info().PID)
	if err != nil {
		return err
	}
	return process.Kill()
}

// reason says of what a process died.
func reason(err error) string {
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		return crash.Reason
	}
	return fmt.Sprint(err)
}
