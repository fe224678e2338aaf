// Package git is the webhook source for plain git servers, and defines the
// payload that their hook sends.
//
// A delivery is a POST with the headers
//
//	Content-Type: application/json
//	X-Switchyard-Delivery: 6f1c…            the same when it is sent again
//	X-Switchyard-Signature-256: sha256=…    hex HMAC-SHA256 of the raw body
//
// and one update of one ref as its body:
//
//	{
//	  "repository": {
//	    "name": "acme/api-v2",
//	    "clone_url": "/srv/git/acme/api-v2.git",
//	    "html_url": "https://git.acme.example/api-v2",
//	    "default_branch": "main"
//	  },
//	  "ref": "refs/heads/feature/login",
//	  "before": "0000000000000000000000000000000000000000",
//	  "after": "9c1e6f7a…",
//	  "forced": false,
//	  "pusher": "ada",
//	  "commits": [
//	    {
//	      "id": "9c1e6f7a…",
//	      "message": "api: check the session first",
//	      "author": {"name": "Ada", "email": "ada@acme.example"},
//	      "url": "https://git.acme.example/api-v2/commit/9c1e6f7a…",
//	      "distinct": true,
//	      "paths": ["api/v1/login.go"]
//	    }
//	  ]
//	}
//
// Required are repository.name, ref, before and after, and each commit's id.
// Commits are oldest first, and the last is "after"; without any it is "after"
// alone. Zeros in "before" mean that the ref was created, in "after" that it was
// deleted. "distinct" is false for a commit that the repository had before this
// push; without it, it is true. A commit without "message" has an empty one.
// "paths" holds every file that the commit added,
// changed or removed; without it they are unknown. Members beyond these are not
// looked at.
//
// The ref is a branch or a tag. For a tag "before" and "after" are the commits
// that it leads to, and not tag objects, and the only commit is "after".
//
// The signature covers the body alone and carries no time. A delivery that is
// sent again does no harm: its ID is recognised, and under another ID it asks
// for executions that exist already, since their names derive from repository,
// commit and route, and for a deletion from the branch too. Use HTTPS where
// others can read the network.
package git

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery.
const (
	HeaderDelivery  = "X-Switchyard-Delivery"
	HeaderSignature = "X-Switchyard-Signature-256"
)

// Payload is one update of one ref.
type Payload struct {
	Repository Repository `json:"repository"`
	Ref        string     `json:"ref"`
	Before     string     `json:"before"`
	After      string     `json:"after"`
	Forced     bool       `json:"forced,omitempty"`
	Pusher     string     `json:"pusher,omitempty"`
	Commits    []Commit   `json:"commits,omitempty"`
}

// Repository is where the ref is.
type Repository struct {
	Name          string `json:"name"`
	CloneURL      string `json:"clone_url,omitempty"`
	HTMLURL       string `json:"html_url,omitempty"`
	DefaultBranch string `json:"default_branch,omitempty"`
}

// Commit is one commit of the update.
type Commit struct {
	ID       string `json:"id"`
	Message  string `json:"message"`
	Author   Author `json:"author"`
	URL      string `json:"url,omitempty"`
	Distinct bool   `json:"distinct"`
	// Paths is nil when unknown, and empty when the commit changed no file.
	Paths []string `json:"paths"`
}

// UnmarshalJSON takes a commit for new to the repository unless it says
// otherwise.
func (c *Commit) UnmarshalJSON(text []byte) error {
	type plain Commit
	said := plain{Distinct: true}
	err := json.Unmarshal(text, &said)
	*c = Commit(said)
	return err
}

// Author is who wrote a commit.
type Author struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

var payloadFields = sieve.Fields{
	"repository": {"name": nil, "clone_url": nil, "html_url": nil, "default_branch": nil},
	"ref":        nil, "before": nil, "after": nil, "forced": nil, "pusher": nil,
	"commits": {
		"id": nil, "message": nil, "author": {"name": nil, "email": nil},
		"url": nil, "distinct": nil, "paths": nil,
	},
}

