package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/faultsql"
)

// life is the journal as the dispatcher uses it: each step is repeated until it
// succeeds, and must then have happened exactly once.
type life struct {
	t   *testing.T
	j   *SQLite
	now time.Time
	// faults is how many statements are going to fail, and repeats counts the
	// steps that noticed.
	faults, repeats int
	// acknowledged are the deliveries that must be there in the end.
	acknowledged []string
}

func newLife(t *testing.T, j *SQLite, faults int) *life {
	return &life{t: t, j: j, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), faults: faults}
}

// retry repeats a step for as long as the faults can be why it fails; several
// faults are met by a step more than once each.
func (l *life) retry(what string, step func() error) {
	l.t.Helper()
	for range 3*l.faults + 2 {
		err := step()
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), faultsql.Err.Error()) {
			l.t.Fatalf("%s: %v", what, err)
		}
		l.repeats++
	}
	l.t.Fatalf("%s fails although only %d statements were to fail", what, l.faults)
}

func (l *life) append(id string) error {
	_, err := l.j.Append(l.t.Context(), dispatch.NewDelivery{Source: "github", DeliveryID: id, Kind: event.Push, Event: []byte(`{}`), ReceivedAt: l.now})
	return err
}

func (l *life) deliver(id string) {
	l.t.Helper()
	l.retry("append "+id, func() error { return l.append(id) })
	l.acknowledged = append(l.acknowledged, id)
}

// request waits for its environment, where it has one.
func (l *life) request(id, environment string) dispatch.NewRequest {
	r := dispatch.NewRequest{Request: event.Request{ID: id, Route: "r", Source: "github", Repository: "acme/api", Ref: "refs/heads/main", Environment: environment,
		Commit: event.Commit{SHA: id}, Input: []byte("{}"), CancelSuperseded: true}, State: dispatch.StateReady, DueAt: l.now,
		Status: &dispatch.StatusChange{State: dispatch.StatusPending}}
	if environment != "" {
		r.State = dispatch.StateWaiting
	}
	return r
}

func (l *life) expand(id string, requests ...dispatch.NewRequest) {
	l.t.Helper()
	d, err := l.j.Delivery(l.t.Context(), "github:"+id)
	if err != nil {
		l.t.Fatal(err)
	}
	l.retry("expand "+id, func() error {
		_, err := l.j.Expand(l.t.Context(), []dispatch.Expansion{{Delivery: d.Seq, Requests: requests, At: l.now}})
		return err
	})
}

func (l *life) seq(id string) int64 {
	l.t.Helper()
	x, err := l.j.Execution(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return x.Seq
}

func (l *life) record(r dispatch.Records) {
	l.t.Helper()
	r.At = l.now
	l.retry("record", func() error { _, err := l.j.Record(l.t.Context(), r); return err })
}

func (l *life) stop(id string) {
	l.t.Helper()
	l.retry("stop", func() error {
		_, err := l.j.RequestStop(l.t.Context(), id, dispatch.StopRequest{Reason: "enough", At: l.now})
		if errors.Is(err, dispatch.ErrFinished) {
			return nil // applied before its report was lost
		}
		return err
	})
}

func (l *life) redrive(id string, from, to dispatch.State) {
	l.t.Helper()
	l.retry("redrive", func() error {
		_, err := l.j.Redrive(l.t.Context(), id, dispatch.Resume{From: from, State: to, At: l.now})
		if errors.Is(err, dispatch.ErrNotRedrivable) {
			return nil // applied before its report was lost
		}
		return err
	})
}

// command expands a command, which is answered twice.
func (l *life) command(id string, acts ...dispatch.Act) {
	l.t.Helper()
	d, err := l.j.Delivery(l.t.Context(), "github:"+id)
	if err != nil {
		l.t.Fatal(err)
	}
	l.retry("command "+id, func() error {
		_, err := l.j.Expand(l.t.Context(), []dispatch.Expansion{{Delivery: d.Seq, Acts: acts, At: l.now,
			Answers: []dispatch.Answer{{Source: "github", Repository: "acme/api", PullRequest: 1, Comment: "7", Text: "done:"}, {Source: "github", PullRequest: 1, Unlabel: "safe"}}}})
		return err
	})
}

// answers puts off the first answer and gives it later.
// approvals has an execution ask twice: one is decided and told, the other expires.
func (l *life) approvals(id string) {
	l.t.Helper()
	for _, token := range []string{"t1", "t2"} {
		a := dispatch.NewApproval{Token: token, Approval: dispatch.Approval{ID: token, Execution: id, Title: token, AskedAt: l.now, ExpiresAt: l.now.Add(time.Hour)}}
		l.retry("ask", func() error { _, err := l.j.Ask(l.t.Context(), a); return err })
	}
	l.retry("decide", func() error {
		_, _, err := l.j.Decide(l.t.Context(), dispatch.Decision{Execution: id, Approval: "t1", Approve: true, By: "ben", At: l.now})
		return err
	})
	later := l.now.Add(time.Hour)
	l.retry("expire", func() error { _, _, err := l.j.Expire(l.t.Context(), later, 0); return err })
	var untold []dispatch.Untold
	l.retry("read decisions", func() (err error) { untold, _, err = l.j.Untold(l.t.Context(), later, 10); return err })
	for i := range untold {
		seq := untold[i].Seq
		l.retry("note a call", func() error { return l.j.Telling(l.t.Context(), seq, later) })
		l.retry("put off telling", func() error { return l.j.TellFailed(l.t.Context(), seq, later, "502") })
		l.retry("tell", func() error { return l.j.Told(l.t.Context(), seq, later, false) })
	}
}

func (l *life) answers() {
	l.t.Helper()
	next := func(at time.Time) (found []dispatch.Answer) {
		l.retry("read answers", func() (err error) {
			found, _, err = l.j.NextAnswers(l.t.Context(), at, 10, nil)
			return err
		})
		return found
	}
	later := l.now.Add(time.Hour)
	for _, a := range next(l.now) {
		l.retry("put off an answer", func() error { return l.j.AnswerFailed(l.t.Context(), a.Seq, later, "502") })
	}
	for _, a := range next(later) {
		l.retry("give an answer", func() error { return l.j.AnswerGiven(l.t.Context(), a.Seq) })
	}
}

// putOffStatus takes the first status and records that it failed.
func (l *life) putOffStatus() {
	l.t.Helper()
	l.retry("status", func() error {
		s, err := l.j.NextStatuses(l.t.Context(), dispatch.StatusQuery{Source: "github", Now: l.now, Limit: 1})
		if err != nil || len(s) == 0 {
			return err
		}
		return l.j.StatusFailed(l.t.Context(), s[0], l.now.Add(time.Hour), "rate limited")
	})
}

// end checks that every acknowledged delivery is there once.
func (l *life) end() {
	l.t.Helper()
	page, err := l.j.Deliveries(l.t.Context(), dispatch.DeliveryFilter{Limit: 100})
	if err != nil {
		l.t.Fatal(err)
	}
	count := map[string]int{}
	for _, d := range page.Deliveries {
		count[d.ID]++
	}
	for _, id := range l.acknowledged {
		if n := count["github:"+id]; n != 1 {
			l.t.Errorf("acknowledged delivery %s is there %d times", id, n)
		}
	}
}
