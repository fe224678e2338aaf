// Package bitbucket is the webhook source for Bitbucket Cloud.
//
// What becomes of each event:
//
//	repo:push                     a push or a deletion for each ref that it tells of
//	pullrequest:created           a pull request, action opened
//	pullrequest:updated           action synchronize: for new commits, another title,
//	                              another base and a draft made ready alike, of which
//	                              the payload does not say which it was
//	pullrequest:fulfilled         action closed, merged
//	pullrequest:rejected          action closed; there is no reopening
//	pullrequest:comment_created   a command, where the comment holds one
//	others                        ignored
//
// Of a push five commits are told at most, newest first, and truncated where there
// are more; no paths. Of a pull request's head only the first 12 digits are told,
// which becomes the event's Head. The facts are from Atlassian's "Event payloads",
// "Manage webhooks" and "Troubleshoot webhooks".
package bitbucket

import (
	"errors"
	"fmt"
	"net/http"

	bb "github.com/go-playground/webhooks/v6/bitbucket"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/payload"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery, as [http.Header] spells them. X-Request-Uuid stays
// the same when a delivery is sent again and X-Attempt-Number counts; X-Hook-Uuid
// is the webhook's own.
const (
	headerSignature = "X-Hub-Signature"
	headerEvent     = "X-Event-Key"
	headerDelivery  = "X-Request-Uuid"
)

// Config is what an operator sets under a source with provider bitbucket.
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
		return nil, fmt.Errorf("bitbucket: %w", err)
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

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return s.hmac.Precheck(h) }

// Verify checks the signature over the raw body.
func (s *Source) Verify(h http.Header, body []byte) error { return s.hmac.Verify(h, body) }

// Decode implements [webhook.Source] for a delivery that tells of one ref.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several]. Of several refs, each has the delivery's
// ID with its place in the list behind a dot, beginning with 1.
func (s *Source) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	id := h.Get(headerDelivery)
	if err := field.DeliveryID("X-Request-UUID", id); err != nil {
		return nil, err
	}
	ev := event.Event{DeliveryID: id}
	switch key := bb.Event(h.Get(headerEvent)); key {
	case "":
		return nil, errors.New("header X-Event-Key is missing: it says what happened")
	case bb.RepoPushEvent:
		var p pushPayload
		if err := payload.Read(h, body, s.push, &p); err != nil {
			return nil, err
		}
		return p.events(id)
	case bb.PullRequestCreatedEvent, bb.PullRequestUpdatedEvent, bb.PullRequestMergedEvent, bb.PullRequestDeclinedEvent:
		var p pullRequestPayload
		if err := payload.Read(h, body, s.pullRequest, &p); err != nil {
			return nil, err
		}
		err := p.event(key, &ev)
		return []event.Event{ev}, err
	case bb.PullRequestCommentCreatedEvent:
		var p commentPayload
		if err := payload.Read(h, body, s.comment, &p); err != nil {
			return nil, err
		}
		err := p.event(&ev)
		return []event.Event{ev}, err
	case bb.RepoUpdatedEvent:
		return []event.Event{ev}, &webhook.Ignored{Reason: "repo:updated: pushes that follow carry the repository's new name; if routes, clone_base or secrets name it, change it there"}
	default:
		return []event.Event{ev}, &webhook.Ignored{Reason: fmt.Sprintf("event %s: only pushes and changes of a pull request's commits start executions", safetext.Cut(safetext.Line(string(key)), 64))}
	}
}
