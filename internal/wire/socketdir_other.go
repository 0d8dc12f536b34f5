//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package wire

import (
	"errors"
	"io/fs"
	"os"
)

// lockDir locks nothing: directories can't be locked here, so none is swept.
func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func isOurs(fs.FileInfo) bool { return false }
