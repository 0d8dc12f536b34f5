package main

import (
	"math"
	"slices"
	"time"
)

// median returns the middle of the values, the mean of the two middle ones
// when their number is even, and NaN when there are none. It leaves its
// argument as it was.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	ordered := slices.Sorted(slices.Values(values))
	middle := len(ordered) / 2
	if len(ordered)%2 == 1 {
		return ordered[middle]
	}
	return (ordered[middle-1] + ordered[middle]) / 2
}

// percentile returns the smallest duration that at least the given share of
// them (0 to 1) does not exceed: the nearest-rank definition, which never
// invents a value between two that were seen. The durations must be in
// ascending order; none give zero.
func percentile(ordered []time.Duration, share float64) time.Duration {
	if len(ordered) == 0 {
		return 0
	}
	rank := int(math.Ceil(share * float64(len(ordered))))
	return ordered[min(max(rank, 1), len(ordered))-1]
}

// latencies sorts the durations in place and returns their p50 and p99 in
// microseconds.
func latencies(took []time.Duration) (p50, p99 float64) {
	slices.Sort(took)
	return microseconds(percentile(took, 0.50)), microseconds(percentile(took, 0.99))
}

// rounded cuts a value to four significant digits: more would be noise, and
// would make the JSON hard to read.
func rounded(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
