// Package github is the webhook source for GitHub, GitHub Enterprise Server and
// hosts that send the same payloads: Gitea, Forgejo, Gogs and relays.
//
// What becomes of each event:
//
//	push            a push, with every commit that the host lists; of a tag,
//	                with the commit that the tag points at
//	push, deleted   a deletion; its "before" is the ref's last commit
//	pull_request    opened, synchronize, reopened, ready_for_review, closed,
//	                labeled, and edited where the base changed
//	delete          from Gitea and its kin the deletion of a branch, which
//	                names no commit; ignored from GitHub, which sends a push
//	                for the same deletion
//	create          ignored: the push that follows it names the commits
//	ping, others    ignored
//
// Other hosts than GitHub list commits newest first, list few of them, leave
// members out and have names of their own for actions and headers; push.go,
// commits.go and pullrequest.go say how each is read. What they left out of a
// push makes the event Truncated.
//
// Where a payload has members twice, spells them differently or is nested
// deeply, [Source.Decode] refuses it rather than choosing. The facts are from
// GitHub's "Webhook events and payloads" and "Validating webhook deliveries",
// and from deliveries that Gitea 1.26 sent.
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

// The headers of a delivery, as [http.Header] spells them.
const (
	headerSignature = "X-Hub-Signature-256"
	headerSHA1      = "X-Hub-Signature"
)

// What GitHub says in X-GitHub-Event and X-GitHub-Delivery, other hosts say
// there too or, some of them, in headers of their own only.
var (
	bareSignatures  = []string{"X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature"}
	eventHeaders    = []string{"X-Github-Event", "X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event"}
	deliveryHeaders = []string{"X-Github-Delivery", "X-Gitea-Delivery", "X-Forgejo-Delivery", "X-Gogs-Delivery"}
)

// first is the value of the first of the headers that is there.
func first(h http.Header, names []string) string {
	for _, name := range names {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

// fromGitea reports whether a header says that Gitea or one of its kin sent the
// delivery. They all set GitHub's headers as well.
func fromGitea(h http.Header) bool { return first(h, eventHeaders[1:]) != "" }

// Config is what an operator sets under a source of type github.
type Config struct {
	// Secrets are the webhook secrets that are accepted: at least one, none
	// of them empty. There are several while one is rotated out.
	Secrets []string
}

// Source verifies and decodes the deliveries.
type Source struct {
	hmac                       *webhook.HMAC
	push, pullRequest, removal *sieve.Sieve
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
)

// New returns a source that accepts deliveries signed with one of the secrets.
func New(cfg Config) (*Source, error) {
	hmac, err := webhook.NewHMAC(headerSignature, cfg.Secrets, bareSignatures...)
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
	if s.removal, err = sieve.New(removalFields); err != nil {
		return nil, err
	}
	return s, nil
}

// Decode turns a delivery into an event.
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	ev := event.Event{DeliveryID: first(h, deliveryHeaders)}
	if err := field.DeliveryID("X-GitHub-Delivery", ev.DeliveryID); err != nil {
		return event.Event{}, err
	}
	var err error
	switch kind := gh.Event(first(h, eventHeaders)); kind {
	case "":
		err = errors.New("header X-GitHub-Event is missing: it says what happened")
	case gh.PushEvent:
		err = s.decodePush(h, body, &ev)
	case gh.PullRequestEvent, "pull_request_sync", "pull_request_label":
		// The latter two are Gitea's names in X-Gitea-Event-Type, and what
		// its hooks are subscribed to.
		err = s.decodePullRequest(h, body, &ev)
	case gh.PingEvent:
		err = &webhook.Ignored{Reason: "ping: the webhook is set up"}
	case gh.CreateEvent:
		err = &webhook.Ignored{Reason: "create: the push event of the same ref names the commits"}
	case gh.DeleteEvent:
		if fromGitea(h) {
			err = s.decodeRemoval(h, body, &ev)
			break
		}
		err = &webhook.Ignored{Reason: "delete: a deletion is taken from the push event, which names the last commit"}
	default:
		err = &webhook.Ignored{Reason: fmt.Sprintf("event %s: only push and pull_request start executions", safetext.Cut(safetext.Line(string(kind)), 64))}
	}
	return ev, err
}

// parse reads what is kept of the delivery's payload into p.
func parse(h http.Header, body []byte, kept *sieve.Sieve, p any) error {
	text, err := payload(h, body)
	if err != nil {
		return err
	}
	return kept.Decode(text, p)
}

// repository builds what every payload says of a repository. A relay may leave
// out where it is cloned from: GitHub, Gitea and their kin all serve that
// beside the page.
func repository(fullName, cloneURL, htmlURL, defaultBranch string) (event.Repository, error) {
	if cloneURL == "" && htmlURL != "" {
		cloneURL = strings.TrimSuffix(htmlURL, "/") + ".git"
	}
	r := event.Repository{FullName: fullName, CloneURL: cloneURL, HTMLURL: htmlURL, DefaultBranch: defaultBranch}
	return r, field.Repository("repository.full_name", fullName, 2)
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)
