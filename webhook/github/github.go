// Package github is the webhook source for GitHub, GitHub Enterprise Server and
// relays that send the same payloads.
//
// What becomes of each event:
//
//	push            a push, with every commit that the host lists; of a tag,
//	                with the commit that the tag points at
//	push, deleted   a deletion; its "before" is the ref's last commit
//	pull_request    opened, synchronize, reopened, ready_for_review, closed,
//	                labeled, and edited where the base changed
//	merge_group     a group of a merge queue that is to be checked, or is gone
//	issue_comment   a command, in a new comment of a person on a pull request
//	check_run, check_suite
//	                a command, where somebody has pressed a button
//	create, delete  ignored: a push tells of the same ref
//	ping, others    ignored
//
// Relays list commits in another order than GitHub, list few of them, or leave
// members out; push.go says how each is read. What they left out of a push makes
// the event Truncated. Gitea and its kin have a source of their own.
//
// Where a payload has members twice, spells them differently or is nested
// deeply, [Source.Decode] refuses it rather than choosing. The facts are from
// GitHub's "Webhook events and payloads" and "Validating webhook deliveries".
package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery.
const (
	headerSignature = "X-Hub-Signature-256"
	headerSHA1      = "X-Hub-Signature"
	headerEvent     = "X-GitHub-Event"
	headerDelivery  = "X-GitHub-Delivery"
)

// Config is what an operator sets under a source of type github.
type Config struct {
	// Secrets are the webhook secrets that are accepted: at least one, none
	// of them empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes the deliveries.
type Source struct {
	hmac                                          *webhook.HMAC
	push, pullRequest, mergeGroup, comment, check *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(headerSignature, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	s := &Source{hmac: hmac}
	if s.push, err = sieve.New(pushFields); err != nil {
		return nil, err
	}
	if s.pullRequest, err = sieve.New(pullRequestFields); err != nil {
		return nil, err
	}
	if s.mergeGroup, err = sieve.New(mergeGroupFields); err != nil {
		return nil, err
	}
	if s.comment, err = sieve.New(commentFields); err != nil {
		return nil, err
	}
	if s.check, err = sieve.New(checkFields); err != nil {
		return nil, err
	}
	return s, nil
}

// Precheck tells from the header alone that a delivery cannot be genuine.
func (s *Source) Precheck(h http.Header) error { return explainSHA1(h, s.hmac.Precheck(h)) }

// Verify checks the signature over the raw body.
func (s *Source) Verify(h http.Header, body []byte) error {
	return explainSHA1(h, s.hmac.Verify(h, body))
}

// explainSHA1 says what to do to a sender that has a secret but signs in the
// old way, where the usual advice leads nowhere.
func explainSHA1(h http.Header, err error) error {
	if !errors.Is(err, webhook.ErrSignatureMissing) || !strings.HasPrefix(h.Get(headerSHA1), "sha1=") || len(h.Get(headerSHA1)) == len("sha1=") {
		return err
	}
	return fmt.Errorf("%w: header X-Hub-Signature (SHA-1) is there and not accepted, since SHA-1 is too weak; have the sender send X-Hub-Signature-256 too, as GitHub and GitHub Enterprise Server 3.0 and later do, and see that no proxy drops that header", webhook.ErrSignatureMissing)
}

// Decode turns a delivery into an event.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	ev := event.Event{DeliveryID: h.Get(headerDelivery)}
	if err := field.DeliveryID(headerDelivery, ev.DeliveryID); err != nil {
		return event.Event{}, err
	}
	var err error
	switch kind := gh.Event(h.Get(headerEvent)); kind {
	case "":
		err = errors.New("header X-GitHub-Event is missing: it says what happened")
	case gh.PushEvent:
		err = s.decodePush(h, body, &ev)
	case gh.PullRequestEvent:
		err = s.decodePullRequest(h, body, &ev)
	case "merge_group":
		err = s.decodeMergeGroup(h, body, &ev)
	case gh.IssueCommentEvent:
		err = s.decodeComment(h, body, &ev)
	case gh.CheckRunEvent, gh.CheckSuiteEvent:
		err = s.decodeCheck(h, body, kind == gh.CheckSuiteEvent, &ev)
	case gh.PingEvent:
		err = &webhook.Ignored{Reason: "ping: the webhook is set up"}
	case gh.CreateEvent:
		err = &webhook.Ignored{Reason: "create: the push event of the same ref names the commits"}
	case gh.DeleteEvent:
		err = &webhook.Ignored{Reason: "delete: a deletion is taken from the push event, which names the last commit"}
	default:
		err = &webhook.Ignored{Reason: fmt.Sprintf("event %s: only push, pull_request and merge_group start executions", safetext.Cut(safetext.Line(string(kind)), 64))}
	}
	return ev, err
}
