//go:build !race

package procpooltest

const raceDetector = false
