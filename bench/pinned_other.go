//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var errNoAffinity = fmt.Errorf("choosing a process's CPU: %w", errors.ErrUnsupported)

func openPinned(context.Context, int) (subject, error) { return nil, errNoAffinity }

func pinnedDrive(context.Context, []string, io.Writer) error { return errNoAffinity }
