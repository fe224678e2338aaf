// Command prune measures what deliveries feel of retention: how long it takes to
// make one durable while nothing else happens, and while old executions are
// pruned from the journal and from the embedded engine's store, which lie on the
// same disk, as they do in a service.
package main

import (
	"context"
	"crypto/sha1"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"switchyard/asl/store"
	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/event"
)

func main() {
	n := flag.Int("n", 200_000, "old executions to prune")
	rate := flag.Int("rate", 100, "deliveries a second")
	seconds := flag.Int("seconds", 10, "how long deliveries are measured alone, before and after")
	limit := flag.Duration("limit", 10*time.Minute, "how long pruning may take")
	goal := flag.Float64("goal", 0, "fail when p99 beside pruning is more than this many times p99 alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *n, *rate, time.Duration(*seconds)*time.Second, *limit, *goal)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prune:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n, rate int, alone, limit time.Duration, goal float64) error {
	dir, err := os.MkdirTemp("", "prune-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(filepath.Join(dir, "journal.db"))
	if err != nil {
		return err
	}
	defer j.Close()
	s, err := store.Open(ctx, filepath.Join(dir, "engine.db"))
	if err != nil {
		return err
	}
	defer s.Close()
	began := time.Now()
	old := began.Add(-100 * 24 * time.Hour)
	if err := errors.Join(fillJournal(ctx, j, n, old), fillStore(ctx, s, n, old)); err != nil {
		return err
	}
	fmt.Printf("%d executions, made in %v\n", n, time.Since(began).Round(time.Second))

	before := deliver(ctx, j, "before", rate, alone)
	fmt.Printf("%-16s %v\n", "alone", before)

	ended := make(chan error, 2)
	loadCtx, endLoad := context.WithTimeout(ctx, limit)
	defer endLoad()
	began = time.Now()
	var pruning sync.WaitGroup
	cut := began.Add(-90 * 24 * time.Hour)
	pruning.Go(func() {
		err := pruneAll(loadCtx, func() (int, error) { return j.Prune(loadCtx, cut) })
		fmt.Printf("%-16s %v\n", "journal pruned", time.Since(began).Round(100*time.Millisecond))
		ended <- err
	})
	pruning.Go(func() {
		err := pruneAll(loadCtx, func() (int, error) { return s.Prune(loadCtx, cut, 500) })
		fmt.Printf("%-16s %v\n", "engine pruned", time.Since(began).Round(100*time.Millisecond))
		ended <- err
	})
	go func() { pruning.Wait(); endLoad() }()
	beside := deliver(loadCtx, j, "beside", rate, limit)
	if err := errors.Join(<-ended, <-ended); err != nil {
		return err
	}
	fmt.Printf("%-16s %v\n", "beside pruning", beside)
	fmt.Printf("%-16s %v\n", "alone again", deliver(ctx, j, "after", rate, alone))
	if left, err := j.Executions(ctx, dispatch.ExecutionFilter{Limit: 1}); err != nil || len(left.Executions) > 0 {
		return fmt.Errorf("executions are left: %d, %v", len(left.Executions), err)
	}
	if ratio := float64(beside.at(99)) / float64(before.at(99)); goal > 0 && ratio > goal {
		return fmt.Errorf("p99 is %.1f times that without pruning, the goal is %.1f", ratio, goal)
	}
	return nil
}

// pruneAll calls a step until nothing is left.
func pruneAll(ctx context.Context, step func() (int, error)) error {
	for {
		n, err := step()
		if err != nil || n == 0 {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// latencies are sorted.
type latencies []time.Duration

func (l latencies) at(percent float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(float64(len(l))*percent/100))]
}

func (l latencies) String() string {
	ms := func(percent float64) string { return fmt.Sprintf("%.1f ms", l.at(percent).Seconds()*1000) }
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, most %s, of %d deliveries", ms(50), ms(99), ms(99.9), ms(100), len(l))
}

// deliver appends deliveries at an even rate, and measures each from when it was
// due.
func deliver(ctx context.Context, j *journal.SQLite, name string, rate int, d time.Duration) latencies {
	var mu sync.Mutex
	var all latencies
	var calls sync.WaitGroup
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if due.Sub(began) > d {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
		if ctx.Err() != nil {
			break
		}
		calls.Go(func() {
			_, err := j.Append(context.WithoutCancel(ctx), dispatch.NewDelivery{Source: "github", DeliveryID: fmt.Sprintf("%s-%d", name, i), Kind: event.Push,
				Repository: "acme/api", Ref: "refs/heads/main", Commits: 20, ReceivedAt: time.Now(), Event: make([]byte, 8<<10)})
			took := time.Since(due)
			if err != nil {
				took = time.Hour // a delivery that was not taken is no fast one
			}
			mu.Lock()
			all = append(all, took)
			mu.Unlock()
		})
	}
	calls.Wait()
	slices.Sort(all)
	return all
}

const (
	pushesAtOnce   = 40
	commitsPerPush = 10
)

// sha looks like a commit's: what is next to one another in time is not in an
// index.
func sha(i int) string { return fmt.Sprintf("%x", sha1.Sum(fmt.Append(nil, i)))[:40] }

func name(i int) string { return "acme-api-" + sha(i)[:12] + "-branches-" + sha(i)[12:28] }

var input = []byte(`{"environment":"dev","commit":{"sha":"0123456789012345678901234567890123456789","message":"api: handle another case of the importer","author":"adalovett","url":"https://git.acme.example/acme/api/commit/0123456789012345678901234567890123456789"},"source":{"provider":"github","repository":"acme/api","clone_url":"https://git.acme.example/acme/api.git","ref":"refs/heads/feature/import","event":"push"}}`)

func fillJournal(ctx context.Context, j *journal.SQLite, n int, at time.Time) error {
	for done := 0; done < n; {
		var expansions []dispatch.Expansion
		var records dispatch.Records
		var appends sync.WaitGroup
		var mu sync.Mutex
		for range pushesAtOnce {
			if done >= n {
				break
			}
			first := done
			done = min(n, done+commitsPerPush)
			last := done
			at = at.Add(time.Second)
			appends.Go(func() {
				to, err := j.Append(ctx, dispatch.NewDelivery{Source: "github", DeliveryID: "old-" + sha(first), Kind: event.Push, Repository: "acme/api",
					Ref: "refs/heads/feature/import", Commits: commitsPerPush, ReceivedAt: at, Event: make([]byte, 3000)})
				if err != nil {
					return // found missing at the end
				}
				x := dispatch.Expansion{Delivery: to.Seq, At: at}
				for i := first; i < last; i++ {
					x.Requests = append(x.Requests, dispatch.NewRequest{Request: event.Request{
						ID: name(i), Route: "branches", StateMachine: "deploy", Source: "github", Repository: "acme/api", Ref: "refs/heads/feature/import", Kind: event.Push,
						Commit: event.Commit{SHA: sha(i), Message: "api: handle another case of the importer", Author: "adalovett"}, Environment: "dev", Input: input, Reason: "push to feature/import",
					}, State: dispatch.StateReady, DueAt: at})
				}
				mu.Lock()
				expansions = append(expansions, x)
				mu.Unlock()
			})
		}
		appends.Wait()
		slices.SortFunc(expansions, func(a, b dispatch.Expansion) int { return int(a.Delivery - b.Delivery) })
		if _, err := j.Expand(ctx, expansions); err != nil {
			return err
		}
		due, _, err := j.Due(ctx, time.Now(), pushesAtOnce*commitsPerPush)
		if err != nil {
			return err
		}
		records.At = at
		for _, x := range due {
			records.Started = append(records.Started, dispatch.StartRecord{Seq: x.Seq, ARN: "arn:aws:states:us-east-1:123456789012:execution:deploy:" + x.ID, StartedAt: at})
			records.Ended = append(records.Ended, dispatch.EndRecord{Seq: x.Seq, ARN: "arn:aws:states:us-east-1:123456789012:execution:deploy:" + x.ID,
				State: dispatch.StateSucceeded, StartedAt: at, StoppedAt: at, Output: `{"ok":true}`})
		}
		if _, err := j.Record(ctx, records); err != nil {
			return err
		}
	}
	page, err := j.Executions(ctx, dispatch.ExecutionFilter{Limit: 1})
	if err == nil && (len(page.Executions) == 0 || page.Executions[0].Seq != int64(n)) {
		err = fmt.Errorf("the journal was not filled: %+v", page.Executions)
	}
	return err
}

func fillStore(ctx context.Context, s *store.SQLite, n int, at time.Time) error {
	const together = 500
	failed := make(chan error, together)
	for done := 0; done < n; {
		count := min(together, n-done)
		for i := done; i < done+count; i++ {
			ms := at.UnixMilli() + int64(i)*100
			s.Apply(&store.Write{
				Create: &store.Execution{ID: int64(i + 1), Machine: "deploy", Name: name(i), Revision: "r", Started: ms, Input: input}, Exec: int64(i + 1),
				History: &store.Segment{First: 2, Last: 9, Body: make([]byte, 600)}, End: &store.Ending{Status: store.Succeeded, Stopped: ms, Output: []byte(`{"ok":true}`)},
				Done: func(err error) { failed <- err },
			})
		}
		for range count {
			if err := <-failed; err != nil {
				return err
			}
		}
		done += count
	}
	return nil
}
