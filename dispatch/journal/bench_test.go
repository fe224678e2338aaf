package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func hexID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// push is an event as a push of n commits makes it, about 300 bytes a commit.
func push(n int) event.Event {
	ev := event.Event{
		Source: "github", DeliveryID: hexID(16), Kind: event.Push, Ref: "refs/heads/feature/import",
		Repository: event.Repository{FullName: "acme/api", CloneURL: "https://git.acme.example/acme/api.git"},
	}
	for range n {
		sha := hexID(20)
		ev.Commits = append(ev.Commits, event.Commit{
			SHA: sha, Message: "api: handle another case of the importer", Author: "adalovett", AuthorEmail: "ada@acme.example",
			URL: "https://git.acme.example/acme/api/commit/" + sha, Distinct: true, Paths: []string{"api/v1/import.go"}, PathsKnown: true,
		})
	}
	return ev
}

// everyCommit asks for one execution of each commit.
type everyCommit struct{}

func (everyCommit) Plan(ev event.Event) event.Plan {
	var p event.Plan
	for _, c := range ev.Commits {
		p.Requests = append(p.Requests, event.Request{
			ID: "acme-api-" + c.SHA[:12] + "-branches-" + c.SHA[12:20], Route: "branches", StateMachine: "deploy", Source: ev.Source,
			Repository: ev.Repository.FullName, Ref: ev.Ref, Kind: ev.Kind, Commit: c, Reason: "push to feature/import",
			Input: []byte(`{"environment":"","commit":{"sha":"` + c.SHA + `","message":"` + c.Message + `","author":"adalovett","url":"` + c.URL + `"},"source":{"provider":"github","repository":"acme/api","clone_url":"https://git.acme.example/acme/api.git","ref":"refs/heads/feature/import","event":"push"}}`),
		})
	}
	return p
}

// instant ends every execution as soon as it is started.
type instant struct {
	started atomic.Int64
	tell    atomic.Pointer[dispatch.Dispatcher]
}

func (e *instant) Start(ctx context.Context, machine, name string, _ []byte) (dispatch.Started, error) {
	e.started.Add(1)
	now := time.Now()
	arn := "arn:aws:states:us-east-1:123456789012:execution:" + machine + ":" + name
	if d := e.tell.Load(); d != nil {
		if err := d.Observe(ctx, event.Outcome{ExecutionARN: arn, Name: name, Status: event.Succeeded, StartedAt: now, StoppedAt: now, Output: `{"ok":true}`}); err != nil {
			return dispatch.Started{}, err
		}
	}
	return dispatch.Started{ExecutionARN: arn, StartedAt: now}, nil
}

func (e *instant) Describe(context.Context, string) (event.Outcome, error) {
	return event.Outcome{Status: event.Running}, nil
}

func (e *instant) Stop(context.Context, string, string, string) error { return nil }

func dispatcherOn(b *testing.B) (*dispatch.Dispatcher, *SQLite, *instant, func()) {
	b.Helper()
	j, err := Open(filepath.Join(b.TempDir(), "journal.db"))
	if err != nil {
		b.Fatal(err)
	}
	e := &instant{}
	d, err := dispatch.New(j, e, everyCommit{}, dispatch.Config{})
	if err != nil {
		b.Fatal(err)
	}
	e.tell.Store(d)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return d, j, e, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkAccept acknowledges pushes of 20 commits from 64 goroutines while
// everything behind the journal works.
func BenchmarkAccept(b *testing.B) {
	d, j, e, stop := dispatcherOn(b)
	defer stop()
	pool := make([]event.Event, 1<<14)
	for i := range pool {
		pool[i] = push(20)
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	before := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1)
			ev := pool[i%int64(len(pool))]
			ev.DeliveryID += strconv.FormatInt(i, 36) // the commits repeat only after as many pushes
			if _, err := d.Accept(context.Background(), ev); err != nil {
				b.Error(err)
				return
			}
		}
	})
	s := j.Stats()
	b.ReportMetric(float64(s.Appended)/float64(s.AppendCommits), "deliveries/fsync")
	b.ReportMetric(float64(s.Appended)/b.Elapsed().Seconds(), "deliveries/s")
	// What a delivery costs, also on a machine that is busy with other things.
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(s.Appended), "cpu-us/delivery")
	b.ReportMetric(float64(e.started.Load())/b.Elapsed().Seconds(), "starts/s")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanout takes one push from acceptance to the recorded end of all its
// executions, with and without a history in the journal.
func BenchmarkFanout(b *testing.B) {
	for _, history := range []int{0, 100_000} {
		for _, commits := range []int{16, 128, 2048} {
			b.Run(fmt.Sprintf("history=%d/commits=%d", history, commits), func(b *testing.B) {
				d, j, _, stop := dispatcherOn(b)
				defer stop()
				run := func(n int) {
					want := d.Stats().Ended + int64(n)
					if _, err := d.Accept(context.Background(), push(n)); err != nil {
						b.Fatal(err)
					}
					for d.Stats().Ended < want {
						time.Sleep(200 * time.Microsecond) //nolint:forbidigo // a benchmark that looks from outside
					}
				}
				if history > 0 {
					fill(b, j, history)
				}
				b.ReportAllocs()
				for b.Loop() {
					run(commits)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*commits), "us/commit")
			})
		}
	}
}

// fill records n finished executions, as a process has left them.
func fill(b *testing.B, j *SQLite, n int) {
	b.Helper()
	ctx := context.Background()
	for done := 0; done < n; done += 1000 {
		ev := push(1000)
		at, err := j.Append(ctx, dispatch.NewDelivery{Source: ev.Source, DeliveryID: ev.DeliveryID, Event: []byte("{}"), ReceivedAt: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		e := dispatch.Expansion{Delivery: at.Seq, At: time.Now()}
		for _, r := range (everyCommit{}).Plan(ev).Requests {
			e.Requests = append(e.Requests, dispatch.NewRequest{Request: r, State: dispatch.StateReady, DueAt: time.Now()})
		}
		if err := j.w.do(ctx, func(c *conn) error {
			if err := (&expanding{Expansion: &e, c: c}).expand(); err != nil {
				return err
			}
			_, err := c.exec(`UPDATE requests SET state = 'succeeded', stopped_at = 1 WHERE state = 'ready'`)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
