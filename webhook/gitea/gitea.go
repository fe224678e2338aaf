// Package gitea is the webhook source for Gitea, Forgejo and Gogs.
//
// What becomes of each event:
//
//	push          a push, with the commits that the host lists; of a tag, with
//	              the commit that the tag points at; of a deleted tag a
//	              deletion; a test of the webhook is ignored
//	delete        of a branch a deletion, which names no commit; ignored of a
//	              tag, for which a push comes too
//	create        ignored: the push that follows it names the commits
//	pull_request  opened, synchronize, reopened, closed, edited where the base
//	              changed, ready_for_review where the title no longer makes it
//	              a draft, labeled and unlabeled where the host says which label
//	issue_comment a command, in a new comment on a pull request
//	others        ignored
//
// The hosts imitate GitHub's deliveries and differ in much: they list commits
// newest first and few of them, count those of a new branch wrongly, sign the
// JSON of a form and have their own names for actions. push.go and
// pullrequest.go say how each is read. What they left out makes the event
// Truncated.
//
// A branch that is renamed sends a deletion and a create event and no push. The
// create event cannot be told from the one before a push, so the new name is
// heard of with its next push, or by an audit.
//
// A delivery that is sent again by hand has a new ID: what it asks for is
// recognised by the names of its executions.
//
// The facts are from deliveries that Gitea 1.26 sent.
package gitea

import (
	"errors"
	"fmt"
	"net/http"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery, as [http.Header] spells them: each host sets its own,
// GitHub's and those of the projects that it came from.
const (
	headerSignature = "X-Hub-Signature-256"
	githubEvent     = "X-Github-Event"
	githubDelivery  = "X-Github-Delivery"
)

var (
	bareSignatures  = []string{"X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature"}
	ownEvents       = []string{"X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event"}
	eventHeaders    = append([]string{githubEvent}, ownEvents...)
	deliveryHeaders = []string{githubDelivery, "X-Gitea-Delivery", "X-Forgejo-Delivery", "X-Gogs-Delivery"}
)

// Config is what an operator sets under a source of type gitea.
type Config struct {
	// Secrets are the webhook secrets that are accepted: at least one, none
	// of them empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes the deliveries.
type Source struct {
	hmac                                *webhook.HMAC
	push, pullRequest, removal, comment *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(headerSignature, cfg.Secrets, bareSignatures...)
	if err != nil {
		return nil, fmt.Errorf("gitea: %w", err)
	}
	s := &Source{hmac: hmac}
	if s.push, err = sieve.New(pushFields); err != nil {
		return nil, err
	}
	if s.pullRequest, err = sieve.New(pullRequestFields); err != nil {
		return nil, err
	}
	if s.removal, err = sieve.New(removalFields); err != nil {
		return nil, err
	}
	if s.comment, err = sieve.New(commentFields); err != nil {
		return nil, err
	}
	return s, nil
}

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return s.hmac.Precheck(h) }

// Verify checks the signature over the raw body or, of a form, over the JSON in
// its field payload, which is what the hosts sign in both of a webhook's content
// types. Either way it is over just the text that Decode reads.
func (s *Source) Verify(h http.Header, body []byte) error {
	err := s.hmac.Verify(h, body)
	if !errors.Is(err, webhook.ErrSignatureMismatch) || !hub.IsForm(h) {
		return err
	}
	write, formErr := hub.PayloadTo(body)
	if formErr != nil || s.hmac.VerifyText(h, write) != nil {
		return err
	}
	return nil
}

// Decode turns a delivery into an event.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	ev := event.Event{DeliveryID: hub.First(h, deliveryHeaders)}
	if err := field.DeliveryID("X-Gitea-Delivery", ev.DeliveryID); err != nil {
		return event.Event{}, err
	}
	var err error
	switch kind := hub.First(h, eventHeaders); kind {
	case "":
		err = errors.New("header X-Gitea-Event is missing: it says what happened")
	case "push":
		err = s.decodePush(h, body, &ev)
	case "pull_request", "pull_request_sync", "pull_request_label":
		// The latter two are what hooks are subscribed to; X-Gitea-Event-Type
		// has them, and in some versions X-Gitea-Event.
		err = s.decodePullRequest(h, body, &ev)
	case "issue_comment", "pull_request_comment": // by the same rule
		err = s.decodeComment(h, body, &ev)
	case "delete":
		err = s.decodeRemoval(h, body, &ev)
	case "create":
		err = &webhook.Ignored{Reason: "create: the push event of the same ref names the commits"}
	default:
		err = &webhook.Ignored{Reason: fmt.Sprintf("event %s: only push, delete and pull_request start executions", safetext.Cut(safetext.Line(kind), 64))}
	}
	return ev, err
}

// Beside returns a source that takes the deliveries of Gitea and its kin as a
// [Source] does, and leaves all others to other: for a source that was
// configured before these hosts had a provider of their own.
func Beside(other webhook.Source, cfg Config) (webhook.Source, error) {
	own, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &beside{own, other}, nil
}

type beside struct {
	own   *Source
	other webhook.Source
}

var _ webhook.Prechecker = (*beside)(nil)

// of goes by the hosts' own headers: GitHub's they all set as well.
func (b *beside) of(h http.Header) webhook.Source {
	if hub.First(h, ownEvents) != "" {
		return b.own
	}
	return b.other
}

// Precheck implements [webhook.Prechecker].
func (b *beside) Precheck(h http.Header) error {
	if p, ok := b.of(h).(webhook.Prechecker); ok {
		return p.Precheck(h)
	}
	return nil
}

// Verify implements [webhook.Source].
func (b *beside) Verify(h http.Header, body []byte) error { return b.of(h).Verify(h, body) }

// Decode implements [webhook.Source].
func (b *beside) Decode(h http.Header, body []byte) (event.Event, error) {
	return b.of(h).Decode(h, body)
}
