// Package standard is the Go SDK's implementation of the standard functions of
// docs/conformance.md, which the conformance kit calls. Its worker folder holds
// the program that serves them.
package standard

import (
	"slices"

	"github.com/procpool/procpool"
)

// Tasks returns all standard functions.
func Tasks() []procpool.Task {
	return slices.Concat(values(), failures(), deaths(), waiting(), effects(), streams(), sessions(), talking(), actors(), sharing())
}
