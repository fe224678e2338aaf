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
// it was: what none of the branches has that were there at the last audit, which
// are audited themselves, and of which no delivery told. Hosts are not asked what
// is new on it: some leave out what the default branch has, and some what any
// other has, also where that is as new.
func (r *run) newCommits(ctx context.Context, ref, head string) ([]event.Commit, error) {
	known, strangers := r.known(ref)
	more := len(known) > maxKnown
	var left []event.Commit
	asked := false
	hold := func(base string) error {
		found, err := r.between(ctx, ref, base, head)
		if err != nil && r.refuses(err) && base != "" {
			return nil // they have nothing in common
		}
		if err != nil {
			return err
		}
		if asked {
			found = both(left, found)
		}
		asked = true
		left, err = r.unheard(ctx, found)
		return err
	}
	for n := 0; n < maxKnown && len(known) > 0; n++ {
		// A branch that ends within what is left has all that is before that.
		at := max(0, slices.IndexFunc(known, func(tip string) bool {
			return slices.ContainsFunc(left, func(c event.Commit) bool { return c.SHA == tip })
		}))
		if err := hold(known[at]); err != nil || asked && len(left) == 0 {
			return left, err
		}
		known = slices.Delete(known, at, at+1)
	}
	switch {
	case asked && !more:
		return left, nil
	case asked && strangers > 0:
		r.notef("%s is new, as other branches are, and was held against %d of the branches that were there: what others have may be among what is missing", ref, maxKnown)
		return left, nil
	}
	err := hold("")
	return left, err
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
// audit: the usual names of a main branch first, then those that have moved since. And
// how many others are as new as this one.
func (r *run) known(ref string) (tips []string, strangers int) {
	var names []string
	for other, head := range r.refs {
		former := false
		if r.before != nil {
			_, former = r.before.Branches[other]
		}
		switch {
		case other == ref:
		case former:
			names = append(names, other)
		case !r.heard.at(place{ref: other}).leads("", head):
			strangers++
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(r.rank(a)-r.rank(b), strings.Compare(a, b)) })
	for _, name := range names {
		if tip := r.refs[name]; !slices.Contains(tips, tip) {
			tips = append(tips, tip)
		}
	}
	return tips, strangers
}

// rank is how soon a new branch is held against one that was there.
func (r *run) rank(ref string) int {
	switch strings.TrimPrefix(ref, branchPrefix) {
	case "main", "master", "develop", "trunk":
		return 0
	}
	if r.before.Branches[ref] != r.refs[ref] {
		return 1
	}
	return 2
}
