package journal

import (
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// moves is a life in which refs move back and forth, and deliveries are set
// aside. Each step is repeated until it succeeds; see steps.
func moves(t *testing.T, j *SQLite) (repeats int) {
	t.Helper()
	ctx, l := t.Context(), newLife(t, j, 1)
	now, retry := l.now, l.retry
	seqs := map[string]int64{}
	push := func(id, before, after string, change func(*dispatch.Expansion)) {
		if seqs[id] == 0 {
			retry("append "+id, func() error {
				at, err := j.Append(ctx, dispatch.NewDelivery{Source: "github", DeliveryID: id, Kind: event.Push, Event: []byte(`{}`), ReceivedAt: now, Digest: id})
				seqs[id] = at.Seq
				return err
			})
		}
		e := dispatch.Expansion{
			Delivery: seqs[id], Lane: "main", Source: "github", Repository: "acme/api", At: now,
			Move:    &dispatch.Move{Source: "github", Repository: "acme/api", Ref: "refs/heads/main", Before: before, After: after},
			Learned: []event.Commit{{SHA: after, Message: "of " + after, Paths: []string{"x"}, PathsKnown: true}},
			Commits: []string{after, before},
			Requests: []dispatch.NewRequest{{Request: event.Request{ID: "new-" + after, Former: &event.FormerIdentity{ID: "old-" + after}, Route: "r", Source: "github",
				Repository: "acme/api", Ref: "refs/heads/main", Kind: event.Push, Commit: event.Commit{SHA: after}, Input: []byte("{}"), Revisit: true, CancelSuperseded: true},
				State: dispatch.StateReady, DueAt: now}},
		}
		change(&e)
		retry("expand "+id, func() error { _, err := j.Expand(ctx, []dispatch.Expansion{e}); return err })
	}
	asIs := func(*dispatch.Expansion) {}
	asks := func(e *dispatch.Expansion) {
		e.Requests, e.Deferral = nil, &dispatch.Deferral{DueAt: now, Reason: "the host"}
	}

	push("1", "", "a", asIs)
	push("2", "a", "b", func(e *dispatch.Expansion) { e.Requests[0].Kind = event.PullRequest; e.Move = nil })
	push("3", "a", "b", asIs) // lands beside the pull request
	push("4", "b", "a", asIs) // moves back
	push("5", "a", "c", asks)
	push("6", "c", "a", asIs) // waits behind it
	retry("postpone", func() error {
		return j.Postpone(ctx, seqs["5"], now.Add(time.Minute), "502", []byte(`{"sender":"partly"}`))
	})
	retry("try now", func() error { return j.Reopen(ctx, "github:5") })
	retry("complete", func() error { return j.Complete(ctx, seqs["5"], []byte(`{"sender":"whole"}`), 3, "something") })
	push("5", "a", "c", asIs)
	push("6", "c", "a", asIs)
	return l.repeats
}
