package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// converse opens a session, sends it what standard input holds, and prints what it
// sends, until it ends.
func (f *callFlags) converse(ctx context.Context, c *console, pool *executor.Pool, name string, open value, opts []procpool.Option) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// There is one worker, and the session has it to itself.
	opts = append(opts, procpool.Shared())
	talk := procpool.RemoteSession[value, value, value](name, opts...).Open(ctx, pool, open)
	defer talk.Close()
	next := lines(c.in)
	if f.raw {
		next = pieces(c.in)
	}
	// It is left where it is when the session ends first: nothing ends a read of
	// standard input but the end of the program, which is near.
	go func() {
		if err := send(ctx, talk, next); err != nil {
			giveUp(err)
		}
	}()
	for out, err := range talk.All(ctx) {
		if err == nil {
			err = f.print(c, out)
		}
		if err != nil {
			if wrong, ok := errors.AsType[*inputError](context.Cause(ctx)); ok {
				return wrong.err
			}
			return err
		}
	}
	return nil
}

// An inputError ends a session for what is wrong with its input.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

// send sends a session its values. The error says that the input is wrong.
func send(ctx context.Context, talk *procpool.Conversation[value, value], next func() (value, error)) error {
	for {
		v, err := next()
		if errors.Is(err, io.EOF) {
			talk.CloseSend()
			return nil
		}
		if err != nil {
			return &inputError{err}
		}
		if talk.Send(ctx, v) != nil {
			return nil // the session has ended, which is told where it is read
		}
	}
}

// lines reads JSON values, one a line. Empty lines are none.
func lines(in io.Reader) func() (value, error) {
	r := bufio.NewReader(in)
	number := 0
	return func() (value, error) {
		for {
			line, err := r.ReadBytes('\n')
			number++
			if line = bytes.TrimSpace(line); len(line) > 0 {
				return line, checkJSON(fmt.Sprintf("line %d of standard input", number), line)
			}
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			if err != nil {
				return nil, fmt.Errorf("standard input can't be read: %w", err)
			}
		}
	}
}

// pieceSize is how much of standard input is sent at once at the most.
const pieceSize = 64 << 10

// pieces reads bytes as they come.
func pieces(in io.Reader) func() (value, error) {
	return func() (value, error) {
		buf := make([]byte, pieceSize)
		n, err := in.Read(buf)
		if n > 0 {
			return buf[:n], nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("standard input can't be read: %w", err)
		}
		return nil, err
	}
}
