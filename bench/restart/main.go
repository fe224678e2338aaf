// Command restart kills Switchyard with SIGKILL at random instants while
// executions are in Wait, Task, Map and task token states, and then counts:
// executions that did not end as they would have, and states left twice. Both
// must be 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"switchyard/bench/internal/survival"
)

func main() {
	executions := flag.Int("executions", 1000, "how many are started")
	kills := flag.Int("kills", 10, "how often the process is killed")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the instants")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *executions, *kills, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, executions, kills int, seed uint64) error {
	dir, err := os.MkdirTemp("", "switchyard-restart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%d executions, %d kills, seed %d\n", executions, kills, seed)
	report, err := survival.Run(ctx, dir, survival.Config{
		Executions: executions, Kills: kills, Seed: seed,
		Progress: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d executions ended in %v, over %d kills with %d open in all\nended otherwise than they would have, or twice: %d\n",
		report.Executions, report.Took.Round(time.Millisecond), report.Kills, report.Open, len(report.Wrong))
	for _, wrong := range report.Wrong {
		fmt.Println(" ", wrong)
	}
	switch {
	case len(report.Wrong) > 0:
		return errors.New("the promise is broken")
	case report.Open == 0:
		return errors.New("no execution was open at any kill; the run proves nothing")
	}
	return nil
}
