package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"switchyard/githost"
	"switchyard/internal/event"
)

const (
	branchPrefix = "refs/heads/"
	// maxAsked is how many commits of one gap the host is asked for, one by one,
	// where a route cannot decide without.
	maxAsked = 200
	// redeliverFor is how far back a host is asked for what it could not deliver,
	// the first time: GitHub keeps deliveries for three days.
	redeliverFor = 3 * 24 * time.Hour
)

// run is the audit of one repository.
type run struct {
	*Auditor
	repo    Repository
	query   Query
	planner Planner
	cfg     Config
	report  func(Finding)
	summary Summary

	loaded bool
	// refs are the host's branches, and looked the branches and pull requests that
	// need not be looked at again after the host held the audit up.
	refs   map[string]string
	looked map[string]bool
	// again are the branches once more, before something is torn down.
	again map[string]string
	// before is the state that the last audit left, nil before the first; next is
	// what this one leaves.
	before, next *state
	heard        *heard
	firstPulls   bool
	// pullMark is the host's mark of its pull requests as they are now.
	pullMark string
	gaps     []gap
	// problems befell single branches and pull requests.
	problems []error
	// redelivery is set once the host was asked for what it could not deliver.
	redelivery bool
}

// gap is what no delivery told: commits of a ref in a row, or the end of one.
type gap struct {
	ev event.Event
	// missing are the requests for which there is no execution.
	missing []event.Request
	// events is how many were heard of the place by then.
	events int
	// done marks the ref or pull request as audited.
	done func()
}

func newRun(a *Auditor, repo Repository, q Query, report func(Finding)) *run {
	planner, cfg := a.rules()
	return &run{
		Auditor: a, repo: repo, query: q, planner: planner, cfg: cfg, report: report,
		summary: Summary{Source: repo.Source, Repository: repo.Name, Narrow: q.narrow()}, looked: map[string]bool{},
	}
}

