package bitbucket

import (
	"errors"
	"fmt"
	"strconv"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/order"
	"switchyard/webhook/internal/sieve"
)

var commentFields = sieve.Fields{
	"pullrequest": {"id": nil},
	"comment":     {"id": nil, "content": {"raw": nil}, "user": personFields, "deleted": nil},
	"repository":  repositoryFields, "actor": personFields,
}

type commentPayload struct {
	PullRequest struct {
		ID int `json:"id"`
	} `json:"pullrequest"`
	Comment struct {
		ID      int64 `json:"id"`
		Content struct {
			Raw string `json:"raw"`
		} `json:"content"`
		User    person `json:"user"`
		Deleted bool   `json:"deleted"`
	} `json:"comment"`
	Repository repository `json:"repository"`
	Actor      person     `json:"actor"`
}

// event reads the command in a new comment on a pull request. Who asks is named by
// their account, since anybody may have their nickname.
func (p *commentPayload) event(ev *event.Event) (err error) {
	if p.Actor.Type == "app_user" || p.Comment.User.Type == "app_user" {
		return &webhook.Ignored{Reason: "a comment of an app: commands are for people"}
	}
	o, ok := order.Parse(p.Comment.Content.Raw)
	switch {
	case !ok || p.Comment.Deleted:
		return &webhook.Ignored{Reason: "a comment without a command"}
	case p.PullRequest.ID <= 0:
		return fmt.Errorf("pullrequest.id: %d is not a pull request's number", p.PullRequest.ID)
	case p.Comment.ID <= 0:
		return fmt.Errorf("comment.id: %d is not a comment's", p.Comment.ID)
	case p.Actor.id() == "" || p.Actor.id() != p.Comment.User.id():
		return errors.New("actor: not the person in comment.user, who wrote the comment")
	}
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	o.PullRequest, o.Comment = p.PullRequest.ID, strconv.FormatInt(p.Comment.ID, 10)
	ev.Kind, ev.Sender, ev.Command = event.Command, p.Actor.id(), &o
	ev.SenderNames = p.Actor.namesBeside(ev.Sender)
	return nil
}
