package codecommit

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

var _ githost.History = (*Client)(nil)

// maxOld is how many generations of commits that are too old are looked behind, since
// clocks differ: one whose date is wrong hides nothing.
const maxOld = 20

// CommitsSince implements [githost.History]. The history is walked by parents, at a
// call for each commit of a straight line, as far back as the time and [maxOld]
// generations more. A walk that takes longer than one call may goes on in the next.
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	if err := Check(repository, head); err != nil {
		return nil, err
	}
	q := &call{Client: c, repository: repository}
	found, err := committedSince(ctx, q, head, since.Unix(), c.cfg.MaxCommits)
	return q.answer(found, err)
}

// committedSince returns what head has and was committed at a time or later, in Unix
// seconds, oldest first.
func committedSince(ctx context.Context, from source, head string, since int64, most int) ([]*node, error) {
	w := &walk{from: from, known: map[string]*node{}, old: map[string]bool{}}
	if err := w.load(ctx, []string{head}); err != nil {
		return nil, err
	}
	if w.known[head] == nil {
		return nil, &missingError{head}
	}
	w.reach(w.known[head], false)
	for left := maxOld; len(w.newer) > 0 && left > 0; {
		young := w.newer[0].date >= since
		var take []*node
		for len(w.newer) > 0 && len(take) < step && (!young || w.newer[0].date >= since) {
			take = append(take, heap.Pop(&w.newer).(*node))
		}
		if left--; young {
			left = maxOld
		}
		if err := w.expand(ctx, take); err != nil {
			return nil, err
		}
		if len(w.found) > most {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("more than %d commits lie between %.12s and %s, which is for how many the API is asked", most, head, time.Unix(since, 0).UTC().Format(time.DateTime))}
		}
	}
	return slices.DeleteFunc(oldestFirst(w.found, head), func(n *node) bool { return n.date < since }), nil
}
