package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// sleepers starts n executions that wait for an hour, with inputs of 1 KB.
func sleepers(t testing.TB, e *engine.Engine, n int) {
	t.Helper()
	arn := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`)
	input := `{"text":"` + strings.Repeat("x", 1000) + `"}`
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if _, err := e.StartExecution(context.Background(), engine.Start{MachineARN: arn, Name: fmt.Sprint("n", i), Input: input}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSleepingExecutionsLeaveMemory(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := newEngine(t, s)
	defer run(t, e)()
	const n = 2000
	sleepers(t, e, 64) // what is allocated once
	before := heap()
	arn := machine(t, e, "other", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if _, err := e.StartExecution(context.Background(), engine.Start{MachineARN: arn, Name: fmt.Sprint("n", i), Input: `{"text":"` + strings.Repeat("x", 1000) + `"}`}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		each := (heap() - before) / n
		if each <= 512 {
			t.Logf("%d bytes of heap for each sleeping execution", each)
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d bytes of heap for each sleeping execution, want at most 512", each)
		}
	}
}

// BenchmarkSleeping reports what 10,000 executions in a Wait cost in memory.
func BenchmarkSleeping(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		b.StopTimer()
		s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "engine.db"))
		if err != nil {
			b.Fatal(err)
		}
		e := newEngine(b, s)
		stop := run(b, e)
		before := heap()
		b.StartTimer()
		sleepers(b, e, n)
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/n, "heap-bytes/execution")
		stop()
		s.Close()
		b.StartTimer()
	}
}
