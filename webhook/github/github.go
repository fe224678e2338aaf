// Package github is the webhook source for GitHub, GitHub Enterprise Server and
// hosts that send the same payloads.
//
// What becomes of each event:
//
//	push            a push, with every commit that GitHub lists
//	push, deleted   a branch deletion; its "before" is the branch's last commit
//	pull_request    opened, synchronize, reopened, ready_for_review, closed
//	delete          ignored: GitHub also sends a push for the same deletion,
//	                and only that names the last commit
//	create          ignored: the push that follows it names the commits
//	ping, others    ignored
//
// Tags start nothing. Where a payload has members twice, spells them
// differently or is nested deeply, [Source.Decode] refuses it rather than
// choosing. The facts are from GitHub's "Webhook events and payloads" and
// "Validating webhook deliveries".
package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// The headers of a delivery, as [http.Header] spells them.
const (
	headerSignature = "X-Hub-Signature-256"
	headerEvent     = "X-Github-Event"
	headerDelivery  = "X-Github-Delivery"
)

// Config is what an operator sets under a source of type github.
type Config struct {
	// Secrets are the webhook secrets that are accepted: at least one, none
	// of them empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes GitHub's deliveries.
type Source struct {
	hmac              *webhook.HMAC
	parser            *gh.Webhook
	push, pullRequest *sieve.Sieve
}

var _ webhook.Source = (*Source)(nil)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(headerSignature, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	// The library takes one secret only, so it is given none and sees only
	// what Verify has let through.
	parser, err := gh.New()
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	s := &Source{hmac: hmac, parser: parser}
	if s.push, err = sieve.New(pushFields); err != nil {
		return nil, err
	}
	if s.pullRequest, err = sieve.New(pullRequestFields); err != nil {
		return nil, err
	}
	return s, nil
}

// Verify checks X-Hub-Signature-256 over the raw body.
func (s *Source) Verify(h http.Header, body []byte) error { return s.hmac.Verify(h, body) }

// Decode turns a delivery into an event.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	ev := event.Event{DeliveryID: h.Get(headerDelivery)}
	if err := field.DeliveryID("X-GitHub-Delivery", ev.DeliveryID); err != nil {
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
	case gh.PingEvent:
		err = &webhook.Ignored{Reason: "ping: the webhook is set up"}
	case gh.CreateEvent:
		err = &webhook.Ignored{Reason: "create: the push event of the same ref names the commits"}
	case gh.DeleteEvent:
		err = &webhook.Ignored{Reason: "delete: a deletion is taken from the push event, which names the last commit"}
	default:
		err = &webhook.Ignored{Reason: fmt.Sprintf("event %s: only push and pull_request start executions", safetext.Cut(safetext.Line(string(kind)), 64))}
	}
	return ev, err
}

// parse returns the library's payload of the delivery.
func (s *Source) parse(h http.Header, body []byte, kept *sieve.Sieve, kind gh.Event) (any, error) {
	text, err := payload(h, body)
	if err != nil {
		return nil, err
	}
	sifted, err := kept.Sift(make([]byte, 0, len(text)*3/4), text)
	if err != nil {
		return nil, err
	}
	p, err := s.parser.Parse(&http.Request{
		Method: http.MethodPost, Header: h, Body: io.NopCloser(bytes.NewReader(sifted)),
	}, kind)
	if err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("%s: a JSON %s, where %s should be", wrong.Field, wrong.Value, wrong.Type.Kind())
		}
		return nil, fmt.Errorf("payload: %w", err)
	}
	return p, nil
}

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

// payload is the JSON text of a delivery, in either form that a webhook can be
// set up to send. A body without a Content-Type is taken as JSON.
func payload(h http.Header, body []byte) ([]byte, error) {
	contentType := h.Get("Content-Type")
	if contentType == "" || contentType == mediaJSON {
		return body, nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && media == mediaJSON {
		return body, nil
	}
	if err != nil || media != mediaForm {
		return nil, &webhook.MediaTypeError{Got: safetext.Cut(safetext.Line(contentType), 80), Want: []string{mediaJSON, mediaForm}}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("form body: %w", err)
	}
	values := form["payload"]
	if len(values) != 1 {
		return nil, fmt.Errorf("form body: %d fields named payload, where one should be", len(values))
	}
	return []byte(values[0]), nil
}

// repository builds what both payloads say of a repository.
func repository(fullName, cloneURL, htmlURL, defaultBranch string) (event.Repository, error) {
	r := event.Repository{FullName: fullName, CloneURL: cloneURL, HTMLURL: htmlURL, DefaultBranch: defaultBranch}
	return r, field.Repository("repository.full_name", fullName, 2)
}

// fewPaths is up to where looking through a list beats a map.
const fewPaths = 16

// paths joins lists of paths, each path once, in the order they came.
func paths(lists ...[]string) []string {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	if n == 0 {
		return nil
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

const branchPrefix = "refs/heads/"

// branchOnly ignores refs that no route can name.
func branchOnly(ref string) error {
	switch {
	case strings.HasPrefix(ref, branchPrefix):
		return nil
	case strings.HasPrefix(ref, "refs/tags/"):
		return &webhook.Ignored{Reason: "the ref is a tag: only branches start executions"}
	}
	return &webhook.Ignored{Reason: "the ref is not a branch: only branches start executions"}
}
