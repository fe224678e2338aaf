package codecommit

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
)

// detail is what an EventBridge event says of a ref or a pull request.
type detail struct {
	Event           string   `json:"event"`
	RepositoryName  string   `json:"repositoryName"`
	RepositoryNames []string `json:"repositoryNames"`
	CallerUserARN   string   `json:"callerUserArn"`

	ReferenceType     string `json:"referenceType"`
	ReferenceName     string `json:"referenceName"`
	ReferenceFullName string `json:"referenceFullName"`
	CommitID          string `json:"commitId"`
	OldCommitID       string `json:"oldCommitId"`

	PullRequestID        string `json:"pullRequestId"`
	PullRequestStatus    string `json:"pullRequestStatus"`
	IsMerged             string `json:"isMerged"`
	Author               string `json:"author"`
	Title                string `json:"title"`
	SourceReference      string `json:"sourceReference"`
	SourceCommit         string `json:"sourceCommit"`
	DestinationReference string `json:"destinationReference"`
	DestinationCommit    string `json:"destinationCommit"`
}

// The detail-types that start something.
const (
	repositoryChange  = "CodeCommit Repository State Change"
	pullRequestChange = "CodeCommit Pull Request State Change"
)

// stateChange reads an EventBridge event.
func (d *Decoder) stateChange(m *message) (event.Event, error) {
	ev := event.Event{DeliveryID: m.ID}
	if err := field.DeliveryID("id", m.ID); err != nil {
		return event.Event{}, fmt.Errorf("id: %q does not identify the event: %w", shown(m.ID), err)
	}
	if m.Source != "aws.codecommit" {
		return ev, &webhook.Ignored{Reason: fmt.Sprintf("event %s from %s: only those from aws.codecommit start executions", shown(m.DetailType), shown(m.Source))}
	}
	c := &m.Detail
	ev.Sender = person(c.CallerUserARN)
	var err error
	switch m.DetailType {
	case repositoryChange:
		if ev.Repository, err = d.place(m.Region, m.Account, c.RepositoryName); err == nil {
			err = d.reference(c, &ev)
		}
	case pullRequestChange:
		if len(c.RepositoryNames) != 1 {
			return ev, fmt.Errorf("detail.repositoryNames: %d names, expected one", len(c.RepositoryNames))
		}
		if ev.Repository, err = d.place(m.Region, m.Account, c.RepositoryNames[0]); err == nil {
			err = d.pullRequest(c, &ev)
		}
	default:
		err = &webhook.Ignored{Reason: fmt.Sprintf("event %s: only changes of refs and pull requests start executions", shown(m.DetailType))}
	}
	return ev, err
}

// reference reads what became of a ref.
func (d *Decoder) reference(c *detail, ev *event.Event) (err error) {
	switch c.Event {
	case "referenceCreated", "referenceUpdated", "referenceDeleted":
	default:
		return &webhook.Ignored{Reason: fmt.Sprintf("repository event %s: no ref has moved", shown(c.Event))}
	}
	ref := c.ReferenceFullName
	if prefix := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}[c.ReferenceType]; ref == "" && prefix != "" {
		ref = prefix + c.ReferenceName
	}
	var before, after string
	if c.OldCommitID != "" {
		if before, err = field.Tip("detail.oldCommitId", c.OldCommitID); err != nil {
			return err
		}
	}
	if c.Event != "referenceDeleted" {
		if after, err = field.SHA("detail.commitId", c.CommitID); err != nil {
			return err
		}
	}
	if c.Event == "referenceUpdated" && before == "" {
		ev.BeforeUnknown = true
	}
	return d.refUpdate(ev, ref, before, after)
}

// pullRequest reads what became of a pull request. CodeCommit has no forks: both
// branches are in the one repository.
func (d *Decoder) pullRequest(c *detail, ev *event.Event) (err error) {
	merged := strings.EqualFold(c.IsMerged, "true")
	switch {
	case c.Event == "pullRequestCreated":
		ev.Action = "opened"
	case c.Event == "pullRequestSourceBranchUpdated":
		ev.Action = "synchronize"
	case c.Event == "pullRequestStatusChanged" && strings.EqualFold(c.PullRequestStatus, "open"):
		ev.Action = "reopened"
	case c.Event == "pullRequestStatusChanged" && strings.EqualFold(c.PullRequestStatus, "closed"),
		c.Event == "pullRequestMergeStatusUpdated" && merged:
		ev.Action = "closed"
	default:
		return &webhook.Ignored{Reason: fmt.Sprintf("pull request event %s: the source commit stays as it is", shown(c.Event))}
	}
	number, err := strconv.Atoi(c.PullRequestID)
	if err != nil || number <= 0 {
		return fmt.Errorf("detail.pullRequestId: %s is not a pull request's number", shown(c.PullRequestID))
	}
	head, err := branch("detail.sourceReference", c.SourceReference)
	if err != nil {
		return err
	}
	base, err := branch("detail.destinationReference", c.DestinationReference)
	if err != nil {
		return err
	}
	if ev.After, err = field.SHA("detail.sourceCommit", c.SourceCommit); err != nil {
		return err
	}
	baseSHA, err := field.SHA("detail.destinationCommit", c.DestinationCommit)
	if err != nil {
		return err
	}
	author := person(c.Author)
	ev.Kind, ev.Ref, ev.Sender = event.PullRequest, "refs/heads/"+head, cmp.Or(ev.Sender, author)
	ev.PullRequest = &event.PullReq{
		Number: number, Base: base, BaseSHA: baseSHA, Title: c.Title, Author: author,
		Merged: merged, HeadRepo: ev.Repository.FullName,
	}
	commit := d.commit(ev.Repository.FullName, ev.After)
	commit.Author = author
	ev.Commits = []event.Commit{commit}
	ev.Truncated = ev.Action != "closed"
	return nil
}

// branch is the short name of a pull request's branch.
func branch(name, ref string) (string, error) {
	short, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return "", fmt.Errorf("%s: %s is not a branch's full name, such as refs/heads/main", name, shown(ref))
	}
	return short, field.Branch(name, short)
}
