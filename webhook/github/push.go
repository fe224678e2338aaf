package github

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/sieve"
)

// listLimit is how many commits GitHub lists at most.
const listLimit = 2048

var pushFields = sieve.Fields{
	"ref": nil, "before": nil, "after": nil, "deleted": nil, "forced": nil,
	"commits": hub.CommitFields, "head_commit": hub.CommitFields, "repository": hub.RepositoryFields,
	"total_commits": nil, "size": nil, "pusher": hub.WhoFields, "sender": hub.WhoFields,
}

// pushPayload is the library's payload, with what relays add to it or leave out.
type pushPayload struct {
	gh.PushPayload
	Commits    []hub.Commit `json:"commits"`
	HeadCommit *hub.Commit  `json:"head_commit"`
	// Size is how many commits the push has, by the name that GitHub has for it
	// in its API; TotalCommits is another name for the same.
	Size         hub.Count `json:"size"`
	TotalCommits hub.Count `json:"total_commits"`
	Pusher       hub.Who   `json:"pusher"`
	Sender       hub.Who   `json:"sender"`
}

func (s *Source) decodePush(h http.Header, body []byte, ev *event.Event) error {
	var p pushPayload
	if err := hub.Parse(h, body, s.push, &p); err != nil {
		return err
	}
	return pushEvent(&p, ev)
}

// pushEvent fills ev from the payload of a push.
func pushEvent(p *pushPayload, ev *event.Event) (err error) {
	ev.Kind, ev.Ref, ev.Forced = event.Push, p.Ref, p.Forced
	ev.Sender = cmp.Or(p.Sender.Login, p.Pusher.Name, p.Pusher.Login, p.Sender.Username, p.Pusher.Username)
	ev.SenderNames = event.OtherNames(ev.Sender, p.Pusher.Name, p.Pusher.Email)
	if err = field.Ref("ref", p.Ref); err != nil {
		return err
	}
	// A ref that was created, or a sender that does not tell.
	if p.Before != "" {
		if ev.Before, err = field.Tip("before", p.Before); err != nil {
			return err
		}
	}
	if ev.After, err = tip(p); err != nil {
		return err
	}
	r := &p.Repository
	if ev.Repository, err = hub.Repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	tag := strings.HasPrefix(p.Ref, hub.TagPrefix)
	switch {
	case !tag && !strings.HasPrefix(p.Ref, hub.BranchPrefix):
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case p.Deleted || ev.After == "":
		return deletion(p, ev)
	case tag:
		return hub.TaggedCommit(p.HeadCommit, ev)
	}
	return pushedCommits(p, ev)
}

// tip is the commit that the ref points at after the push, "" for none. Where
// the sender does not name it, it is the newest that is listed.
func tip(p *pushPayload) (string, error) {
	switch {
	case p.After != "" || p.Deleted:
		if p.After == "" {
			return "", nil
		}
		return field.Tip("after", p.After)
	case p.HeadCommit != nil && p.HeadCommit.ID != "":
		return field.SHA("head_commit.id", p.HeadCommit.ID)
	case len(p.Commits) > 0:
		newest := len(p.Commits) - 1
		if hub.FallingTimes(p.Commits) {
			newest = 0
		}
		return field.SHA(fmt.Sprintf("commits[%d].id", newest), p.Commits[newest].ID)
	}
	return "", errors.New("after: missing, and there is no commit in its place")
}

// deletion turns a push that deleted a ref into an event of that kind.
func deletion(p *pushPayload, ev *event.Event) error {
	if ev.Before == "" || ev.After != "" {
		return fmt.Errorf("before, after: a deletion leads from a commit to zeros, not from %q to %q", p.Before, p.After)
	}
	ev.Kind, ev.Forced = event.Delete, false
	ev.Commits = []event.Commit{{SHA: ev.Before}}
	return nil
}

// pushedCommits lists the commits of a push, oldest first, with the branch's
// new head as the last of them whatever the host left out.
func pushedCommits(p *pushPayload, ev *event.Event) (err error) {
	var listed bool
	if ev.Commits, listed, err = hub.Listed(p.Commits, ev.After, false); err != nil {
		return err
	}
	ev.Total = int(max(p.TotalCommits, p.Size))
	ev.Truncated = truncated(p, listed, ev.Total)
	if listed {
		return nil
	}
	// Where the host lists nothing, nothing is new, so far as it can tell.
	head, err := hub.Unlisted(p.HeadCommit, ev.After, len(p.Commits) > 0 || p.Commits == nil)
	ev.Commits = append(ev.Commits, head)
	return err
}

// truncated reports whether the push may have commits that the host did not
// list.
func truncated(p *pushPayload, headListed bool, total int) bool {
	n := len(p.Commits)
	switch {
	case p.Commits == nil, p.After == "": // the sender does not tell
		return true
	case n > 0 && !headListed, total > n:
		return true
	}
	return n >= listLimit && total == 0
}
