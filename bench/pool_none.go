//go:build !pool

package main

import (
	"context"
	"errors"
)

var errNoPool = errors.New("no pool yet")

func initWorker() {}

func newPool(context.Context, poolConfig) (pool, error) { return nil, errNoPool }
