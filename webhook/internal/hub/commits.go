package hub

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

// Commit is one of a push. A pointer or slice is nil where the host does not
// say.
type Commit struct {
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

// event is c for the event. Only GitHub says whether a commit is distinct:
// whatever others list counts as new.
func (c *Commit) event(sha string) event.Commit {
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

// Listed are the commits that a host lists of a push, oldest first, and whether
// the tip is among them. newestFirst is the host's order where the tip's place
// does not tell. The list is sorted in place.
func Listed(list []Commit, tip string, newestFirst bool) (all []event.Commit, head bool, err error) {
	at := -1
	for i := range list {
		c := &list[i]
		if c.ID, err = field.SHA("id", c.ID); err != nil {
			return nil, false, fmt.Errorf("commits[%d].%w", i, err)
		}
		if c.ID == tip {
			at = i
		}
	}
	oldestFirst(list, tip, at, newestFirst)
	all = make([]event.Commit, len(list), len(list)+1)
	for i := range list {
		all[i] = list[i].event(list[i].ID)
	}
	return all, at >= 0, nil
}

// Unlisted is the tip of a push that its list left out, with what is said of it
// elsewhere.
func Unlisted(head *Commit, tip string, distinct bool) (event.Commit, error) {
	made := event.Commit{SHA: tip, Distinct: distinct}
	if head == nil || head.ID == "" {
		return made, nil
	}
	sha, err := field.SHA("head_commit.id", head.ID)
	if err != nil {
		return made, err
	}
	if sha == tip {
		made = head.event(sha)
		made.Distinct = made.Distinct && distinct
	}
	return made, nil
}

// oldestFirst sorts what a host listed: by parents where the list gives them,
// else by the host's order. That is GitHub's where the head comes last and
// Gitea's where it comes first; head is its index, -1 where it was left out.
func oldestFirst(list []Commit, after string, head int, newestFirst bool) {
	switch {
	case len(list) < 2 || head == len(list)-1:
	case head == 0, head < 0 && (newestFirst || FallingTimes(list)):
		slices.Reverse(list)
	case head > 0:
		// No host's order. The head is the newest, whatever the clocks said.
		sortByTime(list)
		at := slices.IndexFunc(list, func(c Commit) bool { return c.ID == after })
		newest := list[at]
		list = append(slices.Delete(list, at, at+1), newest)
	}
	if slices.ContainsFunc(list, func(c Commit) bool { return len(c.Parents) > 0 }) {
		history.ParentsFirst(list, func(i int) string { return list[i].ID }, func(i int) []string { return list[i].Parents })
	}
}

// FallingTimes reports whether each commit is older than the one before it, or
// as old.
func FallingTimes(list []Commit) bool {
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
func sortByTime(list []Commit) {
	times := make(map[string]time.Time, len(list))
	for i := range list {
		t, err := time.Parse(time.RFC3339, list[i].Timestamp)
		if err != nil {
			return
		}
		times[list[i].ID] = t
	}
	slices.SortStableFunc(list, func(a, b Commit) int { return times[a.ID].Compare(times[b.ID]) })
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

// Count is a number of commits; what is none counts as not said.
type Count int32

// UnmarshalJSON takes anything.
func (c *Count) UnmarshalJSON(text []byte) error {
	var n int32
	if json.Unmarshal(text, &n) == nil && n > 0 {
		*c = Count(n)
	}
	return nil
}
