package github

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"switchyard/internal/event"
	"switchyard/internal/history"
	"switchyard/webhook/internal/field"
)

const (
	// listLimit is how many commits GitHub lists at most.
	listLimit = 2048
	// createdLimit is how many commits of a new branch Gitea looks at: it
	// counts and lists no others.
	createdLimit = 10
)

// commit is one of a push. A pointer or slice is nil where the host does not
// say.
type commit struct {
	ID        string  `json:"id"`
	Message   *string `json:"message"`
	URL       string  `json:"url"`
	Timestamp string  `json:"timestamp"`
	Distinct  *bool   `json:"distinct"`
	Author    struct {
		Name     string `json:"name"`
		Email    string `json:"email"`
		Username string `json:"username"`
	} `json:"author"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
	Parents  parents  `json:"parents"`
}

// commit is c for the event. Only GitHub says whether a commit is distinct:
// whatever others list counts as new.
func (c *commit) commit(sha string) event.Commit {
	made := event.Commit{
		SHA: sha, URL: c.URL, Distinct: c.Distinct == nil || *c.Distinct,
		Author: cmp.Or(c.Author.Username, c.Author.Name), AuthorEmail: c.Author.Email,
		Paths:      paths(c.Added, c.Removed, c.Modified),
		PathsKnown: c.Added != nil || c.Removed != nil || c.Modified != nil,
	}
	if c.Message != nil {
		made.Message, made.MessageKnown = *c.Message, true
	}
	return made
}

// pushedCommits lists the commits of a push, oldest first, with the branch's
// new head as the last of them whatever the host left out.
func pushedCommits(p *pushPayload, gitea bool, ev *event.Event) (err error) {
	listed := -1
	for i := range p.Commits {
		c := &p.Commits[i]
		if c.ID, err = field.SHA("id", c.ID); err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
		if c.ID == ev.After {
			listed = i
		}
	}
	ev.Total = int(p.Size)
	if p.TotalCommits != nil {
		ev.Total = int(max(*p.TotalCommits, p.Size))
	}
	ev.Truncated = truncated(p, gitea, listed >= 0, ev)
	oldestFirst(p.Commits, ev.After, listed, gitea)
	ev.Commits = make([]event.Commit, len(p.Commits), len(p.Commits)+1)
	for i := range p.Commits {
		ev.Commits[i] = p.Commits[i].commit(p.Commits[i].ID)
	}
	if listed >= 0 {
		return nil
	}
	// Where the host lists nothing, nothing is new, so far as it can tell:
	// Gitea finds nothing new on a branch whose commits another branch has
	// that came with the same push.
	unlisted := len(p.Commits) > 0 || p.Commits == nil || gitea && ev.Before == ""
	head := event.Commit{SHA: ev.After, Distinct: unlisted}
	if c := p.HeadCommit; c != nil && c.ID != "" {
		sha, err := field.SHA("head_commit.id", c.ID)
		if err != nil {
			return err
		}
		if sha == ev.After {
			head = c.commit(sha)
			head.Distinct = head.Distinct && unlisted
		}
	}
	ev.Commits = append(ev.Commits, head)
	return nil
}

// truncated reports whether the push may have commits that the host did not
// list.
func truncated(p *pushPayload, gitea, headListed bool, ev *event.Event) bool {
	n := len(p.Commits)
	switch {
	case p.Commits == nil, p.After == "": // the sender does not tell
		return true
	case n > 0 && !headListed, ev.Total > n:
		return true
	case n >= listLimit:
		return ev.Total == 0
	case gitea && ev.Before == "":
		return n == 0 || n >= createdLimit && ev.Total >= createdLimit
	}
	return false
}

// oldestFirst sorts what a host listed: by parents where the list gives them,
// else by the host's order. That is GitHub's where the head comes last and
// Gitea's where it comes first; head is its index, -1 where it was left out.
func oldestFirst(list []commit, after string, head int, gitea bool) {
	switch {
	case len(list) < 2 || head == len(list)-1:
	case head == 0, head < 0 && (gitea || fallingTimes(list)):
		slices.Reverse(list)
	case head > 0:
		// No host's order. The head is the newest, whatever the clocks said.
		sortByTime(list)
		at := slices.IndexFunc(list, func(c commit) bool { return c.ID == after })
		newest := list[at]
		list = append(slices.Delete(list, at, at+1), newest)
	}
	if slices.ContainsFunc(list, func(c commit) bool { return len(c.Parents) > 0 }) {
		history.ParentsFirst(list, func(i int) string { return list[i].ID }, func(i int) []string { return list[i].Parents })
	}
}

// fallingTimes reports whether each commit is older than the one before it, or
// as old.
func fallingTimes(list []commit) bool {
	if len(list) < 2 {
		return false
	}
	var last time.Time
	fell := false
	for i := range list {
		t, err := time.Parse(time.RFC3339, list[i].Timestamp)
		if err != nil || i > 0 && t.After(last) {
			return false
		}
		fell = fell || i > 0 && t.Before(last)
		last = t
	}
	return fell
}

// sortByTime sorts by timestamp where every commit has one.
func sortByTime(list []commit) {
	times := make(map[string]time.Time, len(list))
	for i := range list {
		t, err := time.Parse(time.RFC3339, list[i].Timestamp)
		if err != nil {
			return
		}
		times[list[i].ID] = t
	}
	slices.SortStableFunc(list, func(a, b commit) int { return times[a.ID].Compare(times[b.ID]) })
}

// parents are IDs of commits. Hosts that list them do so as texts or as objects
// with a sha or id; anything else says nothing.
type parents []string

func (p *parents) UnmarshalJSON(text []byte) error {
	var plain []string
	if json.Unmarshal(text, &plain) == nil {
		*p = plain
		return nil
	}
	var objects []struct {
		SHA string `json:"sha"`
		ID  string `json:"id"`
	}
	if json.Unmarshal(text, &objects) == nil {
		for _, o := range objects {
			*p = append(*p, cmp.Or(o.SHA, o.ID))
		}
	}
	return nil
}

// count is a number of commits; what is none counts as not said.
type count int32

func (c *count) UnmarshalJSON(text []byte) error {
	var n int32
	if json.Unmarshal(text, &n) == nil && n > 0 {
		*c = count(n)
	}
	return nil
}

const (
	// fewPaths is up to where looking through a list beats a map.
	fewPaths = 16
	// manyPaths is from where on no path is looked for twice: hosts name each
	// in one list only, and the map would take more memory than the paths.
	manyPaths = 10_000
)

// paths joins lists of paths, each path once, in the order they came.
func paths(lists ...[]string) []string {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	switch {
	case n == 0:
		return nil
	case n > manyPaths:
		return slices.Concat(lists...)
	}
	all := make([]string, 0, n)
	var seen map[string]bool
	if n > fewPaths {
		seen = make(map[string]bool, n)
	}
	for _, l := range lists {
		for _, p := range l {
			if seen[p] || seen == nil && slices.Contains(all, p) {
				continue
			}
			if seen != nil {
				seen[p] = true
			}
			all = append(all, p)
		}
	}
	return all
}
