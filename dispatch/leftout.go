package dispatch

import (
	"time"

	"switchyard/internal/event"
)

// LeftOut is a commit that a delivery started nothing for, or the whole delivery
// where it names none. Commits that another delivery had asked for are none of
// these.
type LeftOut struct {
	// Seq and Delivery are the delivery's.
	Seq        int64
	Delivery   string
	Source     string
	Repository string
	Ref        string
	Kind       event.Kind
	ReceivedAt time.Time
	// SHA is the commit's; Title and Author are what the delivery said of it.
	SHA, Title, Author string
	// Reasons say why, route by route; never empty.
	Reasons []event.Ignored
}

// LeftOutFilter narrows a list of what was left out; zero fields match everything.
type LeftOutFilter struct {
	Repository string
	// Route matches what this route left out, and what no route was asked about.
	Route string
	// Ref, Author and Search are as in [ExecutionFilter].
	Ref, Author, Search string
	// Before is the cursor: only deliveries older than this Seq. Zero starts at the
	// newest.
	Before int64
	// Limit is how many deliveries a page has: default 50, at most 1000.
	Limit int
}

// LeftOutPage is a part of a list, newest first; see [ExecutionPage] for Next. A
// delivery's commits are in the order in which it named them, the newest first.
type LeftOutPage struct {
	Commits []LeftOut
	Next    int64
}

// LeftOutOf tells what a delivery started nothing for. requested are the commits
// that it started executions for.
func LeftOutOf(d *Delivery, ev *event.Event, reasons []Ignored, requested []string) []LeftOut {
	taken := map[string]bool{}
	for _, sha := range requested {
		taken[sha] = true
	}
	general := []event.Ignored{}
	special := map[string][]event.Ignored{}
	for i := range reasons {
		r := &reasons[i]
		switch {
		case r.Execution != "":
			taken[r.Commit] = true
		case r.Commit == "":
			general = append(general, r.Ignored)
		default:
			special[r.Commit] = append(special[r.Commit], r.Ignored)
		}
	}
	var found []LeftOut
	add := func(c *event.Commit, why []event.Ignored) {
		if taken[c.SHA] || len(why) == 0 {
			return
		}
		taken[c.SHA] = true
		found = append(found, LeftOut{
			Seq: d.Seq, Delivery: d.ID, Source: d.Source, Repository: d.Repository, Ref: d.Ref, Kind: d.Kind, ReceivedAt: d.ReceivedAt,
			SHA: c.SHA, Title: TitleOf(c.Message), Author: c.Author, Reasons: why,
		})
	}
	for i := len(ev.Commits) - 1; i >= 0; i-- {
		add(&ev.Commits[i], special[ev.Commits[i].SHA])
	}
	for i := range reasons { // of commits that the event does not list
		add(&event.Commit{SHA: reasons[i].Commit}, special[reasons[i].Commit])
	}
	if len(found) == 0 && len(taken) == 0 {
		head := event.Commit{SHA: ev.After}
		if n := len(ev.Commits); n > 0 && (head.SHA == "" || ev.Commits[n-1].SHA == head.SHA) {
			head = ev.Commits[n-1]
		}
		add(&head, general)
	}
	return found
}
