package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// loop makes 203 transitions: Pass once, then 101 times Pass and Choice.
const loop = `{
  "StartAt": "Init",
  "States": {
    "Init": {"Type": "Pass", "Result": {"i": 0}, "Next": "Count"},
    "Count": {"Type": "Pass", "Parameters": {"i.$": "States.MathAdd($.i, 1)"}, "Next": "More"},
    "More": {"Type": "Choice", "Choices": [{"Variable": "$.i", "NumericLessThan": 101, "Next": "Count"}], "Default": "Done"},
    "Done": {"Type": "Succeed"}
  }
}`

const loopTransitions = 1 + 2*101 + 1

// BenchmarkTransitions measures state transitions per second of a loop of
// Pass and Choice, at rest in memory (the baseline) and durable.
func BenchmarkTransitions(b *testing.B) {
	for _, kind := range []string{"memory", "sqlite"} {
		for _, together := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind, together), func(b *testing.B) {
				var s store.Store = store.NewMemory()
				if kind == "sqlite" {
					var err error
					if s, err = store.Open(b.Context(), filepath.Join(b.TempDir(), "engine.db")); err != nil {
						b.Fatal(err)
					}
				}
				b.Cleanup(func() { s.Close() })
				e, err := engine.New(s, engine.Config{})
				if err != nil {
					b.Fatal(err)
				}
				ended := make(chan struct{}, 1<<16)
				stop := e.OnStatusChange(func(event []byte) {
					if isTerminal(event) {
						ended <- struct{}{}
					}
				})
				defer stop()
				run(b, e)
				arn := machine(b, e, "loop", loop)
				b.ReportAllocs()
				b.ResetTimer()
				start := time.Now()
				work := make(chan int)
				var wg sync.WaitGroup
				slots := make(chan struct{}, together)
				wg.Go(func() {
					for range b.N {
						<-ended
						<-slots
					}
				})
				for range together {
					wg.Go(func() {
						for i := range work {
							if _, err := e.StartExecution(context.Background(), engine.Start{MachineARN: arn, Name: "n" + strconv.Itoa(i)}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for i := range b.N {
					slots <- struct{}{}
					work <- i
				}
				close(work)
				wg.Wait()
				b.ReportMetric(float64(b.N*loopTransitions)/time.Since(start).Seconds(), "transitions/s")
			})
		}
	}
}

func isTerminal(event []byte) bool {
	var c statusEvent
	return c.decode(event) == nil && c.Detail.Status != "RUNNING"
}

// BenchmarkMap reports the cost of one iteration, which must not grow with
// their number.
func BenchmarkMap(b *testing.B) {
	for _, mode := range []string{"INLINE", "DISTRIBUTED"} {
		for _, items := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", mode, items), func(b *testing.B) {
				s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "engine.db"))
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				// An inline iteration leaves four events.
				e, err := engine.New(s, engine.Config{MaxHistory: store.MaxEventID})
				if err != nil {
					b.Fatal(err)
				}
				defer run(b, e)()
				arn := machine(b, e, "m", `{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$.items","End":true,"ItemProcessor":{
					"ProcessorConfig":{"Mode":"`+mode+`"`+map[string]string{"INLINE": "", "DISTRIBUTED": `,"ExecutionType":"STANDARD"`}[mode]+`},
					"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}}}}`)
				input := `{"items":[` + strings.TrimSuffix(strings.Repeat(`"item",`, items), ",") + `]}`
				for i := 0; b.Loop(); i++ {
					x := wait(b, e, start(b, e, arn, "x"+strconv.Itoa(i), input))
					if x.Status != store.Succeeded {
						b.Fatal(x.Error, x.Cause)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/iteration")
			})
		}
	}
}
