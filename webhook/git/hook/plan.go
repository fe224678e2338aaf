package hook

import (
	"context"
	"fmt"
	"slices"
)

// report is one movement of a ref, as Switchyard is told of it.
type report struct {
	ref           string // the name that its pusher knows
	before, after string // "" for none
	forced        bool
	commits       []string // to be described, oldest first
	distinct      func(sha string) bool
	pusher        string
	own           bool // by the push that this process is the hook of
}

// plan works out what is to be reported, and enters it into the ledger in
// memory. It changes nothing on disk.
type plan struct {
	repo   repository
	refs   refs
	ledger *ledger
	graph  *graph
	pusher string
	own    bool
	// without are commits that a new branch does not report once more: those of
	// the default branch, where the same push brought them, and when catching up
	// those of the branches before it, as if they had been pushed one by one.
	without map[string]bool
	peeled  map[string]string
	maxTags int

	reports []report
	// notes are for the pusher: why something is not reported, or was already.
	notes []string
	// leftOut are tags beyond the limit.
	leftOut []update
	// failed are refs that could not be looked at; they stay unreported.
	failed []error
}

// newPlan prepares for the updates. With own false they are what the refs are
// ahead of the ledger, and nobody knows who pushed it.
func (h *Hook) newPlan(ctx context.Context, repo repository, refs refs, l *ledger, updates []update, own bool) (*plan, error) {
	p := &plan{repo: repo, refs: refs, ledger: l, own: own, without: map[string]bool{}, maxTags: h.maxTags}
	if own {
		p.pusher = h.cfg.Pusher
	}
	var tips, objects []string
	for _, u := range updates {
		if isTag(u.ref) {
			objects = append(objects, u.new, u.old, l.tips[u.ref])
			continue
		}
		if u.new != "" {
			tips = append(tips, u.new)
		}
		if u.old != "" && u.old != l.tips[u.ref] {
			// Whether an earlier push is unreported is seen from whether this is.
			tips = append(tips, u.old)
		}
		objects = append(objects, u.new, l.tips[u.ref])
	}
	var err error
	if p.graph, err = repo.unreported(ctx, tips, l.known()); err != nil {
		return nil, err
	}
	objects = slices.DeleteFunc(objects, func(id string) bool { return id == "" || p.graph.has(id) })
	slices.Sort(objects)
	if p.peeled, err = repo.peel(ctx, slices.Compact(objects)); err != nil {
		return nil, err
	}
	if own {
		if i := slices.IndexFunc(updates, func(u update) bool { return u.ref == refs.head && u.new != "" }); i >= 0 {
			p.exclude(p.graph.walk(updates[i].new, nil))
		}
	}
	return p, nil
}

// exclude has the new branches that follow not report these commits.
func (p *plan) exclude(commits []string, _ map[string]bool) {
	for _, sha := range commits {
		p.without[sha] = true
	}
}

// commit is the commit that the object is or leads to, "" when there is none.
func (p *plan) commit(object string) string {
	if p.graph.has(object) {
		return object
	}
	return p.peeled[object]
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *plan) alreadyReported(u update) {
	if p.own {
		p.note("%s: reported already, with another push", shortRef(u.ref))
	}
}

// add plans the reports of the updates.
func (p *plan) add(ctx context.Context, updates []update) error {
	tags, err := p.fewTags(ctx, updates)
	if err != nil {
		return err
	}
	for _, u := range updates {
		switch {
		case isBranch(u.ref):
			if err := p.branch(ctx, u); err != nil {
				return err
			}
		case tags == nil || tags[u.ref]:
			p.tag(u)
		default:
			p.ledger.move(u.ref, u.new, false)
			p.leftOut = append(p.leftOut, u)
		}
	}
	return nil
}

// fewTags chooses the newest tags where there are more than the limit, and
// returns nil where there are not.
func (p *plan) fewTags(ctx context.Context, updates []update) (map[string]bool, error) {
	moved := map[string]bool{}
	for _, u := range updates {
		if isTag(u.ref) {
			moved[u.ref] = true
		}
	}
	if len(moved) <= p.maxTags {
		return nil, nil
	}
	newest, err := p.repo.newestTags(ctx)
	if err != nil {
		return nil, err
	}
	chosen := map[string]bool{}
	for _, ref := range newest {
		if moved[ref] && len(chosen) < p.maxTags {
			chosen[ref] = true
		}
	}
	return chosen, nil
}

