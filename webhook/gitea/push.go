package gitea

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/sieve"
)

// createdLimit is how many commits of a new branch the host looks at: it counts
// and lists no others.
const createdLimit = 10

var (
	pushFields = sieve.Fields{
		"ref": nil, "before": nil, "after": nil, "commits": hub.CommitFields, "head_commit": hub.CommitFields,
		"repository": hub.RepositoryFields, "total_commits": nil, "pusher": hub.WhoFields, "sender": hub.WhoFields,
	}
	removalFields = sieve.Fields{"ref": nil, "ref_type": nil, "repository": hub.RepositoryFields, "sender": hub.WhoFields}
)

type repository struct {
	ID            int64  `json:"id"`
	FullName      string `json:"full_name"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
}

func (r *repository) event() (event.Repository, error) {
	return hub.Repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch)
}

type pushPayload struct {
	Ref        string       `json:"ref"`
	Before     string       `json:"before"`
	After      string       `json:"after"`
	Commits    []hub.Commit `json:"commits"`
	HeadCommit *hub.Commit  `json:"head_commit"`
	Repository repository   `json:"repository"`
	// TotalCommits is how many commits the push has, of which few are listed.
	TotalCommits hub.Count `json:"total_commits"`
	Pusher       hub.Who   `json:"pusher"`
	Sender       hub.Who   `json:"sender"`
}

func (s *Source) decodePush(h http.Header, body []byte, ev *event.Event) (err error) {
	var p pushPayload
	if err = hub.Parse(h, body, s.push, &p); err != nil {
		return err
	}
	ev.Kind, ev.Ref = event.Push, p.Ref
	ev.Sender = cmp.Or(p.Sender.Login, p.Pusher.Login, p.Sender.Username, p.Pusher.Username)
	ev.SenderNames = event.OtherNames(ev.Sender, p.Sender.FullName, p.Sender.Email, p.Pusher.Login, p.Pusher.FullName, p.Pusher.Email)
	if err = field.Ref("ref", p.Ref); err != nil {
		return err
	}
	if p.Before != "" {
		if ev.Before, err = field.Tip("before", p.Before); err != nil {
			return err
		}
	}
	if ev.After, err = p.tip(); err != nil {
		return err
	}
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	tag := strings.HasPrefix(p.Ref, hub.TagPrefix)
	switch {
	case !tag && !strings.HasPrefix(p.Ref, hub.BranchPrefix):
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case ev.Before == ev.After && ev.After != "":
		return &webhook.Ignored{Reason: "before and after are the same commit: a test of the webhook, which pushes nothing"}
	case ev.After == "":
		return p.deletion(ev)
	case tag:
		return hub.TaggedCommit(p.HeadCommit, ev)
	}
	return p.pushed(ev)
}

// tip is the commit that the ref points at after the push, "" for none. A relay
// may leave it out.
func (p *pushPayload) tip() (string, error) {
	switch {
	case p.After != "":
		return field.Tip("after", p.After)
	case p.HeadCommit != nil && p.HeadCommit.ID != "":
		return field.SHA("head_commit.id", p.HeadCommit.ID)
	case len(p.Commits) > 0:
		return field.SHA("commits[0].id", p.Commits[0].ID)
	}
	return "", errors.New("after: missing, and there is no commit in its place")
}

// deletion is a push that deleted a ref, which is a tag: of a branch an event of
// its own tells.
func (p *pushPayload) deletion(ev *event.Event) error {
	switch {
	case ev.Before == "" && len(p.Commits) > 0 && strings.Trim(p.Commits[0].ID, "0") == "":
		// The button for a test sends a commit of zeros.
		return &webhook.Ignored{Reason: "before and after are zeros: a test of the webhook, which pushes nothing"}
	case ev.Before == "":
		return fmt.Errorf("before, after: a deletion leads from a commit to zeros, not from %q to %q", p.Before, p.After)
	}
	ev.Kind, ev.Commits = event.Delete, []event.Commit{{SHA: ev.Before}}
	return nil
}

// pushed lists the commits of a push, oldest first, with the branch's new head as
// the last of them whatever the host left out.
func (p *pushPayload) pushed(ev *event.Event) (err error) {
	n, created := len(p.Commits), ev.Before == ""
	var listed bool
	if ev.Commits, listed, err = hub.Listed(p.Commits, ev.After, true); err != nil {
		return err
	}
	ev.Total = int(p.TotalCommits)
	switch {
	case p.Commits == nil, p.After == "", n > 0 && !listed, ev.Total > n:
		ev.Truncated = true
	case created:
		// A commit that two new branches have which came with the same push is
		// listed for neither, and counted for neither.
		ev.Truncated = n == 0 || max(ev.Total, n) >= createdLimit
	}
	if created && ev.Total >= createdLimit {
		ev.Total = 0 // so many or more
	}
	if listed {
		return nil
	}
	// Where nothing is listed of a branch that was there, nothing is new.
	head, err := hub.Unlisted(p.HeadCommit, ev.After, n > 0 || p.Commits == nil || created)
	ev.Commits = append(ev.Commits, head)
	return err
}

// removal is the payload of an event delete: the short name of the ref, and no
// commit.
type removal struct {
	Ref        string     `json:"ref"`
	RefType    string     `json:"ref_type"`
	Repository repository `json:"repository"`
	Sender     hub.Who    `json:"sender"`
}

// decodeRemoval reads the deletion of a branch, for which no push is sent.
func (s *Source) decodeRemoval(h http.Header, body []byte, ev *event.Event) error {
	var p removal
	err := hub.Parse(h, body, s.removal, &p)
	if err != nil {
		return err
	}
	if p.RefType != "branch" {
		return &webhook.Ignored{Reason: "delete: the deletion of anything but a branch is taken from the push event"}
	}
	if err = field.Branch("ref", p.Ref); err != nil {
		return err
	}
	ev.Repository, err = p.Repository.event()
	ev.Kind, ev.Ref, ev.Sender = event.Delete, hub.BranchPrefix+p.Ref, cmp.Or(p.Sender.Login, p.Sender.Username)
	return err
}
