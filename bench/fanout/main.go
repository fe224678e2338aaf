// Command fanout measures how long one push of many commits takes to become as
// many executions on the embedded engine, from receipt to the first and the
// last start, and whether the cost of a commit stays flat as pushes and the
// journal grow. The yardstick, in the same run, is the engine alone: as many
// StartExecution calls over HTTP, with nothing in front.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"time"

	"switchyard/bench/internal/rig"
)

func main() {
	history := flag.Int("history", 100_000, "executions already in the journal for the second half")
	quick := flag.Bool("quick", false, "a history of 5,000, for CI")
	flag.Parse()
	if *quick {
		*history = 5_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *history)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

// biggest is the most commits that GitHub puts into one push.
const biggest = 2048

type bench struct {
	server *rig.Server
	random *rand.Rand
	total  int
}

func run(ctx context.Context, history int) error {
	dir, err := os.MkdirTemp("", "switchyard-fanout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := rig.New(ctx, dir)
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	b := &bench{server: server, random: rand.New(rand.NewPCG(3, 4))}
	if _, err := b.push(ctx, 16); err != nil { // warms connections and statements
		return err
	}
	alone, err := server.StartAlone(ctx, biggest)
	if err != nil {
		return err
	}
	b.total += biggest
	fmt.Printf("engine alone: %d executions in %.0f ms, %.0f µs each\n\n", biggest, alone.Seconds()*1e3, alone.Seconds()*1e6/biggest)
	sizes := []int{16, 128, 512, biggest}
	fmt.Println("commits   in journal   first start   last start   per commit   of engine alone")
	before, err := b.table(ctx, sizes, alone)
	if err != nil {
		return err
	}
	for b.total < history {
		if _, err := b.push(ctx, biggest); err != nil {
			return err
		}
		fmt.Printf("\rfilling the journal: %d of %d ", b.total, history)
	}
	fmt.Print("\r\033[K")
	after, err := b.table(ctx, sizes, alone)
	if err != nil {
		return err
	}
	peak, err := server.PeakMemory()
	if err != nil {
		return err
	}
	if err := server.Stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	growth := before[biggest].Seconds() / before[128].Seconds()
	aged := after[biggest].Seconds() / before[biggest].Seconds()
	fmt.Printf("\ncost of a commit: %.2f times from 128 to %d commits, %.2f times with %d executions in the journal\npeak memory of the process: %d MiB\n",
		growth, biggest, aged, b.total, peak>>20)
	// Flat, with room for the noise of a shared machine: something quadratic
	// would show as 16 times and more.
	if growth > 2 || aged > 2 {
		return errors.New("the cost of a commit is not flat")
	}
	return nil
}

// table pushes each size a few times and returns the best cost per commit.
func (b *bench) table(ctx context.Context, sizes []int, alone time.Duration) (map[int]time.Duration, error) {
	cost := map[int]time.Duration{}
	for _, n := range sizes {
		var best times
		for range 3 {
			t, err := b.push(ctx, n)
			if err != nil {
				return nil, err
			}
			if best.last == 0 || t.last < best.last {
				best = t
			}
		}
		cost[n] = best.last / time.Duration(n)
		fmt.Printf("%7d   %10d   %8.1f ms   %7.0f ms   %7.0f µs   %15.2f\n", n, b.total, best.first.Seconds()*1e3, best.last.Seconds()*1e3,
			cost[n].Seconds()*1e6, cost[n].Seconds()*biggest/alone.Seconds())
	}
	return cost, nil
}

// times are from the moment the push was sent.
type times struct{ first, last time.Duration }

func (b *bench) push(ctx context.Context, n int) (times, error) {
	d := []rig.Delivery{rig.Push(b.random, b.server.Webhook, n)}
	sent := time.Now()
	acks, err := rig.Load(ctx, b.server.Webhook, 1, d)
	if err != nil {
		return times{}, err
	}
	if len(acks) != 1 || acks[0].Status != http.StatusAccepted || len(acks[0].Executions) != n {
		return times{}, fmt.Errorf("push of %d commits was not acknowledged in full: %+v", n, acks)
	}
	b.total += n
	mine, err := b.server.Await(ctx, acks[0].Executions)
	if err != nil {
		return times{}, err
	}
	var t times
	for _, e := range mine {
		since := e.Started.Sub(sent)
		if t.first == 0 || since < t.first {
			t.first = since
		}
		t.last = max(t.last, since)
	}
	return t, nil
}
