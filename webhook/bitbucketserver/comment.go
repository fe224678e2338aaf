package bitbucketserver

import (
	"errors"
	"fmt"
	"strconv"

	bbs "github.com/go-playground/webhooks/v6/bitbucket-server"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/order"
	"switchyard/webhook/internal/sieve"
)

var commentFields = sieve.Fields{
	"actor":       userFields,
	"pullRequest": {"id": nil, "toRef": {"repository": repositoryFields}},
	"comment":     {"id": nil, "text": nil, "author": userFields},
}

type commentPayload struct {
	Actor       bbs.User `json:"actor"`
	PullRequest struct {
		ID    int `json:"id"`
		ToRef end `json:"toRef"`
	} `json:"pullRequest"`
	Comment struct {
		ID     int64    `json:"id"`
		Text   string   `json:"text"`
		Author bbs.User `json:"author"`
	} `json:"comment"`
}

// event reads the command in a new comment on a pull request.
func (p *commentPayload) event(ev *event.Event) (err error) {
	o, ok := order.Parse(p.Comment.Text)
	switch {
	case !ok:
		return &webhook.Ignored{Reason: "a comment without a command"}
	case p.PullRequest.ID <= 0:
		return fmt.Errorf("pullRequest.id: %d is not a pull request's number", p.PullRequest.ID)
	case p.Comment.ID <= 0:
		return fmt.Errorf("comment.id: %d is not a comment's", p.Comment.ID)
	case p.Actor.Name == "" || p.Actor.Name != p.Comment.Author.Name:
		return errors.New("actor.name: not the person in comment.author, who wrote the comment")
	}
	if ev.Repository, err = p.PullRequest.ToRef.Repository.event("pullRequest.toRef.repository"); err != nil {
		return err
	}
	o.PullRequest, o.Comment = p.PullRequest.ID, strconv.FormatInt(p.Comment.ID, 10)
	ev.Kind, ev.Sender, ev.SenderNames, ev.Command = event.Command, p.Actor.Name, namesOf(&p.Actor), &o
	return nil
}
