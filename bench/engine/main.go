// Command engine measures the embedded engine: state transitions a second of a
// loop of Pass and Choice, in memory and durable, with one execution and with
// 64 at once, and the memory that executions cost which sleep in a Wait.
//
// All of them take turns in one run, so that a busy machine slows them alike;
// each is shown beside the same work in memory, which is the baseline.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// loop makes 203 transitions: from Pass into the loop, 101 times to Choice, 100
// times back, and out of it.
const (
	loop = `{
  "StartAt": "Init",
  "States": {
    "Init": {"Type": "Pass", "Result": {"i": 0}, "Next": "Count"},
    "Count": {"Type": "Pass", "Parameters": {"i.$": "States.MathAdd($.i, 1)"}, "Next": "More"},
    "More": {"Type": "Choice", "Choices": [{"Variable": "$.i", "NumericLessThan": 101, "Next": "Count"}], "Default": "Done"},
    "Done": {"Type": "Succeed"}
  }
}`
	transitions = 1 + 101 + 100 + 1

	sleep = `{"StartAt": "Sleep", "States": {"Sleep": {"Type": "Wait", "Seconds": 3600, "End": true}}}`

	role = "arn:aws:iam::123456789012:role/bench"
)

// goals are what is asked for, on a machine that has nothing else to do.
type goals struct{ memory, durable, sleeper float64 }

func main() {
	seconds := flag.Float64("seconds", 1, "how long each measure takes, per `round`")
	rounds := flag.Int("rounds", 3, "how often the measures take turns")
	sleepers := flag.Int("sleepers", 10_000, "executions that sleep in a Wait")
	var want goals
	flag.Float64Var(&want.memory, "goal-memory", 0, "fail under so many transitions a second in memory, one at a time")
	flag.Float64Var(&want.durable, "goal-durable", 0, "fail under so many transitions a second, durable, 64 at once")
	flag.Float64Var(&want.sleeper, "goal-sleeper", 4096, "fail above so many `bytes` for each sleeping execution")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, time.Duration(*seconds*float64(time.Second)), *rounds, *sleepers, want)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

// measure is one kind of run.
type measure struct {
	durable  bool
	together int
	// rates are transitions a second, one of each round.
	rates []float64
}

func (m *measure) String() string {
	if m.durable {
		return "durable"
	}
	return "in memory"
}

// rate is the median of the rounds.
func (m *measure) rate() float64 {
	sorted := slices.Sorted(slices.Values(m.rates))
	return sorted[len(sorted)/2]
}

