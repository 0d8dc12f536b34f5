// Parser holds a conversation with a calculator in a process of its own: it is sent
// lines, remembers the names that they define and the part of an expression that a
// line leaves open, and answers each.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// Reply is the parser's answer to a line.
type Reply struct {
	Text string
	More bool // the expression goes on in the next line
}

// Calculator reads lines such as "area = width * 3" and tells what they come to. Its
// state lasts as long as the conversation. When its caller sends no more it says what
// it has learned.
var Calculator = procpool.DefineSession("calculator", func(_ context.Context, names map[string]float64, recv iter.Seq[string], send func(Reply) error) error {
	calc := &calculator{names: names}
	if calc.names == nil {
		calc.names = make(map[string]float64)
	}
	for line := range recv {
		if err := send(calc.line(line)); err != nil {
			return err
		}
	}
	if calc.open != "" {
		return fmt.Errorf("the end comes in the middle of %q", calc.open)
	}
	return send(Reply{Text: fmt.Sprintf("%d names are known", len(calc.names))})
})

func main() {
	workerproc.Init(Calculator)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	err = converse(ctx, pool, map[string]float64{"pi": 3.14159},
		"radius = 2",
		"area = pi *",
		"  (radius * radius",
		"  )",
		"area / nothing",
		"1 + * 2",
		"volume = area * 3",
	)
	if err != nil {
		log.Fatal(err)
	}
	// Another conversation knows nothing of that, and ends badly.
	fmt.Println("\nanother conversation:")
	err = converse(ctx, pool, nil, "radius", "(1 + ")
	var failed *procpool.TaskError
	if !errors.As(err, &failed) {
		log.Fatal("it was to fail: ", err)
	}
	fmt.Println("it failed:", failed.Message)
}

// converse sends the lines and prints them with their answers.
func converse(ctx context.Context, pool procpool.Executor, names map[string]float64, lines ...string) error {
	talk := Calculator.Open(ctx, pool, names)
	defer talk.Close() // where it has not ended by itself
	prompt := "> "
	for _, line := range lines {
		fmt.Println(prompt + line)
		if err := talk.Send(ctx, line); err != nil {
			return err
		}
		reply, err := talk.Recv(ctx)
		if err != nil {
			return err
		}
		prompt = "> "
		if reply.More {
			prompt = ". "
			continue
		}
		fmt.Println(reply.Text)
	}
	talk.CloseSend()
	for reply, err := range talk.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(reply.Text)
	}
	if _, err := talk.Recv(ctx); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// calculator is the parser's state.
type calculator struct {
	names map[string]float64
	open  string // what earlier lines have left open
}

// line takes one more line.
func (c *calculator) line(line string) Reply {
	text := strings.TrimSpace(c.open + " " + line)
	name, expression, define := strings.Cut(text, "=")
	if !define {
		name, expression = "", text
	}
	p := &parser{names: c.names, tokens: tokens(expression)}
	value, err := p.sum()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("unexpected %q", p.tokens[0])
	}
	switch {
	case errors.Is(err, errOpen):
		c.open = text
		return Reply{More: true}
	case err != nil:
		c.open = ""
		return Reply{Text: "error: " + err.Error()}
	}
	c.open = ""
	if name = strings.TrimSpace(name); name != "" {
		c.names[name] = value
		return Reply{Text: fmt.Sprintf("%s is %.6g", name, value)}
	}
	return Reply{Text: fmt.Sprintf("%.6g", value)}
}
