// Command hungry waits for the end of its standard input and then allocates memory until it is stopped.
// It uses what it gets; with an argument it begins with a gigabyte at once and uses none of it.
package main

import (
	"io"
	"os"
)

func main() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	var kept [][]byte
	if len(os.Args) > 1 {
		kept = append(kept, make([]byte, 1<<30))
	}
	for len(kept) < 1<<20 {
		block := make([]byte, 16<<20)
		for i := 0; i < len(block) && len(os.Args) == 1; i += os.Getpagesize() {
			block[i] = 1
		}
		kept = append(kept, block)
	}
}