// repository audits the repository. Called again after an error, it goes on with
// what is left.
func (r *run) repository(ctx context.Context) (err error) {
	if err := r.load(ctx); err != nil {
		return err
	}
	whole := false // also of an audit that panics
	defer func() { err = errors.Join(err, r.keep(ctx, whole)) }()
	if err := r.branches(ctx); err != nil {
		return err
	}
	if err := r.pullRequests(ctx); err != nil {
		return err
	}
	if err := r.wait(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.next.PullMark = ""
	if r.summary.Missing == r.summary.Healed && len(r.problems) == 0 {
		r.next.PullMark = r.pullMark // else what is missing is looked at again, changed or not
	}
	whole = len(r.problems) == 0
	return errors.Join(r.problems...)
}

// look looks at a branch or pull request, unless that was done. What befalls it
// alone is noted, so that the others are looked at all the same; the error is one
// that ends the audit for now.
func (r *run) look(ctx context.Context, where string, at func() error) error {
	if r.looked[where] {
		return nil
	}
	gaps, changed, commits := len(r.gaps), r.summary.Changed, r.summary.Commits
	err := at()
	if err != nil {
		err = fmt.Errorf("%s: %w", where, err)
		if _, throttled := r.throttled(err); throttled || ctx.Err() != nil {
			r.gaps, r.summary.Changed, r.summary.Commits = r.gaps[:gaps], changed, commits
			return err
		}
		r.problems = append(r.problems, err)
	}
	r.looked[where] = true
	return nil
}

func (r *run) load(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	text, err := r.ledger.Audited(ctx, r.repo.Source, r.repo.Name)
	if err != nil {
		return err
	}
	if r.before, err = decodeState(text); err != nil {
		return err
	}
	r.next, r.loaded = r.before.clone(), true
	r.summary.First, r.firstPulls = !r.next.Based, !r.next.PullsBased
	from := r.next.Heard
	if !r.query.Since.IsZero() {
		from = 0
	}
	r.heard = newHeard(r.ledger, &r.repo, from)
	return nil
}

// keep stores what was found out. Where the audit is not at its end, that is what
// needs not be looked at again.
func (r *run) keep(ctx context.Context, whole bool) error {
	if r.query.narrow() {
		return nil
	}
	if whole && r.summary.Missing == r.summary.Healed && r.heard.last > r.next.Heard {
		r.next.Heard = r.heard.last
	}
	text, err := json.Marshal(r.next)
	if err != nil {
		return fmt.Errorf("encode what the audit found: %w", err)
	}
	if r.before != nil {
		if old, err := json.Marshal(r.before); err == nil && string(old) == string(text) {
			return nil
		}
	}
	if err := r.ledger.KeepAudited(context.WithoutCancel(ctx), r.repo.Source, r.repo.Name, text, r.now()); err != nil {
		return fmt.Errorf("keep what the audit found: %w", err)
	}
	r.before = r.next.clone()
	return nil
}

// branches holds the repository's branches against the journal.
func (r *run) branches(ctx context.Context) error {
	if r.refs == nil {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		refs, err := r.repo.Host.Refs(ctx, r.repo.Name)
		if err != nil {
			return err
		}
		r.refs = refs
	}
	refs := r.refs
	if len(refs) == 0 && len(r.next.Branches) > 0 {
		return fmt.Errorf("the host lists no branch of %s, which had %d; that is not believed", r.repo.Name, len(r.next.Branches))
	}
	r.summary.Branches = len(refs)
	_, there := refs[branchPrefix+r.query.Branch]
	_, was := r.next.Branches[branchPrefix+r.query.Branch]
	r.summary.named = there || was
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if r.query.Branch != "" && ref != branchPrefix+r.query.Branch {
			continue
		}
		if err := r.look(ctx, ref, func() error { return r.branch(ctx, ref, refs[ref]) }); err != nil {
			return err
		}
	}
	if r.query.Branch == "" && !r.next.Based {
		r.next.Based = true
		for ref := range refs {
			_, known := r.next.Branches[ref]
			r.next.Based = r.next.Based && known
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(r.next.Branches)) {
		if _, there := refs[ref]; there || r.query.Branch != "" && ref != branchPrefix+r.query.Branch {
			continue
		}
		if err := r.look(ctx, ref, func() error { return r.deleted(ctx, ref, r.next.Branches[ref]) }); err != nil {
			return err
		}
	}
	return r.goneBranches(ctx)
}

// event is an event of ours about the repository.
func (r *run) event(kind event.Kind, ref string) event.Event {
	return event.Event{
		Source: r.repo.Source, Kind: kind, Ref: ref,
		Repository: event.Repository{FullName: r.repo.Name, CloneURL: r.repo.CloneURL}, Sender: "audit",
	}
}

// branch audits a branch that is at head.
func (r *run) branch(ctx context.Context, ref, head string) error {
	base, known := r.next.Branches[ref]
	if known && base == head && r.query.Since.IsZero() {
		return nil
	}
	done := func() { r.next.Branches[ref] = head }
	if !known && r.summary.First {
		tip, err := r.ledger.Tip(ctx, r.repo.Source, r.repo.Name, ref)
		if err != nil {
			return fmt.Errorf("read where the last push left it: %w", err)
		}
		base = tip
		// What a branch had before the first audit is not asked for, now or later.
		if r.query.Since.IsZero() && (tip == "" || tip == head) {
			done()
			return nil
		}
		if tip != "" {
			r.next.Branches[ref] = tip
		}
	}
	r.summary.Changed++
	probe := r.event(event.Push, ref)
	probe.Before, probe.After, probe.Commits = base, head, []event.Commit{{SHA: head}}
	if plan := r.plan(probe); !wanted(&plan) {
		done()
		return nil
	}
	if err := r.heard.listen(ctx); err != nil {
		return err
	}
	told := r.heard.at(place{ref: ref})
	if r.query.Since.IsZero() && told.leads(base, head) {
		r.summary.Commits += len(told.commits)
		done()
		return nil
	}
	commits, err := r.commits(ctx, ref, base, head)
	if err != nil {
		return err
	}
	return r.compare(ctx, probe, commits, told, done)
}

// commits lists what a branch at head has and had not at base.
func (r *run) commits(ctx context.Context, ref, base, head string) ([]event.Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if since := r.query.Since; !since.IsZero() {
		if h, ok := r.repo.Host.(githost.History); ok {
			return h.CommitsSince(ctx, r.repo.Name, head, since)
		}
		r.notef("its host lists no commits by date; what came since the last audit was looked at")
		if base == head {
			return nil, nil
		}
	}
	if base == "" {
		return r.newCommits(ctx, ref, head)
	}
	all, err := r.between(ctx, ref, base, head)
	if err == nil || !r.refuses(err) || ctx.Err() != nil {
		return all, err
	}
	// A forced push has left the base behind, and the host has forgotten it.
	if len(r.refs) > 1 {
		if again, problem := r.newCommits(ctx, ref, head); problem == nil {
			return again, nil
		}
	}
	r.notef("%s: which commits are new besides its head cannot be told: %v", ref, err)
	return []event.Commit{{SHA: head}}, nil
}

// between lists what head has and base has not, or with an empty base what no
// other branch has.
func (r *run) between(ctx context.Context, ref, base, head string) ([]event.Commit, error) {
	ask := r.event(event.Push, ref)
	ask.Before, ask.After, ask.Truncated = base, head, true
	return r.repo.Host.Commits(ctx, &ask)
}

// plan is what the routes of the query make of an event.
func (r *run) plan(ev event.Event) event.Plan {
	plan := r.planner.Plan(ev)
	if r.query.Route == "" {
		return plan
	}
	plan.Requests = slices.DeleteFunc(plan.Requests, func(q event.Request) bool { return q.Route != r.query.Route })
	plan.Ignored = slices.DeleteFunc(plan.Ignored, func(i event.Ignored) bool { return i.Route != r.query.Route && i.Route != "" })
	plan.Lacks = slices.DeleteFunc(plan.Lacks, func(l event.Lack) bool { return l.Route != r.query.Route })
	return plan
}

// wanted reports whether a route takes the event, or might if it knew the
// commits.
func wanted(plan *event.Plan) bool {
	return len(plan.Requests) > 0 || slices.ContainsFunc(plan.Ignored, func(i event.Ignored) bool { return i.Commit != "" })
}

// deleted audits a branch that was there, at last, and is no longer.
func (r *run) deleted(ctx context.Context, ref, last string) error {
	done := func() { delete(r.next.Branches, ref) }
	ev := r.event(event.Delete, ref)
	ev.Before, ev.Commits = last, []event.Commit{{SHA: last}}
	r.summary.Changed++
	return r.ended(ctx, ev, done)
}

// ended audits the end of a branch or pull request, which may have something torn
// down.
func (r *run) ended(ctx context.Context, ev event.Event, done func()) error {
	if plan := r.plan(ev); len(plan.Requests) == 0 {
		done()
		return nil
	}
	if err := r.heard.listen(ctx); err != nil {
		return err
	}
	if r.heard.at(placeOf(&ev).of()).ended {
		done()
		return nil
	}
	if err := r.know(ctx, ev.Commits); err != nil {
		return err
	}
	missing, err := r.missing(ctx, &ev)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		done()
		return nil
	}
	r.gaps = append(r.gaps, gap{ev: ev, missing: missing, events: r.heard.at(placeOf(&ev).of()).events, done: done})
	return nil
}
