package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"switchyard/githost"
	"switchyard/internal/event"
)

// compare holds commits, oldest first, against what was told and what is
// executed. Those that no delivery told in a row, are an event of ours.
func (r *run) compare(ctx context.Context, of event.Event, commits []event.Commit, told *told, done func()) error {
	if len(commits) == 0 && !told.commits[of.After] {
		// A branch that begins at a commit which another has.
		commits = []event.Commit{{SHA: of.After}}
	}
	r.summary.Commits += len(commits)
	if err := r.know(ctx, commits); err != nil {
		return err
	}
	var gaps []gap
	before := of.Before
	for start := 0; start < len(commits); {
		if told.commits[commits[start].SHA] {
			before = commits[start].SHA
			start++
			continue
		}
		end := start
		for end < len(commits) && !told.commits[commits[end].SHA] {
			end++
		}
		ev := of
		ev.Before, ev.Commits = before, commits[start:end]
		if of.Kind == event.Push {
			ev.After = commits[end-1].SHA
		}
		ev.Late = end < len(commits)
		missing, err := r.missing(ctx, &ev)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			gaps = append(gaps, gap{ev: ev, missing: missing, events: r.heard.at(placeOf(&ev).of()).events, done: done})
		}
		before, start = commits[end-1].SHA, end
	}
	if len(gaps) == 0 {
		done()
	}
	r.gaps = append(r.gaps, gaps...)
	return nil
}

// know adds what the journal knows of commits. One of which it had heard before
// was not new to the host with the push.
func (r *run) know(ctx context.Context, commits []event.Commit) error {
	shas := make([]string, len(commits))
	for i := range commits {
		shas[i] = commits[i].SHA
	}
	known, err := r.ledger.Known(ctx, r.repo.Source, r.repo.Name, shas)
	if err != nil {
		return fmt.Errorf("read what is known of commits: %w", err)
	}
	for i := range commits {
		k, heard := known[commits[i].SHA]
		if commits[i].Distinct = !heard; heard {
			commits[i].Learn(&k)
		}
	}
	return nil
}

// missing are the requests of an event for which there is no execution. Where a
// route cannot decide without knowing a commit, the host is asked first.
func (r *run) missing(ctx context.Context, ev *event.Event) ([]event.Request, error) {
	plan := r.plan(*ev)
	missing, err := r.absent(ctx, plan.Requests)
	if err != nil || len(missing) == 0 || len(plan.Lacks) == 0 {
		return missing, err
	}
	lacks := map[string]bool{}
	for _, l := range plan.Lacks {
		lacks[l.Commit] = true
	}
	ev.Commits = slices.Clone(ev.Commits)
	asked := 0
	for i := range slices.Backward(ev.Commits) {
		c := &ev.Commits[i]
		if !lacks[c.SHA] || asked == maxAsked {
			continue
		}
		asked++
		calling, cancel := context.WithTimeout(ctx, callTimeout)
		told, err := r.repo.Host.Commit(calling, r.repo.Source, r.repo.Name, c.SHA)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("ask for commit %.12s: %w", c.SHA, err)
		}
		told.MessageKnown = true
		c.Learn(&told)
	}
	plan = r.plan(*ev)
	return r.absent(ctx, plan.Requests)
}

// absent are the requests for which there is no execution.
func (r *run) absent(ctx context.Context, requests []event.Request) ([]event.Request, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	exist, err := r.ledger.Exist(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("look for executions: %w", err)
	}
	var absent []event.Request
	for i := range requests {
		if !exist[i] {
			absent = append(absent, requests[i])
		}
	}
	return absent, nil
}

// wait gives deliveries that are on their way the time to arrive: those that are
// a moment old, and those that the host is asked to send again.
func (r *run) wait(ctx context.Context) error {
	if len(r.gaps) == 0 && !r.query.redeliver {
		return nil
	}
	if err := r.redeliver(ctx); err != nil {
		return err
	}
	if len(r.gaps) == 0 || r.cfg.Grace <= 0 {
		return nil
	}
	if !sleep(ctx, r.cfg.Grace) {
		return ctx.Err()
	}
	return r.heard.listen(ctx)
}

