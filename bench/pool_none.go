//go:build !pool

package main

import (
	"context"
	"errors"
)

var errNoPool = errors.New("no pool yet")

func initWorker() {}

func newPool(context.Context, int, int) (pool, error) { return nil, errNoPool }
