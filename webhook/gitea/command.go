package gitea

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/order"
	"switchyard/webhook/internal/sieve"
)

var commentFields = sieve.Fields{
	"action": nil, "is_pull": nil, "issue": {"number": nil},
	"comment":    {"id": nil, "body": nil, "user": {"login": nil}},
	"repository": hub.RepositoryFields, "sender": hub.WhoFields,
}

type commentPayload struct {
	Action string `json:"action"`
	IsPull bool   `json:"is_pull"`
	Issue  struct {
		Number int `json:"number"`
	} `json:"issue"`
	Comment struct {
		ID   int64   `json:"id"`
		Body string  `json:"body"`
		User hub.Who `json:"user"`
	} `json:"comment"`
	Repository repository `json:"repository"`
	Sender     hub.Who    `json:"sender"`
}

// decodeComment reads the command in a comment on a pull request. What was edited
// is none: the person who edits need not be the one who wrote.
func (s *Source) decodeComment(h http.Header, body []byte, ev *event.Event) (err error) {
	var p commentPayload
	if err = hub.Parse(h, body, s.comment, &p); err != nil {
		return err
	}
	switch {
	case p.Action == "":
		return errors.New("action: missing from an issue_comment payload")
	case p.Action != "created":
		return &webhook.Ignored{Reason: fmt.Sprintf("comment %s: only a new one can hold a command", safetext.Cut(safetext.Line(p.Action), 64))}
	case !p.IsPull:
		return &webhook.Ignored{Reason: "a comment on an issue: commands are for pull requests"}
	}
	o, ok := order.Parse(p.Comment.Body)
	switch {
	case !ok:
		return &webhook.Ignored{Reason: "a comment without a command"}
	case p.Issue.Number <= 0:
		return fmt.Errorf("issue.number: %d is not a pull request's number", p.Issue.Number)
	case p.Comment.ID <= 0:
		return fmt.Errorf("comment.id: %d is not a comment's", p.Comment.ID)
	case p.Comment.User.Login == "" || p.Sender.Login != p.Comment.User.Login:
		return errors.New("sender.login: not the person in comment.user, who wrote the comment")
	}
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	o.PullRequest, o.Comment = p.Issue.Number, strconv.FormatInt(p.Comment.ID, 10)
	ev.Kind, ev.Sender, ev.Command = event.Command, p.Sender.Login, &o
	ev.SenderNames = event.OtherNames(ev.Sender, p.Sender.FullName, p.Sender.Email)
	return nil
}