// Config is what an operator sets under a source of type git.
type Config struct {
	// Secrets are accepted for the signature: at least one, none of them
	// empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes the deliveries of plain git servers.
type Source struct {
	hmac *webhook.HMAC
	kept *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(HeaderSignature, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	kept, err := sieve.New(payloadFields)
	if err != nil {
		return nil, err
	}
	return &Source{hmac, kept}, nil
}

// Verify checks X-Switchyard-Signature-256 over the raw body.
func (s *Source) Verify(h http.Header, body []byte) error { return s.hmac.Verify(h, body) }

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return s.hmac.Precheck(h) }

// Decode turns a delivery into an event.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	ev := event.Event{DeliveryID: h.Get(HeaderDelivery)}
	if err := field.DeliveryID(HeaderDelivery, ev.DeliveryID); err != nil {
		return event.Event{}, err
	}
	if t := h.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return ev, &webhook.MediaTypeError{Got: safetext.Cut(safetext.Line(t), 80), Want: []string{"application/json"}}
		}
	}
	sifted, err := s.kept.Sift(make([]byte, 0, len(body)), body)
	if err != nil {
		return ev, err
	}
	var p Payload
	if err := json.Unmarshal(sifted, &p); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return ev, fmt.Errorf("%s: a JSON %s, where %s should be", wrong.Field, wrong.Value, wrong.Type.Kind())
		}
		return ev, fmt.Errorf("payload: %w", err)
	}
	err = p.fill(&ev)
	return ev, err
}

// fill checks the payload and makes it the event.
func (p *Payload) fill(ev *event.Event) (err error) {
	ev.Kind, ev.Ref, ev.Forced, ev.Sender = event.Push, p.Ref, p.Forced, p.Pusher
	r := p.Repository
	ev.Repository = event.Repository{FullName: r.Name, CloneURL: r.CloneURL, HTMLURL: r.HTMLURL, DefaultBranch: r.DefaultBranch}
	if err = field.Repository("repository.name", r.Name, 1); err != nil {
		return err
	}
	if err = field.Ref("ref", p.Ref); err != nil {
		return err
	}
	if ev.Before, err = field.Tip("before", p.Before); err != nil {
		return err
	}
	if p.After == "" {
		return errors.New("after: missing; give the commit that the ref is at now, or zeros where it was deleted")
	}
	if ev.After, err = field.Tip("after", p.After); err != nil {
		return err
	}
	if ev.Branch() == "" && ev.Tag() == "" {
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: nothing else starts executions"}
	}
	if ev.After == "" {
		if ev.Before == "" {
			return errors.New("before, after: both are zeros, which is neither a push nor a deletion")
		}
		ev.Kind, ev.Forced = event.Delete, false
		ev.Commits = []event.Commit{{SHA: ev.Before}}
		return nil
	}
	if len(p.Commits) == 0 {
		ev.Commits = []event.Commit{{SHA: ev.After}}
		return nil
	}
	ev.Commits = make([]event.Commit, len(p.Commits))
	for i := range p.Commits {
		c := &p.Commits[i]
		sha, err := field.SHA("id", c.ID)
		if err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
		ev.Commits[i] = event.Commit{
			SHA: sha, Message: c.Message, MessageKnown: true, Author: c.Author.Name, AuthorEmail: c.Author.Email,
			URL: c.URL, Distinct: c.Distinct, Paths: c.Paths, PathsKnown: c.Paths != nil,
		}
	}
	return checkCommits(ev)
}

// checkCommits refuses a list that cannot be what the update brought: one that
// is not all of it would have commits without an execution, and one in another
// order would end an environment on an older commit.
func checkCommits(ev *event.Event) error {
	n := len(ev.Commits)
	if ev.Commits[n-1].SHA == ev.After {
		return nil
	}
	at := slices.IndexFunc(ev.Commits, func(c event.Commit) bool { return c.SHA == ev.After })
	switch at {
	case -1:
		return fmt.Errorf("commits: %s, which is \"after\", is not among the %d listed; list every commit that the push brought, oldest first", ev.After, n)
	case 0:
		// No commit comes before those that it is made on: newest first.
		slices.Reverse(ev.Commits)
		return nil
	default:
		return fmt.Errorf("commits: %s, which is \"after\", is at place %d of %d; list them oldest first, so that it is the last", ev.After, at+1, n)
	}
}
