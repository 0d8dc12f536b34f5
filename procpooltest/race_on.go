//go:build race

package procpooltest

const raceEnabled = true
