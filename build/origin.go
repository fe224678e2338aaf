//go:build unix

package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"switchyard/internal/fault"
)

// origin is where the execution comes from that a build belongs to: the commit
// that the outermost execution was started for, and whose it is. It is the
// service's word, not the state machine's. Empty fields are not known.
type origin struct {
	// Source is the name of the source in the config.
	Source         string `json:"source,omitempty"`
	Repository     string `json:"repository,omitempty"`
	Event          string `json:"event,omitempty"`
	Commit         string `json:"commit,omitempty"`
	CloneURL       string `json:"clone_url,omitempty"`
	Ref            string `json:"ref,omitempty"`
	PullRequest    int    `json:"pull_request,omitempty"`
	Fork           bool   `json:"fork,omitempty"`
	HeadRepository string `json:"head_repository,omitempty"`
}

// maxOrigin bounds what is kept of an origin with every execution that has it.
const maxOrigin = 4096

// OriginOf reads what builds need to know in the input of an execution: its
// source and commit, as the router writes them. It is nil when there is no
// source. People write inputs too: what is there and can't be read as it should
// makes the origin a fork, never less.
func OriginOf(input []byte) json.RawMessage {
	var in struct {
		Commit json.RawMessage `json:"commit"`
		Source json.RawMessage `json:"source"`
	}
	if json.Unmarshal(input, &in) != nil || in.Source == nil || isNull(in.Source) {
		return nil
	}
	var source struct {
		Provider       string          `json:"provider"`
		Repository     string          `json:"repository"`
		Event          string          `json:"event"`
		CloneURL       string          `json:"clone_url"`
		Ref            string          `json:"ref"`
		PullRequest    int             `json:"pull_request"`
		Fork           json.RawMessage `json:"fork"`
		HeadRepository string          `json:"head_repository"`
	}
	err := json.Unmarshal(in.Source, &source)
	o := origin{
		Source: source.Provider, Repository: source.Repository, Event: source.Event,
		CloneURL: source.CloneURL, Ref: source.Ref, PullRequest: source.PullRequest, HeadRepository: source.HeadRepository,
		Fork: err != nil || source.Fork != nil && !isNull(source.Fork) && string(source.Fork) != "false",
	}
	var commit struct {
		SHA string `json:"sha"`
	}
	if json.Unmarshal(in.Commit, &commit) == nil {
		o.Commit = commit.SHA
	}
	text, err := json.Marshal(o)
	if err != nil || len(text) > maxOrigin {
		text, _ = json.Marshal(origin{PullRequest: o.PullRequest, Fork: o.Fork})
	}
	return text
}

func isNull(text json.RawMessage) bool { return string(bytes.TrimSpace(text)) == "null" }

// readOrigin reads what [OriginOf] wrote.
func readOrigin(text json.RawMessage) (o origin) {
	if len(text) > 0 && json.Unmarshal(text, &o) != nil {
		return origin{Fork: true}
	}
	return o
}

// String names a fork for a person.
func (o origin) String() string {
	from := "a fork"
	if o.HeadRepository != "" {
		from = fmt.Sprintf("the fork %q", o.HeadRepository)
	}
	if o.PullRequest != 0 {
		return fmt.Sprintf("pull request %d of %s", o.PullRequest, from)
	}
	return from
}

// forForks is what the project is to a commit of a fork: nothing in it that
// may be secret, and nothing that git fetches with this machine's access from
// where the commit says.
func (p Project) forForks() Project {
	p.Env, p.Submodules = nil, nil
	if p.Network = p.ForkNetwork; p.Network == "" {
		p.Network = NetworkNone
	}
	return p
}

// noteFork words for the log what a build of a fork goes without.
func (r *request) noteFork(whole Project) {
	without := "secrets or the project's environment"
	if r.network == NetworkNone {
		without = "network, " + without
	}
	with := "without a cache"
	if r.origin.Fork && r.origin.PullRequest != 0 {
		with = "with the cache of its pull request alone"
	}
	r.forkNotes = append(r.forkNotes, fmt.Sprintf("the commit comes from %s: this build runs without %s, and %s", r.origin, without, with))
	if len(whole.Submodules) > 0 {
		r.forkNotes = append(r.forkNotes, "builds of commits from forks get no submodules")
	}
}

// asFork makes the build one of a fork, where only the commit shows that it is.
func (s *session) asFork() error {
	if s.req.fork {
		return nil
	}
	req, err := s.h.parse(s.t, true)
	if err != nil {
		return err
	}
	s.req = req
	s.res.Environment.EnvironmentVariables = append([]variable{}, req.env...)
	return nil
}

func (s *session) note(lines []string) {
	for _, line := range lines {
		s.log.note("%s", line)
	}
}

// admit holds the build against what is known of its commit, before anything of
// that is used. A fork's is built in isolation or not at all.
func (s *session) admit(ctx context.Context, from *remote, commit string) error {
	if !s.req.fork {
		fork, err := s.h.forkCommit(ctx, from.url, commit)
		if err != nil {
			return &fault.Error{Err: fmt.Errorf("whether commit %s comes from a fork can't be found out: %w", commit, err)}
		}
		if fork {
			if err := s.asFork(); err != nil {
				return err
			}
			s.note(s.req.forkNotes)
		}
	}
	if s.req.fork && !s.h.isolated() {
		return fmt.Errorf("commits from forks are built in isolation only, and here builds are not isolated: %s", s.h.exposed)
	}
	return nil
}