// tag plans the report of a tag: one commit, whatever led to it.
func (p *plan) tag(u update) {
	reported, now := p.ledger.tips[u.ref], p.refs.tips[u.ref]
	overtaken := now != u.new && reported != u.old
	if reported == u.new && reported != "" || overtaken && (reported != "" || p.ledger.had(u.ref, u.old)) ||
		u.new == "" && reported == "" && p.ledger.had(u.ref, u.old) {
		p.alreadyReported(u)
		return
	}
	old := u.old
	if reported != "" {
		old = reported
	}
	r := report{ref: plainRef(u.ref), before: p.commit(old), after: p.commit(u.new), pusher: p.pusher, own: p.own}
	p.ledger.move(u.ref, u.new, old != "")
	switch {
	case u.new != "" && r.after == "":
		p.note("%s does not lead to a commit: nothing to report", shortRef(u.ref))
		return
	case u.new == "" && r.before == "":
		p.note("%s is deleted, and what it was is not known any more: nothing to report", shortRef(u.ref))
		return
	case u.new != "":
		r.forced = old != ""
		r.commits = []string{r.after}
		// Hardly ever new to the repository, but new as a release.
		r.distinct = func(string) bool { return true }
	}
	p.reports = append(p.reports, r)
}

// branch plans the reports of a branch. Hooks of pushes to one branch may run
// in any order, or not at all.
func (p *plan) branch(ctx context.Context, u update) error {
	reported, now := p.ledger.tips[u.ref], p.refs.tips[u.ref]
	// A hook that ran earlier reported a later push.
	overtaken := now != u.new && reported != u.old && reported != ""
	switch {
	case reported == u.new && u.new != "",
		u.new == "" && (overtaken || reported == "" && p.ledger.had(u.ref, u.old)),
		u.new != "" && !p.graph.has(u.new) && (overtaken || now != u.new && reported == "" && p.ledger.had(u.ref, "")):
		p.alreadyReported(u)
		return nil
	}
	if u.new != "" && p.commit(u.new) == "" {
		p.failed = append(p.failed, fmt.Errorf("%s: commit %s is not in the repository", shortRef(u.ref), u.new))
		return nil
	}
	if overtaken {
		// Left behind by the later push, and not reported with it.
		commits, _ := p.graph.walk(u.new, nil)
		p.report(u.ref, u.old, u.new, false, commits, p.pusher)
		p.ledger.remember(u.new, u.ref)
		return nil
	}
	if u.old != "" && u.old != reported && p.graph.has(u.old) && !p.leadsTo(u.new, u.old) {
		// An earlier push is unreported, and this one leaves its commits behind.
		if err := p.move(ctx, u.ref, reported, u.old, ""); err != nil {
			return err
		}
		reported = u.old
	}
	if u.new != "" {
		return p.move(ctx, u.ref, reported, u.new, p.pusher)
	}
	if reported == "" {
		reported = u.old
	}
	p.report(u.ref, reported, "", false, nil, p.pusher)
	p.ledger.tips[u.ref] = reported // so that the ledger remembers it
	p.ledger.move(u.ref, "", true)
	return nil
}

// leadsTo reports whether the unreported commits that new brings include sha.
func (p *plan) leadsTo(new, sha string) bool {
	commits, _ := p.graph.walk(new, nil)
	return slices.Contains(commits, sha)
}

// move plans the report of a branch that goes from old, which is reported or
// "", to new.
func (p *plan) move(ctx context.Context, ref, old, new, pusher string) (err error) {
	var commits []string
	forced := false
	if old == "" {
		without := p.without
		if p.own && ref == p.refs.head {
			without = nil
		}
		commits, _ = p.graph.walk(new, without)
	} else {
		var edge map[string]bool
		commits, edge = p.graph.walk(new, nil)
		// All that is new joins what is reported at old alone: a fast-forward.
		// Else git is asked, unless old has been pruned.
		ahead := len(edge) == 1 && edge[old]
		pruned := p.commit(old) == ""
		forced = !ahead && pruned
		if !ahead && !pruned {
			if commits, err = p.repo.list(ctx, []string{new}, []string{old}); err != nil {
				return err
			}
			if forced, err = p.repo.forced(ctx, old, new); err != nil {
				return err
			}
		}
	}
	if len(commits) == 0 {
		// The branch now ends at a commit that was known already.
		commits = []string{new}
	}
	p.report(ref, old, new, forced, commits, pusher)
	p.ledger.move(ref, new, forced)
	return nil
}

func (p *plan) report(ref, before, after string, forced bool, commits []string, pusher string) {
	r := report{ref: plainRef(ref), before: before, after: after, forced: forced, commits: commits, pusher: pusher, own: p.own}
	if p.own {
		r.distinct = p.graph.has
	} else {
		fresh := map[string]bool{}
		for _, sha := range commits {
			fresh[sha] = p.graph.has(sha) && !p.without[sha]
		}
		r.distinct = func(sha string) bool { return fresh[sha] }
		p.exclude(commits, nil)
	}
	p.reports = append(p.reports, r)
}