func (r *run) redeliver(ctx context.Context) error {
	host, able := r.repo.Host.(githost.Redeliverer)
	if !able || r.repo.Hook == "" || r.redelivery || !r.query.Heal {
		return nil
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	asked, mark, err := host.Redeliver(calling, r.repo.Name, r.repo.Hook, r.next.Redelivered, r.now().Add(-redeliverFor))
	if err != nil {
		if _, throttled := r.throttled(err); throttled || ctx.Err() != nil {
			return err
		}
		// The commits are looked for all the same.
		r.notef("the host could not be asked for failed deliveries: %v", err)
	}
	r.redelivery = true
	r.summary.Redelivered = asked
	if mark != "" {
		r.next.Redelivered = mark
	}
	return nil
}

// settle reports what is missing still, and heals it where that is asked for.
func (r *run) settle(ctx context.Context) error {
	open := map[place]bool{}
	for i := range r.gaps {
		g := &r.gaps[i]
		at := placeOf(&g.ev)
		told, all := r.heard.at(at), r.heard.at(at.of())
		missing, err := r.absent(ctx, g.missing)
		if err != nil {
			return err
		}
		ending := g.ev.Kind == event.Delete || g.ev.Action == "closed"
		missing = slices.DeleteFunc(missing, func(q event.Request) bool {
			return !ending && told.commits[q.Commit.SHA] || ending && all.ended
		})
		moved := all.events != g.events // meanwhile
		if ending && len(missing) > 0 {
			back := moved
			if !back && g.ev.Kind == event.Delete {
				if back, err = r.back(ctx, g.ev.Ref); err != nil {
					return err
				}
			}
			if back {
				open[at] = true // it has not ended; the next audit looks at what it is now
				continue
			}
		}
		g.ev.Late = g.ev.Late || moved
		verdict := Missing
		if len(missing) > 0 && r.query.Heal {
			g.ev.DeliveryID = deliveryID(&g.ev)
			if _, err := r.ledger.Accept(ctx, g.ev); err != nil {
				return fmt.Errorf("heal %s: %w", g.ev.Ref, err)
			}
			verdict = Healed
		}
		for i := range missing {
			r.found(&g.ev, &missing[i], verdict)
		}
		if len(missing) > 0 && verdict == Missing {
			open[at] = true
		}
	}
	for i := range r.gaps {
		if !open[placeOf(&r.gaps[i].ev)] {
			r.gaps[i].done()
		}
	}
	return nil
}

// back reports whether a branch that was gone is there again.
func (r *run) back(ctx context.Context, ref string) (bool, error) {
	if r.again == nil {
		calling, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		refs, err := r.repo.Host.Refs(calling, r.repo.Name)
		if err != nil {
			return false, err
		}
		r.again = refs
	}
	_, there := r.again[ref]
	return there, nil
}

func (r *run) found(ev *event.Event, q *event.Request, v Verdict) {
	if r.summary.Missing++; v == Healed {
		r.summary.Healed++
	}
	title, _, _ := strings.Cut(q.Commit.Message, "\n")
	r.report(Finding{
		Source: q.Source, Repository: q.Repository, Ref: ev.Ref, PullRequest: q.PullRequest, SHA: q.Commit.SHA, Title: title, Author: q.Commit.Author,
		Route: q.Route, Environment: q.Environment, Teardown: q.Teardown, Verdict: v, Execution: q.ID,
	})
}

func (r *run) notef(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(r.summary.Notes, note) {
		r.summary.Notes = append(r.summary.Notes, note)
	}
}

// deliveryID names an event of ours by what it tells, so that telling it again is
// the same delivery.
func deliveryID(ev *event.Event) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%+v\n%s\n%s\n%s\n", ev.Repository.FullName, placeOf(ev), ev.Action, ev.Before, ev.After)
	for i := range ev.Commits {
		fmt.Fprintln(sum, ev.Commits[i].SHA)
	}
	return "audit-" + hex.EncodeToString(sum.Sum(nil))[:32]
}
