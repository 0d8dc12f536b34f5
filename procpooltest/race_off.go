//go:build !race

package procpooltest

const raceEnabled = false
