// Command ingest measures how many deliveries a second Switchyard
// acknowledges, beside a bare net/http handler that verifies and decodes the
// same body and answers 202 without keeping anything.
//
// Both run as processes of their own, in turns, under the same load generator.
// After the last answer Switchyard is killed with SIGKILL and started again;
// every commit of every acknowledged delivery must then be an execution of the
// engine, exactly once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"time"

	"github.com/go-playground/webhooks/v6/github"

	"switchyard/bench/internal/rig"
	"switchyard/internal/freeport"
)

func main() {
	seconds := flag.Int("seconds", 3, "how long each side is under load, per `round`")
	rounds := flag.Int("rounds", 3, "how often the two sides take turns")
	conns := flag.Int("conns", 64, "connections")
	commits := flag.Int("commits", 20, "commits in each push")
	goal := flag.Float64("goal", 0, "fail when the ratio is below this")
	baseline := flag.String("baseline", "", "serve the bare handler on this address (used by the benchmark itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *baseline != "" {
		err = serveBaseline(*baseline)
	} else {
		err = run(ctx, *seconds, *rounds, *conns, *commits, *goal)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ingest:", err)
		os.Exit(1)
	}
}

// serveBaseline is the yardstick: verify, decode, answer, forget.
func serveBaseline(addr string) error {
	hook, err := github.New(github.Options.Secret(rig.Secret))
	if err != nil {
		return err
	}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := hook.Parse(r, github.PushEvent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"executions":[]}`)
	}))
}

// perSecond is more than either side can take.
const perSecond = 16_000

func run(ctx context.Context, seconds, rounds, conns, commits int, goal float64) error {
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Printf("%d connections, pushes of %d commits, %d bytes, %d s a side, %d rounds\n", conns, commits,
		len(rig.Push(random, "x", commits).Body), seconds, rounds)
	var ratios []float64
	for round := range rounds {
		ratio, err := oneRound(ctx, round+1, random, seconds, conns, commits)
		if err != nil {
			return err
		}
		ratios = append(ratios, ratio)
	}
	slices.Sort(ratios)
	median := ratios[(len(ratios)-1)/2]
	fmt.Printf("ratio to the bare handler: %.2f (median of %d)\n", median, rounds)
	if median < goal {
		return fmt.Errorf("the goal is %.2f", goal)
	}
	return nil
}

// oneRound loads the bare handler and then Switchyard, neither while the other
// runs, and sees what was acknowledged to its end.
func oneRound(ctx context.Context, round int, random *rand.Rand, seconds, conns, commits int) (float64, error) {
	bare, bareRate, err := loadBaseline(ctx, random, seconds, conns, commits)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "switchyard-ingest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	server, err := rig.New(ctx, dir)
	if err != nil {
		return 0, err
	}
	deliveries := pushes(random, server.Webhook, seconds*perSecond, commits)
	if err := server.Start(ctx); err != nil {
		return 0, err
	}
	acks, rate, err := measure(ctx, server.Webhook, conns, seconds, deliveries)
	if err != nil {
		return 0, err
	}
	appends, err := server.Metric(ctx, "switchyard_journal_appended_deliveries_total")
	if err != nil {
		return 0, err
	}
	fsyncs, err := server.Metric(ctx, "switchyard_journal_append_commits_total")
	if err != nil {
		return 0, err
	}
	if err := server.Kill(); err != nil {
		return 0, err
	}
	fmt.Printf("round %d  bare %6.0f/s p50 %5.1f ms p99 %5.1f ms   switchyard %6.0f/s p50 %5.1f ms p99 %5.1f ms   ratio %.2f\n", round,
		bareRate, ms(rig.Quantile(bare, .5)), ms(rig.Quantile(bare, .99)), rate, ms(rig.Quantile(acks, .5)), ms(rig.Quantile(acks, .99)), rate/bareRate)
	fmt.Printf("         %.0f deliveries shared %.0f fsyncs, %.1f each; killed with SIGKILL, started again\n", appends, fsyncs, appends/fsyncs)
	if err := server.Start(ctx); err != nil {
		return 0, err
	}
	if err := verify(ctx, server, acks); err != nil {
		return 0, err
	}
	if err := server.Stop(); err != nil {
		return 0, fmt.Errorf("stop: %w", err)
	}
	return rate / bareRate, nil
}

func loadBaseline(ctx context.Context, random *rand.Rand, seconds, conns, commits int) ([]rig.Ack, float64, error) {
	addr, stop, err := startBaseline(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer stop()
	return measure(ctx, addr, conns, seconds, pushes(random, addr, seconds*perSecond, commits))
}

func startBaseline(ctx context.Context) (addr string, stop func(), err error) {
	if addr, err = freeport.Address(); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-baseline", addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait() }
	for range 500 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("the bare handler did not come up")
}

func pushes(r *rand.Rand, host string, n, commits int) []rig.Delivery {
	d := make([]rig.Delivery, n)
	for i := range d {
		d[i] = rig.Push(r, host, commits)
	}
	return d
}

// measure loads host for the given time and returns the acknowledged
// deliveries and their rate.
func measure(ctx context.Context, host string, conns, seconds int, deliveries []rig.Delivery) ([]rig.Ack, float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	start := time.Now()
	acks, err := rig.Load(ctx, host, conns, deliveries)
	took := time.Since(start)
	if err != nil {
		return nil, 0, err
	}
	ok := acks[:0]
	refused := map[int]int{}
	for _, a := range acks {
		if a.Status == http.StatusAccepted {
			ok = append(ok, a)
		} else {
			refused[a.Status]++
		}
	}
	if len(refused) > 0 {
		fmt.Printf("  %s answered other than 202: %v\n", host, refused)
	}
	if len(ok) == 0 {
		return nil, 0, fmt.Errorf("%s acknowledged nothing", host)
	}
	return ok, float64(len(ok)) / took.Seconds(), nil
}

// verify waits until all commits of the acknowledged deliveries are executions
// of the engine.
func verify(ctx context.Context, server *rig.Server, acked []rig.Ack) error {
	want := map[string]int{}
	for _, a := range acked {
		if len(a.Executions) != len(a.Delivery.SHAs) {
			return fmt.Errorf("delivery %s: %d executions for %d commits", a.Delivery.ID, len(a.Executions), len(a.Delivery.SHAs))
		}
		for _, name := range a.Executions {
			want[name] = 0
		}
	}
	start := time.Now()
	all, err := server.Settle(ctx, len(want), func(have int) {
		fmt.Printf("\r         %d of %d executions started ", have, len(want))
	})
	fmt.Print("\r\033[K")
	if err != nil {
		return err
	}
	lost, twice := len(want), 0
	for _, e := range all {
		if n, ok := want[e.Name]; ok {
			want[e.Name] = n + 1
			if n == 0 {
				lost--
			} else {
				twice++
			}
		}
	}
	fmt.Printf("         %d acknowledged deliveries, %d commits: %d lost, %d twice; the backlog took %.0f s\n", len(acked), len(want), lost, twice, time.Since(start).Seconds())
	if lost > 0 || twice > 0 {
		return errors.New("the promise is broken")
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
