//go:build !unix

package main

import (
	"context"
	"errors"
	"fmt"
)

var errNoSocketPair = fmt.Errorf("blocking socket pairs: %w", errors.ErrUnsupported)

func openDescriptorPeer(context.Context, int) (exchanger, error) { return nil, errNoSocketPair }

func descriptorEcho([]string) error { return errNoSocketPair }
