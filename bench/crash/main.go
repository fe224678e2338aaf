// Command crash kills Switchyard with SIGKILL at random instants under load,
// round after round on the same data, and then counts: acknowledged deliveries
// lost, and commits started twice. Both must be 0.
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
	rounds := flag.Int("rounds", 50, "how often the process is killed")
	conns := flag.Int("conns", 32, "connections")
	commits := flag.Int("commits", 5, "commits in each push")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the instants and the commits")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rounds, *conns, *commits, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, conns, commits int, seed uint64) error {
	dir, err := os.MkdirTemp("", "switchyard-crash-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := rig.New(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds, seed %d\n", rounds, seed)
	random := rand.New(rand.NewPCG(seed, 5))
	var acked []rig.Ack
	unanswered := 0
	for round := range rounds {
		if err := server.Start(ctx); err != nil {
			return err
		}
		deliveries := make([]rig.Delivery, 400)
		for i := range deliveries {
			deliveries[i] = rig.Push(random, server.Webhook, commits)
		}
		// The earliest instants hit the start-up replay of the round before,
		// the latest the starts behind the answers.
		after := time.Duration(random.IntN(400)) * time.Millisecond
		killed := make(chan error, 1)
		time.AfterFunc(after, func() { killed <- server.Kill() })
		acks, err := rig.Load(ctx, server.Webhook, conns, deliveries)
		if err != nil {
			return err
		}
		if err := <-killed; err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		for _, a := range acks {
			if a.Status != http.StatusAccepted {
				unanswered++
				continue
			}
			acked = append(acked, a)
		}
		fmt.Printf("\rround %d: killed after %3d ms, %d deliveries acknowledged so far ", round+1, after.Milliseconds(), len(acked))
	}
	fmt.Println()
	if len(acked) == 0 {
		return errors.New("nothing was ever acknowledged; the run proves nothing")
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	return count(ctx, server, acked)
}

// count compares the acknowledged deliveries with what the engine holds. The
// engine may also hold executions of deliveries whose answer never arrived;
// those must be single too.
func count(ctx context.Context, server *rig.Server, acked []rig.Ack) error {
	want := map[string]bool{}
	for _, a := range acked {
		for _, name := range a.Executions {
			want[name] = true
		}
	}
	all, err := settleOn(ctx, server, want)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	byCommit := map[string]int{}
	twice := 0
	for _, e := range all {
		have[e.Name] = true
		sha, err := server.CommitOf(ctx, e)
		if err != nil {
			return err
		}
		if byCommit[sha]++; byCommit[sha] == 2 {
			twice++
		}
	}
	lost, commitsLost := 0, 0
	for _, a := range acked {
		missing := 0
		for _, sha := range a.Delivery.SHAs {
			if byCommit[sha] == 0 {
				missing++
			}
		}
		for _, name := range a.Executions {
			if !have[name] {
				missing++
			}
		}
		if missing > 0 {
			lost, commitsLost = lost+1, commitsLost+missing
		}
	}
	fmt.Printf("%d deliveries acknowledged, %d executions in the engine\nacknowledged deliveries lost: %d\ncommits started twice: %d\n", len(acked), len(all), lost, twice)
	if err := server.Stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if lost > 0 || twice > 0 {
		return fmt.Errorf("the promise is broken: %d commits lost, %d twice", commitsLost, twice)
	}
	return nil
}

// settleOn waits for all the wanted names, however many others there are.
func settleOn(ctx context.Context, server *rig.Server, want map[string]bool) ([]rig.Execution, error) {
	need := len(want)
	for {
		all, err := server.Settle(ctx, need, nil)
		if err != nil {
			return nil, err
		}
		found := 0
		for _, e := range all {
			if want[e.Name] {
				found++
			}
		}
		// Fewer in all than asked for means that Settle gave up waiting.
		if found == len(want) || len(all) < need {
			return all, nil
		}
		need = len(all) + len(want) - found
	}
}
