//go:build !unix

package wire

import (
	"errors"
	"fmt"
)

func newPageMemory(string, int, []byte) (pageMemory, error) {
	return nil, fmt.Errorf("procpool: there is no flight recorder on this system: %w", errors.ErrUnsupported)
}

func openPage(string) (mappedPage, func() error, error) {
	return nil, nil, fmt.Errorf("procpool: there is no flight recorder on this system: %w", errors.ErrUnsupported)
}
