package gitlab

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/order"
	"switchyard/webhook/internal/sieve"
)

var noteFields = sieve.Fields{
	"user": personFields, "project": projectFields,
	"object_attributes": {"id": nil, "note": nil, "noteable_type": nil, "author_id": nil, "system": nil, "action": nil},
	"merge_request":     {"iid": nil},
}

// notePayload is that of a comment.
type notePayload struct {
	User       person  `json:"user"`
	Project    project `json:"project"`
	Attributes struct {
		ID           int64  `json:"id"`
		Note         string `json:"note"`
		NoteableType string `json:"noteable_type"`
		AuthorID     int64  `json:"author_id"`
		System       bool   `json:"system"`
		// Action is create or update. Older versions do not say it, and tell of new
		// comments only.
		Action string `json:"action"`
	} `json:"object_attributes"`
	MergeRequest struct {
		IID int64 `json:"iid"`
	} `json:"merge_request"`
}

// bot is the form of the names of the users whose tokens projects and groups
// have ("Project access tokens").
var bot = regexp.MustCompile(`^(?:project|group)_[0-9]+_bot`)

// decodeNote reads the command in a comment on a merge request. What was edited
// is none: the person who edits need not be the one who wrote.
func (s *Source) decodeNote(body []byte) ([]event.Event, error) {
	var p notePayload
	if err := s.note.Decode(body, &p); err != nil {
		return nil, err
	}
	ev := event.Event{}
	ignored := func(reason string) ([]event.Event, error) {
		ev.Repository, _ = p.Project.repository()
		return []event.Event{ev}, &webhook.Ignored{Reason: reason}
	}
	a := &p.Attributes
	switch {
	case a.NoteableType != "MergeRequest":
		return ignored("a comment on something else than a merge request")
	case a.Action != "" && a.Action != "create":
		return ignored(fmt.Sprintf("comment %s: only a new one can hold a command", shown(a.Action)))
	case a.System, bot.MatchString(p.User.Username):
		return ignored("a comment of GitLab or of a bot: commands are for people")
	}
	o, ok := order.Parse(a.Note)
	const most = 1<<31 - 1
	switch {
	case !ok:
		return ignored("a comment without a command")
	case p.MergeRequest.IID <= 0 || p.MergeRequest.IID > most:
		return nil, fmt.Errorf("merge_request.iid: %d is not a merge request's number", p.MergeRequest.IID)
	case a.ID <= 0:
		return nil, fmt.Errorf("object_attributes.id: %d is not a comment's", a.ID)
	case p.User.Username == "" || p.User.ID != a.AuthorID:
		return nil, errors.New("user: not the person in object_attributes.author_id, who wrote the comment")
	}
	o.PullRequest, o.Comment = int(p.MergeRequest.IID), strconv.FormatInt(a.ID, 10)
	var err error
	if ev.Repository, err = p.Project.repository(); err != nil {
		return nil, err
	}
	ev.Kind, ev.Sender, ev.SenderNames, ev.Command = event.Command, p.User.Username, p.User.names(), &o
	return []event.Event{ev}, nil
}
