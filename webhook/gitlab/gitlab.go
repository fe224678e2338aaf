// Package gitlab is the webhook source for GitLab: gitlab.com and self-managed.
//
// What becomes of each event, of a project, group or system hook:
//
//	push            a push, with the commits that GitLab lists: the newest 20
//	tag push        a push of the commit that the tag points at
//	push, deleted   a deletion; its "before" is the ref's last commit
//	merge request   opened, reopened and closed; of an update synchronize for
//	                pushed code, edited for another target branch,
//	                ready_for_review for a draft that is none any more, and
//	                labeled and unlabeled for each label that was given or taken
//	comment         a command, where one on a merge request holds one
//	test            ignored: what the button Test sends pushes nothing
//	others          ignored
//
// One update of a merge request may tell of several changes, and so may its
// opening with labels: each is an event of its own. An approval or a new title
// starts nothing.
//
// GitLab sends no push at all where more than 3 branches or tags are pushed at
// once, unless push_event_hooks_limit says otherwise; only an audit finds those.
// A forced push carries no mark. The facts are from GitLab's "Webhooks",
// "Webhook events" and "System hooks", and from the builders in its source:
// Gitlab::DataBuilder::Push, Gitlab::HookData::MergeRequestBuilder and
// WebHookService.
package gitlab

import (
	"fmt"
	"mime"
	"net/http"
	"time"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

const (
	headerEvent = "X-Gitlab-Event"
	// headerKey identifies a delivery: GitLab makes it once, sends it again with
	// each attempt, also one that was asked for, and signs it as webhook-id. It
	// exists since GitLab 17.4.
	headerKey = "Idempotency-Key"
	// headerUUID stands for it before. It is one for all hooks that the same
	// request set off; which delivery it is, the body tells.
	headerUUID = "X-Gitlab-Event-Uuid"

	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// Config is what an operator sets under a source of provider gitlab.
type Config struct {
	// Secrets prove deliveries: at least one, none of them empty, several while
	// one is rotated out. Each is taken as a webhook's secret token, which comes
	// in the header X-Gitlab-Token; one that begins with whsec_ is a signing
	// token, the key of the header webhook-signature.
	Secrets []string
}

// Option replaces what a test may replace.
type Option func(*Source)

// WithClock replaces time.Now, for how old a signature may be.
func WithClock(now func() time.Time) Option { return func(s *Source) { s.proof.now = now } }

// Source verifies and decodes the deliveries.
type Source struct {
	proof                          proof
	push, mergeRequest, note, kind *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Several    = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
)

// New returns a source that accepts deliveries that one of the secrets proves.
func New(cfg Config, opts ...Option) (*Source, error) {
	p, err := newProof(cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("gitlab: %w", err)
	}
	s := &Source{proof: p}
	for _, o := range opts {
		o(s)
	}
	for _, kept := range []struct {
		into   **sieve.Sieve
		fields sieve.Fields
	}{{&s.push, pushFields}, {&s.mergeRequest, mergeRequestFields}, {&s.note, noteFields}, {&s.kind, kindFields}} {
		if *kept.into, err = sieve.New(kept.fields); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return s.proof.precheck(h) }

// Verify checks the signature over the raw body where there is one and a signing
// token is configured, and else the secret token.
func (s *Source) Verify(h http.Header, body []byte) error { return s.proof.verify(h, body) }

// Decode implements [webhook.Source] for deliveries that tell of one change.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several].
func (s *Source) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	id, err := deliveryID(h)
	if err != nil {
		return nil, err
	}
	if err = checkMedia(h); err != nil {
		return nil, err
	}
	said := h.Get(headerEvent)
	if said == "" {
		return nil, fmt.Errorf("header %s is missing: it says what happened", headerEvent)
	}
	evs, err := s.decode(said, body)
	if err != nil {
		// Whose delivery it was is still to be held against its secret.
		if len(evs) == 0 {
			evs = make([]event.Event, 1)
		}
		evs[0].DeliveryID = id
		return evs[:1], err
	}
	for i := range evs {
		evs[i].DeliveryID = id
		if len(evs) > 1 {
			evs[i].DeliveryID = fmt.Sprintf("%s.%d", id, i+1)
		}
	}
	return evs, nil
}

// kindFields are what tells the kind of a system hook's delivery. A push of it
// has no object_kind, and a merge request no event_name.
var kindFields = sieve.Fields{"object_kind": nil, "event_name": nil}

func (s *Source) decode(said string, body []byte) ([]event.Event, error) {
	kind := said
	if said == "System Hook" {
		var k struct {
			ObjectKind string `json:"object_kind"`
			EventName  string `json:"event_name"`
		}
		if err := s.kind.Decode(body, &k); err != nil {
			return nil, err
		}
		if kind = k.ObjectKind; kind == "" {
			kind = k.EventName
		}
	}
	switch kind {
	case "Push Hook", "Tag Push Hook", "push", "tag_push":
		return s.decodePush(body)
	case "Merge Request Hook", "merge_request":
		return s.decodeMergeRequest(body)
	case "Note Hook", "note":
		return s.decodeNote(body)
	case "repository_update":
		return nil, &webhook.Ignored{Reason: "repository_update: the push event of each ref names the commits; have the system hook send push and tag push events"}
	case "":
		return nil, fmt.Errorf("event_name: missing from the body of a system hook")
	}
	return nil, &webhook.Ignored{Reason: fmt.Sprintf("event %s: only pushes, tag pushes, merge requests and comments on those do anything", shown(kind))}
}

// deliveryID is what GitLab says again when it sends a delivery again.
func deliveryID(h http.Header) (string, error) {
	name := headerKey
	switch {
	case h.Get(headerSignature) != "" && h.Get(headerID) != "":
		name = headerID // the one that is signed
	case h.Get(headerKey) == "" && h.Get(headerUUID) != "":
		name = headerUUID
	}
	id := h.Get(name)
	return id, field.DeliveryID(name, id)
}

func checkMedia(h http.Header) error {
	const mediaJSON = "application/json"
	contentType := h.Get("Content-Type")
	if contentType == "" || contentType == mediaJSON {
		return nil
	}
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != mediaJSON {
		return &webhook.MediaTypeError{Got: safetext.Cut(safetext.Line(contentType), 80), Want: []string{mediaJSON}}
	}
	return nil
}

// shown is a word of the sender's for a message.
func shown(s string) string { return safetext.Cut(safetext.Line(s), 64) }

// project is what every payload says of a project.
type project struct {
	ID                int64  `json:"id"`
	PathWithNamespace string `json:"path_with_namespace"`
	GitHTTPURL        string `json:"git_http_url"`
	WebURL            string `json:"web_url"`
	DefaultBranch     string `json:"default_branch"`
}

var projectFields = sieve.Fields{"id": nil, "path_with_namespace": nil, "git_http_url": nil, "web_url": nil, "default_branch": nil}

func (p *project) repository() (event.Repository, error) {
	r := event.Repository{FullName: p.PathWithNamespace, CloneURL: p.GitHTTPURL, HTMLURL: p.WebURL, DefaultBranch: p.DefaultBranch}
	return r, field.Repository("project.path_with_namespace", p.PathWithNamespace, 2)
}
