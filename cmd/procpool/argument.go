package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/procpool/procpool"
)

// An argument is what a task is to be called with, as far as the command line tells.
type argument struct {
	text  value // nil where it is not on the command line
	stdin bool  // it was said to be on standard input
	raw   bool
}

// given reads the argument on the command line, if there is one.
func (f *callFlags) given(words []string) (argument, error) {
	arg := argument{raw: f.raw}
	switch {
	case len(words) == 0:
	case words[0] == "-":
		arg.stdin = true
	default:
		arg.text = value(words[0])
		if err := arg.check("the argument", arg.text); err != nil {
			return arg, err
		}
	}
	return arg, nil
}

// check says what is wrong with what came from somewhere, if it is to be JSON.
func (a argument) check(from string, text value) error {
	if a.raw {
		return nil
	}
	return checkJSON(from, text)
}

// read returns the whole argument, from standard input if need be. A task of the kind
// session has its values there.
func (a argument) read(ctx context.Context, c *console, kind procpool.Kind) (value, error) {
	nothing := value("null")
	if a.raw {
		nothing = value{}
	}
	switch {
	case a.text != nil:
		return a.text, nil
	case kind == procpool.KindSession && a.stdin:
		return nil, wrongUse("what a session receives comes from standard input, so its opening argument can't: put it on the command line")
	case kind == procpool.KindSession, !a.stdin && c.inIsTerminal():
		return nothing, nil
	}
	text, err := readAll(ctx, c.in)
	if err != nil {
		return nil, err
	}
	if !a.raw && len(bytes.TrimSpace(text)) == 0 {
		return nothing, nil
	}
	return text, a.check("standard input", text)
}

// maxInput is how much standard input may hold: what the pool takes, and one more so
// that it says that this is too much.
const maxInput = 256<<20 + 1

// readAll reads standard input to its end, or until ctx ends.
func readAll(ctx context.Context, in io.Reader) (value, error) {
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, maxInput))
		done <- read{text, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("standard input can't be read: %w", r.err)
		}
		return r.text, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("given up while standard input was read: %w", context.Cause(ctx))
	}
}

// word is what people give who forget JSON's quotes.
var word = regexp.MustCompile(`^[\pL_][\pL\pN_ ./:-]*$`)

// checkJSON says why text is not one JSON value, and what to do about it.
func checkJSON(from string, text value) error {
	if json.Valid(text) {
		return nil
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return wrongUse("%s is empty, which is no JSON: leave it out, or say null", from)
	}
	if word.Match(text) {
		return wrongUse("%s, %s, is no JSON: a text is written in quotes, which in a shell takes two pairs of them: '\"%s\"'", from, text, text)
	}
	var ignored any
	err := json.Unmarshal(text, &ignored)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return wrongUse("%s is no JSON: at byte %d of %d: %v", from, syntax.Offset, len(text), err)
	}
	return wrongUse("%s is no JSON: %v", from, err)
}