func run(ctx context.Context, each time.Duration, rounds, sleepers int, want goals) error {
	dir, err := os.MkdirTemp("", "switchyard-engine-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	measures := []*measure{{false, 1, nil}, {false, 64, nil}, {true, 1, nil}, {true, 64, nil}}
	for round := range rounds {
		for i, m := range measures {
			file := ""
			if m.durable {
				file = filepath.Join(dir, fmt.Sprintf("%d-%d.db", round, i))
			}
			rate, err := m.once(ctx, file, each)
			if err != nil {
				return fmt.Errorf("%s, %d at once: %w", m, m.together, err)
			}
			m.rates = append(m.rates, rate)
		}
	}
	heap, resident, err := sleeping(ctx, filepath.Join(dir, "sleepers.db"), sleepers)
	if err != nil {
		return fmt.Errorf("sleeping executions: %w", err)
	}
	show(measures, sleepers, heap, resident)
	return want.check(measures, heap)
}

func (g goals) check(measures []*measure, heap float64) error {
	var missed []error
	if got := measures[0].rate(); got < g.memory {
		missed = append(missed, fmt.Errorf("%.0f transitions/s in memory, want %.0f", got, g.memory))
	}
	if got := measures[3].rate(); got < g.durable {
		missed = append(missed, fmt.Errorf("%.0f transitions/s durable with 64 at once, want %.0f", got, g.durable))
	}
	if heap > g.sleeper {
		missed = append(missed, fmt.Errorf("%.0f bytes for each sleeping execution, want at most %.0f", heap, g.sleeper))
	}
	return errors.Join(missed...)
}

func show(measures []*measure, sleepers int, heap, resident float64) {
	fmt.Printf("%d cores, loops of %d transitions, median of %d\n\n", runtime.GOMAXPROCS(0), transitions, len(measures[0].rates))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "store\tat once\ttransitions/s\texecutions/s\tof baseline\t")
	base := map[int]float64{}
	for _, m := range measures {
		if !m.durable {
			base[m.together] = m.rate()
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.2f\t\n", m, m.together, m.rate(), m.rate()/transitions, m.rate()/cmp.Or(base[m.together], m.rate()))
	}
	w.Flush()
	fmt.Printf("\n%d executions asleep, durable: %.0f bytes of heap each", sleepers, heap)
	if resident > 0 {
		fmt.Printf(", %.0f of resident memory", resident)
	}
	fmt.Println()
}

// bench is an engine that runs.
type bench struct {
	*engine.Engine
	store store.Store
	stop  context.CancelFunc
	done  chan error
}

// open starts an engine on the store in file, in memory without one.
func open(ctx context.Context, file string) (*bench, error) {
	var s store.Store = store.NewMemory()
	if file != "" {
		var err error
		if s, err = store.Open(ctx, file); err != nil {
			return nil, err
		}
	}
	e, err := engine.New(s, engine.Config{})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	running, stop := context.WithCancel(ctx)
	b := &bench{e, s, stop, make(chan error, 1)}
	go func() { b.done <- e.Run(running) }()
	return b, nil
}

func (b *bench) close() error {
	b.stop()
	return errors.Join(<-b.done, b.store.Close())
}

// once runs loops, m.together at a time, for about as long as asked, and
// returns the transitions a second. An execution counts once it has ended,
// durably where the store is.
func (m *measure) once(ctx context.Context, file string, each time.Duration) (rate float64, err error) {
	b, err := open(ctx, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	machine, err := b.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "loop", Definition: loop, RoleARN: role})
	if err != nil {
		return 0, err
	}
	// An event is dropped where more than 1,024 wait for us; never here.
	ended := make(chan struct{}, m.together)
	failed := make(chan string, 1)
	defer b.OnStatusChange(func(event []byte) {
		var change struct {
			Detail struct{ Status, ExecutionArn string }
		}
		switch err := json.Unmarshal(event, &change); {
		case err == nil && change.Detail.Status == store.Running.String():
		case err == nil && change.Detail.Status == store.Succeeded.String():
			ended <- struct{}{}
		default:
			select {
			case failed <- string(event):
			default:
			}
		}
	})()
	results := make(chan error, m.together)
	start := func(i int) {
		_, err := b.StartExecution(ctx, engine.Start{MachineARN: machine.ARN, Name: fmt.Sprint("n", i)})
		results <- err
	}
	begin := time.Now()
	started, finished := 0, 0
	for ; started < m.together; started++ {
		go start(started)
	}
	for finished < started {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case event := <-failed:
			return 0, fmt.Errorf("an execution did not succeed: %s", event)
		case err := <-results:
			if err != nil {
				return 0, err
			}
		case <-ended:
			finished++
			if time.Since(begin) < each {
				go start(started)
				started++
			}
		}
	}
	return float64(finished*transitions) / time.Since(begin).Seconds(), nil
}

// sleeping starts n executions that sleep for an hour, each with an input of
// 1 KB, and returns what they cost, in bytes for each.
func sleeping(ctx context.Context, file string, n int) (heap, resident float64, err error) {
	b, err := open(ctx, file)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	machine, err := b.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "sleep", Definition: sleep, RoleARN: role})
	if err != nil {
		return 0, 0, err
	}
	input := `{"text":"` + strings.Repeat("x", 1000) + `"}`
	begin := func(from, to int) error {
		const together = 64
		errs := make([]error, together)
		var wg sync.WaitGroup
		for w := range together {
			wg.Go(func() {
				for i := from + w; i < to && errs[w] == nil; i += together {
					_, errs[w] = b.StartExecution(ctx, engine.Start{MachineARN: machine.ARN, Name: fmt.Sprint("n", i), Input: input})
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	const first = 256 // what is allocated once, however many there are
	if err := begin(0, first); err != nil {
		return 0, 0, err
	}
	heapBefore, residentBefore := inUse()
	if err := begin(first, first+n); err != nil {
		return 0, 0, err
	}
	time.Sleep(time.Second) // an execution leaves memory a moment after its start is answered
	heapAfter, residentAfter := inUse()
	return max(0, heapAfter-heapBefore) / float64(n), max(0, residentAfter-residentBefore) / float64(n), nil
}

// inUse is what lives on the heap, and what the process holds of the machine's
// memory where that can be read.
func inUse() (heap, resident float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var size, pages float64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(text), &size, &pages); err == nil {
			resident = pages * float64(os.Getpagesize())
		}
	}
	return float64(m.HeapAlloc), resident
}
