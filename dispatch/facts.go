package dispatch

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

// commitKey names a commit of a repository.
type commitKey struct{ source, repository, sha string }

// facts are what deliveries have said of commits: those read in this step, and
// before them those that the journal keeps.
type facts struct {
	journal Journal
	// read are those of each event, fresh the same by commit, once it is asked
	// for.
	read  []learned
	fresh map[commitKey]*event.Commit
	tips  map[refKey]string
}

type learned struct {
	source, repository string
	commits            []event.Commit
}

// learn notes what an event says of its commits, which is everything for a
// push. It returns what is worth keeping.
func (f *facts) learn(ev *event.Event) []event.Commit {
	commits := make([]event.Commit, 0, len(ev.Commits))
	for i := range ev.Commits {
		c := ev.Commits[i]
		// A push tells the messages of the commits it lists, the empty ones too.
		c.MessageKnown = c.KnowsMessage() || ev.Kind == event.Push && (c.Author != "" || c.PathsKnown)
		if c.MessageKnown || c.PathsKnown {
			commits = append(commits, c)
		}
	}
	f.read = append(f.read, learned{ev.Source, ev.Repository.FullName, commits})
	return commits
}

// recent finds what was read in this step.
func (f *facts) recent(key commitKey) *event.Commit {
	if f.fresh == nil {
		f.fresh = map[commitKey]*event.Commit{}
	}
	for _, l := range f.read {
		for i := range l.commits {
			f.fresh[commitKey{l.source, l.repository, l.commits[i].SHA}] = &l.commits[i]
		}
	}
	f.read = nil
	return f.fresh[key]
}

// fill adds to an event's commits what is known of them. It changes the event
// only by giving it commits of its own and, where a ref was deleted, its last.
func (f *facts) fill(ctx context.Context, ev *event.Event) error {
	if err := f.locate(ctx, ev); err != nil {
		return err
	}
	commits := namedBy(ev)
	var ask []string
	for i := range commits {
		c := &commits[i]
		if known := f.recent(commitKey{ev.Source, ev.Repository.FullName, c.SHA}); known != nil {
			c.Learn(known)
		}
		if !c.KnowsMessage() || !c.PathsKnown {
			ask = append(ask, c.SHA)
		}
	}
	if len(ask) > 0 {
		known, err := f.journal.KnownCommits(ctx, ev.Source, ev.Repository.FullName, ask)
		if err != nil {
			return fmt.Errorf("read what is known of the commits of %s: %w", ev.Repository.FullName, err)
		}
		for i := range commits {
			if k, ok := known[commits[i].SHA]; ok {
				commits[i].Learn(&k)
			}
		}
	}
	ev.Commits = commits
	return nil
}

// namedBy copies an event's commits. Where a pull request or a deletion lists
// none, it is about the tip that it names.
func namedBy(ev *event.Event) []event.Commit {
	if len(ev.Commits) > 0 {
		return append([]event.Commit(nil), ev.Commits...)
	}
	switch {
	case ev.Kind == event.PullRequest && ev.After != "":
		return []event.Commit{{SHA: ev.After}}
	case ev.Kind == event.Delete && ev.Before != "":
		return []event.Commit{{SHA: ev.Before}}
	}
	return nil
}

// planKnowing routes an event for an answer, with what is known of its commits.
func (d *Dispatcher) planKnowing(ctx context.Context, p Planner, ev *event.Event, id string) event.Plan {
	knowing := *ev
	if needsFacts(ev) {
		known := &facts{journal: d.journal}
		if push := d.outlook.waiting(ev); push != nil {
			known.learn(push)
		}
		if err := known.fill(ctx, &knowing); err != nil {
			// Expansion asks again, until it is told.
			d.log.Warn("what is known of a commit could not be read for the answer", zap.String("delivery_id", id), zap.Error(err))
		}
	}
	return d.plan(p, &knowing, id)
}

// needsFacts reports whether an event is of a kind that names commits without
// saying what they are.
func needsFacts(ev *event.Event) bool {
	return ev.Kind == event.PullRequest || ev.Kind == event.Delete
}
