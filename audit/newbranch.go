package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// maxKnown is against how many branches a new one is held.
const maxKnown = 20

// newCommits lists what a branch brought that was not there before, or is not as
// it was. That is what no other branch has, unless other branches are as new: each
// would leave what they share to the others. Then it is what none of the branches
// has that were there at the last audit, which are audited themselves, and of
// which no delivery told.
func (r *run) newCommits(ctx context.Context, ref, head string) ([]event.Commit, error) {
	known := r.known(ref)
	if len(known) == 0 || len(known) > maxKnown {
		if len(known) > 0 {
			r.notef("several branches are new; commits that only these share are looked for where there are no more than %d others", maxKnown)
		}
		return r.between(ctx, ref, "", head)
	}
	var left []event.Commit
	asked := false
	for _, tip := range known {
		more, err := r.between(ctx, ref, tip, head)
		if err != nil && r.refuses(err) {
			continue // they have nothing in common
		}
		if err != nil {
			return nil, err
		}
		if !asked {
			left, asked = more, true
		} else {
			left = both(left, more)
		}
		if left, err = r.unheard(ctx, left); err != nil || len(left) == 0 {
			return left, err
		}
	}
	if !asked {
		return r.between(ctx, ref, "", head)
	}
	return left, nil
}

// both are the commits of a that b has too.
func both(a, b []event.Commit) []event.Commit {
	has := make(map[string]bool, len(b))
	for i := range b {
		has[b[i].SHA] = true
	}
	return slices.DeleteFunc(a, func(c event.Commit) bool { return !has[c.SHA] })
}

// unheard are the commits of which no delivery told.
func (r *run) unheard(ctx context.Context, commits []event.Commit) ([]event.Commit, error) {
	shas := make([]string, len(commits))
	for i := range commits {
		shas[i] = commits[i].SHA
	}
	heard, err := r.ledger.Known(ctx, r.repo.Source, r.repo.Name, shas)
	if err != nil {
		return nil, fmt.Errorf("read what is known of commits: %w", err)
	}
	return slices.DeleteFunc(commits, func(c event.Commit) bool { _, told := heard[c.SHA]; return told }), nil
}

// known are the commits at which the branches are that were there at the last
// audit, the usual names of a main branch first; none where no branch but this one
// is new.
func (r *run) known(ref string) []string {
	if r.before == nil {
		return nil
	}
	strangers := 0
	var names []string
	for other, head := range r.refs {
		if _, known := r.before.Branches[other]; known && other != ref {
			names = append(names, other)
		} else if other != ref && !r.heard.at(place{ref: other}).leads("", head) {
			strangers++
		}
	}
	if strangers == 0 {
		return nil
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(usual(a)-usual(b), strings.Compare(a, b)) })
	var tips []string
	for _, name := range names {
		if tip := r.refs[name]; !slices.Contains(tips, tip) {
			tips = append(tips, tip)
		}
	}
	return tips
}

func usual(ref string) int {
	if ref == branchPrefix+"main" || ref == branchPrefix+"master" {
		return 0
	}
	return 1
}
