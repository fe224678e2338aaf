package gitlab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gl "github.com/go-playground/webhooks/v6/gitlab"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// listLimit is how many commits of a push GitLab lists at most: the newest.
const listLimit = 20

// sampleBefore and sampleAfter are what the button Test sends for a project
// without commits: commits of no repository (Gitlab::DataBuilder::Push).
const (
	sampleBefore = "95790bf891e76fee5e1747ab589903a6a1f80f22"
	sampleAfter  = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"
)

var pushFields = sieve.Fields{
	"ref": nil, "before": nil, "after": nil, "checkout_sha": nil, "user_name": nil, "user_username": nil,
	"project": projectFields, "total_commits_count": nil,
	"commits": {
		"id": nil, "message": nil, "url": nil, "author": {"name": nil, "email": nil},
		"added": nil, "removed": nil, "modified": nil,
	},
}

// pushPayload is the library's payload, whose project a decoder of ours reads.
// A system hook sends the same, without lists of paths.
type pushPayload struct {
	gl.PushEventPayload
	Project project `json:"project"`
	// Commits and TotalCommitsCount are nil where they are not said.
	Commits           []gl.Commit `json:"commits"`
	TotalCommitsCount *int64      `json:"total_commits_count"`
}

func (s *Source) decodePush(body []byte) ([]event.Event, error) {
	var p pushPayload
	if err := s.push.Decode(body, &p); err != nil {
		return nil, err
	}
	ev := event.Event{Kind: event.Push, Ref: p.Ref, Sender: cmp.Or(p.UserUsername, p.UserName)}
	ev.SenderNames = event.OtherNames(ev.Sender, p.UserName, email(p.UserEmail))
	err := p.fill(&ev)
	return []event.Event{ev}, err
}

// fill makes ev the event of a push of either kind of ref.
func (p *pushPayload) fill(ev *event.Event) (err error) {
	if err = field.Ref("ref", p.Ref); err != nil {
		return err
	}
	if ev.Before, err = field.Tip("before", p.Before); err != nil {
		return err
	}
	if ev.After, err = field.Tip("after", p.After); err != nil {
		return err
	}
	if ev.Repository, err = p.Project.repository(); err != nil {
		return err
	}
	for i := range p.Commits {
		if p.Commits[i].ID, err = field.SHA("id", p.Commits[i].ID); err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
	}
	tag := strings.HasPrefix(p.Ref, tagPrefix)
	switch {
	case !tag && !strings.HasPrefix(p.Ref, branchPrefix):
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case p.test(ev):
		return &webhook.Ignored{Reason: "a test of the webhook, which pushes nothing: the commit before is among those listed as new"}
	case ev.After == "":
		return deletion(ev)
	case tag:
		return p.taggedCommit(ev)
	}
	p.list(ev)
	return nil
}

// test reports whether the button Test sent the delivery. Of a push, the commit
// before is never a new one; a test takes it from the newest three.
func (p *pushPayload) test(ev *event.Event) bool {
	if ev.Before == "" {
		return false
	}
	return ev.Before == ev.After || ev.Before == sampleBefore && ev.After == sampleAfter || p.index(ev.Before) >= 0
}

func (p *pushPayload) index(sha string) int {
	return slices.IndexFunc(p.Commits, func(c gl.Commit) bool { return c.ID == sha })
}

func deletion(ev *event.Event) error {
	if ev.Before == "" {
		return fmt.Errorf("before, after: both are zeros, where one should be a commit")
	}
	ev.Kind = event.Delete
	ev.Commits = []event.Commit{{SHA: ev.Before}}
	return nil
}

// taggedCommit makes the commit that a tag points at the tip: of an annotated
// tag, "after" is the tag itself and checkout_sha the commit.
func (p *pushPayload) taggedCommit(ev *event.Event) (err error) {
	if p.CheckoutSHA == "" && len(p.Commits) == 0 {
		return &webhook.Ignored{Reason: "the tag was gone again when GitLab made the delivery, which does not say at which commit it was"}
	}
	sha := p.CheckoutSHA
	if sha == "" {
		sha = p.Commits[len(p.Commits)-1].ID
	}
	if sha, err = field.SHA("checkout_sha", sha); err != nil {
		return err
	}
	head := event.Commit{SHA: sha, Distinct: true}
	if i := p.index(sha); i >= 0 {
		head = commit(&p.Commits[i])
	}
	ev.After, ev.Commits = sha, []event.Commit{head}
	return nil
}

// list fills in the commits of a push to a branch, oldest first as GitLab has
// them, with the branch's new head as the last whatever was left out.
//
// Of a new branch they are those that the default branch has not, so that some
// may have been pushed before, on a branch that is not merged. GitLab does not
// tell those apart: whatever it lists counts as new.
func (p *pushPayload) list(ev *event.Event) {
	at := p.index(ev.After)
	if at == 0 {
		slices.Reverse(p.Commits)
		at = len(p.Commits) - 1
	}
	for i := range p.Commits {
		if i != at {
			ev.Commits = append(ev.Commits, commit(&p.Commits[i]))
		}
	}
	switch {
	case at >= 0:
		ev.Commits = append(ev.Commits, commit(&p.Commits[at]))
	default:
		// Where nothing is listed, nothing is new, so far as GitLab can tell.
		ev.Commits = append(ev.Commits, event.Commit{SHA: ev.After, Distinct: p.Commits == nil || len(p.Commits) > 0})
	}
	listed := len(p.Commits)
	if p.TotalCommitsCount == nil || *p.TotalCommitsCount < 0 {
		ev.Truncated = p.Commits == nil || listed >= listLimit || listed > 0 && at < 0
		return
	}
	const most = 1 << 31
	ev.Total = int(min(*p.TotalCommitsCount, most))
	ev.Truncated = p.Commits == nil || ev.Total > listed || listed > 0 && at < 0
}

func commit(c *gl.Commit) event.Commit {
	return event.Commit{
		SHA: c.ID, Message: c.Message, MessageKnown: true, URL: c.URL, Distinct: true,
		Author: c.Author.Name, AuthorEmail: email(c.Author.Email),
		Paths:      slices.Concat(c.Added, c.Removed, c.Modified),
		PathsKnown: c.Added != nil || c.Removed != nil || c.Modified != nil,
	}
}

// email is an address, or empty where GitLab keeps it to itself.
func email(s string) string {
	if s == "[REDACTED]" {
		return ""
	}
	return s
}
