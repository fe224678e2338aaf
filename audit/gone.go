package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"switchyard/githost"
	"switchyard/internal/event"
)

// goneBranches audits the ends of branches that came after the last audit, as
// deliveries told, and are gone without one that told of it. What a first audit does
// not meet is known to it as gone.
func (r *run) goneBranches(ctx context.Context) error {
	if r.summary.First {
		return nil
	}
	if err := r.heard.listen(ctx); err != nil {
		return err
	}
	last := map[string]string{}
	for at, t := range r.heard.told {
		_, there := r.refs[at.ref]
		_, former := r.next.Branches[at.ref]
		if strings.HasPrefix(at.ref, branchPrefix) && !there && !former && !t.ended && t.tip != "" && (r.query.Branch == "" || at.ref == branchPrefix+r.query.Branch) {
			last[at.ref] = t.tip
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(last)) {
		if err := r.look(ctx, ref, func() error { return r.deleted(ctx, ref, last[ref]) }); err != nil {
			return err
		}
	}
	return nil
}

// gonePulls does the same for pull requests, where the host shows single ones: a list
// may be older than the delivery that told of one.
func (r *run) gonePulls(ctx context.Context, open map[int]bool) error {
	if _, able := r.repo.Host.(githost.PullRequestReader); !able || r.firstPulls {
		return nil
	}
	if err := r.heard.listen(ctx); err != nil {
		return err
	}
	last := map[int]event.Event{}
	for at, t := range r.heard.told {
		if _, former := r.next.Pulls[at.pullRequest]; t.pull != nil && !t.ended && !former && !open[at.pullRequest] {
			last[at.pullRequest] = *t.pull
		}
	}
	for _, number := range slices.Sorted(maps.Keys(last)) {
		ev := last[number]
		ev.Sender, ev.Late = "audit", false
		if err := r.look(ctx, fmt.Sprintf("pull request %d", number), func() error { return r.closed(ctx, number, ev) }); err != nil {
			return err
		}
	}
	return nil
}
