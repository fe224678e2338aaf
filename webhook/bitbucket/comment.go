package bitbucket

import (
	"cmp"
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
	"comment":     {"id": nil, "content": {"raw": nil}, "user": accountFields, "deleted": nil},
	"repository":  repositoryFields, "actor": accountFields,
}

var accountFields = sieve.Fields{"account_id": nil, "uuid": nil, "type": nil}

// account is somebody by what only they have.
type account struct {
	ID   string `json:"account_id"`
	UUID string `json:"uuid"`
	// Type is user, team or app_user.
	Type string `json:"type"`
}

func (a *account) id() string { return cmp.Or(a.ID, a.UUID) }

type commentPayload struct {
	PullRequest struct {
		ID int `json:"id"`
	} `json:"pullrequest"`
	Comment struct {
		ID      int64 `json:"id"`
		Content struct {
			Raw string `json:"raw"`
		} `json:"content"`
		User    account `json:"user"`
		Deleted bool    `json:"deleted"`
	} `json:"comment"`
	Repository repository `json:"repository"`
	Actor      account    `json:"actor"`
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
	case p.Actor.id() == "" || p.Actor != p.Comment.User:
		return errors.New("actor: not the person in comment.user, who wrote the comment")
	}
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	o.PullRequest, o.Comment = p.PullRequest.ID, strconv.FormatInt(p.Comment.ID, 10)
	ev.Kind, ev.Sender, ev.Command = event.Command, p.Actor.id(), &o
	return nil
}
