package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"switchyard/internal/event"
)

// state is what an audit knows of a repository from the last one.
type state struct {
	// Based is true once all branches that the first audit met were taken down: one
	// that is not there then is new. PullsBased is the same of pull requests.
	Based      bool `json:"based"`
	PullsBased bool `json:"pulls_based"`
	// Branches are where branches were when nothing of them was missing, by the
	// full name.
	Branches map[string]string `json:"branches"`
	// Pulls are the pull requests that were open then, by number, each as its
	// host told of it, and PullMark is that host's mark.
	Pulls    map[int]event.Event `json:"pulls,omitempty"`
	PullMark string              `json:"pull_mark,omitempty"`
	// Heard is the number of the last delivery that all of that takes into
	// account.
	Heard int64 `json:"heard"`
	// Redelivered is the host's mark of the deliveries that were looked through.
	Redelivered string `json:"redelivered,omitempty"`
}

// decodeState reads what was kept; nil for nothing.
func decodeState(text []byte) (*state, error) {
	if text == nil {
		return nil, nil
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read what the last audit kept: %w", err)
	}
	return &s, nil
}

// clone is a state that can be changed.
func (s *state) clone() *state {
	c := &state{Branches: map[string]string{}, Pulls: map[int]event.Event{}}
	if s != nil {
		maps.Copy(c.Branches, s.Branches)
		maps.Copy(c.Pulls, s.Pulls)
		c.Based, c.PullsBased, c.PullMark, c.Heard, c.Redelivered = s.Based, s.PullsBased, s.PullMark, s.Heard, s.Redelivered
	}
	return c
}

// same reports whether a pull request is as it was, as far as routes go by it.
func same(a, b *event.Event) bool {
	x, y := a.PullRequest, b.PullRequest
	return a.After == b.After && a.Ref == b.Ref && x.Base == y.Base && x.Draft == y.Draft && x.Fork == y.Fork && slices.Equal(x.Labels, y.Labels)
}
