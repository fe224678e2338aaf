// Package bitbucketserver is the webhook source for Bitbucket Data Center, which
// was called Bitbucket Server.
//
// What becomes of each event:
//
//	repo:refs_changed     a push or a deletion for each ref that it tells of
//	pr:opened             a pull request, action opened
//	pr:from_ref_updated   action synchronize
//	pr:modified           action edited where its base changed, and
//	                      ready_for_review otherwise, unless it is a draft: which
//	                      of title, description and draft changed is not said
//	pr:merged             action closed, merged
//	pr:declined           action closed; when it is opened again, nothing is told
//	pr:deleted            action closed, though its state is still OPEN
//	pr:comment:added      a command, where the comment holds one
//	diagnostics:ping      ignored; it is the one that carries no signature
//	others                ignored, a mirror's too: its pushes were told of before
//
// A push names the ref's commit before and after. Later versions list up to five
// commits besides, newest first, without a word on whether there are more. There are
// no paths, and no word on whether the push was forced. The facts are from
// Atlassian's "Event payload" and "Manage webhooks" of Bitbucket Data Center.
package bitbucketserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	bbs "github.com/go-playground/webhooks/v6/bitbucket-server"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/payload"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery, as [http.Header] spells them.
const (
	headerSignature = "X-Hub-Signature"
	headerEvent     = "X-Event-Key"
	headerDelivery  = "X-Request-Id"
)

// Config is what an operator sets under a source with provider bitbucket-server.
type Config struct {
	// Secrets are the webhook secrets that are accepted: at least one, none
	// of them empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes the deliveries.
type Source struct {
	hmac              *webhook.HMAC
	push, pullRequest *sieve.Sieve
	comment           *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
	_ webhook.Several    = (*Source)(nil)
)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(headerSignature, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("bitbucket-server: %w", err)
	}
	s := &Source{hmac: hmac}
	if s.push, err = sieve.New(pushFields); err != nil {
		return nil, err
	}
	if s.pullRequest, err = sieve.New(pullRequestFields); err != nil {
		return nil, err
	}
	if s.comment, err = sieve.New(commentFields); err != nil {
		return nil, err
	}
	return s, nil
}

// isPing reports whether a delivery is the button "Test connection", which signs
// nothing, even where a secret is set.
func isPing(h http.Header) bool {
	return bbs.Event(h.Get(headerEvent)) == bbs.DiagnosticsPingEvent && len(h.Values(headerSignature)) == 0
}

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error {
	if isPing(h) {
		return nil
	}
	return s.hmac.Precheck(h)
}

// pingLimit is more than an unsigned ping has bytes.
const pingLimit = 256

// Verify checks the signature over the raw body. A ping without one passes if it
// is no more than that: it is ignored whatever it says.
func (s *Source) Verify(h http.Header, body []byte) error {
	if !isPing(h) {
		return s.hmac.Verify(h, body)
	}
	var ping struct {
		Test bool `json:"test"`
	}
	if len(body) > pingLimit || json.Unmarshal(body, &ping) != nil || !ping.Test {
		return fmt.Errorf("%w: only diagnostics:ping with the body {\"test\": true} goes without header X-Hub-Signature", webhook.ErrSignatureMissing)
	}
	return nil
}

// Decode implements [webhook.Source] for a delivery that tells of one ref.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several]. Of several refs, each has the delivery's
// ID with its place in the list behind a dot, beginning with 1.
func (s *Source) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	id := h.Get(headerDelivery)
	ev := event.Event{DeliveryID: id}
	key := bbs.Event(h.Get(headerEvent))
	if key == bbs.DiagnosticsPingEvent {
		return []event.Event{ev}, &webhook.Ignored{Reason: "diagnostics:ping: the address is right; whether the secret is, the first push shows, since a ping is not signed"}
	}
	if err := field.DeliveryID("X-Request-Id", id); err != nil {
		return nil, err
	}
	switch key {
	case "":
		return nil, errors.New("header X-Event-Key is missing: it says what happened")
	case bbs.RepositoryReferenceChangedEvent:
		var p pushPayload
		if err := payload.Read(h, body, s.push, &p); err != nil {
			return nil, err
		}
		return p.events(id)
	case bbs.PullRequestOpenedEvent, bbs.PullRequestFromReferenceUpdatedEvent, bbs.PullRequestModifiedEvent,
		bbs.PullRequestMergedEvent, bbs.PullRequestDeclinedEvent, bbs.PullRequestDeletedEvent:
		var p pullRequestPayload
		if err := payload.Read(h, body, s.pullRequest, &p); err != nil {
			return nil, err
		}
		err := p.event(key, &ev)
		return []event.Event{ev}, err
	case bbs.PullRequestCommentAddedEvent:
		var p commentPayload
		if err := payload.Read(h, body, s.comment, &p); err != nil {
			return nil, err
		}
		err := p.event(&ev)
		return []event.Event{ev}, err
	case bbs.RepositoryModifiedEvent:
		return []event.Event{ev}, &webhook.Ignored{Reason: "repo:modified: pushes that follow carry the repository's new name; if routes or secrets name it, change it there"}
	default:
		return []event.Event{ev}, &webhook.Ignored{Reason: fmt.Sprintf("event %s: only pushes and changes of a pull request's commits start executions", safetext.Cut(safetext.Line(string(key)), 64))}
	}
}
