package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// mostPercent trades memory for time: the service lives on a few tens of
	// megabytes, and at Go's default of 100 collecting takes a tenth of its
	// time while deliveries arrive at full speed.
	mostPercent = 300
	// leastPercent is for a heap that is large by itself.
	leastPercent = 50
	// mostGarbage is how many bytes may wait for the collector meanwhile, and
	// limitShare which part of the memory limit, if that is less. Without such
	// a bound a few large deliveries would leave three times their size.
	mostGarbage = 96 << 20
	limitShare  = 8
)

// tuneCollector sets how much garbage may gather, and sets it anew after each
// collection. GOGC overrules it.
func tuneCollector() {
	allowed := min(mostGarbage, debug.SetMemoryLimit(-1)/limitShare)
	percent := mostPercent
	debug.SetGCPercent(percent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	// The runtime tells of a collection by finalizing what it found
	// unreachable; finalizers run one after another.
	type sentinel struct{ _ [16]byte }
	var tune func(*sentinel)
	tune = func(s *sentinel) {
		metrics.Read(live)
		if p := gcPercent(live[0].Value.Uint64(), allowed); p != percent {
			percent = p
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(s, tune)
	}
	runtime.SetFinalizer(&sentinel{}, tune)
}

// gcPercent lets so much garbage gather beside a heap of so many live bytes.
func gcPercent(live uint64, garbage int64) int {
	if live == 0 {
		return mostPercent
	}
	percent := float64(garbage) / float64(live) * 100
	// In steps, so that it is not set for every trifle.
	return int(math.Round(min(max(percent, leastPercent), mostPercent)/25)) * 25
}
