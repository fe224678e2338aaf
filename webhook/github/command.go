package github

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/order"
	"switchyard/webhook/internal/sieve"
)

var commentFields = sieve.Fields{
	"action": nil, "issue": {"number": nil, "pull_request": {}},
	"comment":    {"id": nil, "body": nil, "user": {"login": nil, "type": nil}},
	"repository": hub.RepositoryFields, "sender": {"login": nil, "type": nil},
}

// account is somebody who has done something.
type account struct {
	Login string `json:"login"`
	// Type is User, Bot or Organization.
	Type string `json:"type"`
}

type repositoryPayload struct {
	FullName      string `json:"full_name"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
}

func (r *repositoryPayload) event() (event.Repository, error) {
	return hub.Repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch)
}

// commentPayload is that of an issue_comment event; GitHub's pull requests are
// issues too.
type commentPayload struct {
	Action string `json:"action"`
	Issue  struct {
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	Comment struct {
		ID   int64   `json:"id"`
		Body string  `json:"body"`
		User account `json:"user"`
	} `json:"comment"`
	Repository repositoryPayload `json:"repository"`
	Sender     account           `json:"sender"`
}

// decodeComment reads the command in a comment on a pull request. What was
// edited is none: the person who edits need not be the one who wrote.
func (s *Source) decodeComment(h http.Header, body []byte, ev *event.Event) error {
	var p commentPayload
	if err := hub.Parse(h, body, s.comment, &p); err != nil {
		return err
	}
	switch {
	case p.Action == "":
		return errors.New("action: missing from an issue_comment payload")
	case p.Action != "created":
		return &webhook.Ignored{Reason: fmt.Sprintf("comment %s: only a new one can hold a command", safetext.Cut(safetext.Line(p.Action), 64))}
	case p.Issue.PullRequest == nil:
		return &webhook.Ignored{Reason: "a comment on an issue: commands are for pull requests"}
	case p.Comment.User.Type == "Bot" || p.Sender.Type == "Bot":
		return &webhook.Ignored{Reason: "a comment of a bot: commands are for people"}
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
	o.PullRequest, o.Comment = p.Issue.Number, strconv.FormatInt(p.Comment.ID, 10)
	return commandEvent(ev, &p.Repository, p.Sender.Login, &o)
}

func commandEvent(ev *event.Event, r *repositoryPayload, by string, o *event.Order) (err error) {
	if ev.Repository, err = r.event(); err != nil {
		return err
	}
	ev.Kind, ev.Sender, ev.Command = event.Command, by, o
	return nil
}

var checkFields = sieve.Fields{
	"action":           nil,
	"check_run":        {"external_id": nil, "head_sha": nil},
	"check_suite":      {"head_sha": nil},
	"requested_action": {"identifier": nil},
	"repository":       hub.RepositoryFields, "sender": {"login": nil},
}

// checkPayload is that of check_run and check_suite events.
type checkPayload struct {
	Action   string `json:"action"`
	CheckRun struct {
		// ExternalID is what its maker gave it: the execution's name.
		ExternalID string `json:"external_id"`
		HeadSHA    string `json:"head_sha"`
	} `json:"check_run"`
	CheckSuite struct {
		HeadSHA string `json:"head_sha"`
	} `json:"check_suite"`
	RequestedAction struct {
		Identifier string `json:"identifier"`
	} `json:"requested_action"`
	Repository repositoryPayload `json:"repository"`
	Sender     account           `json:"sender"`
}

// decodeCheck reads the buttons of a check and of all checks of a commit. GitHub
// tells of them only the App that made the checks.
func (s *Source) decodeCheck(h http.Header, body []byte, suite bool, ev *event.Event) error {
	var p checkPayload
	if err := hub.Parse(h, body, s.check, &p); err != nil {
		return err
	}
	o := event.Order{Execution: p.CheckRun.ExternalID}
	name, sha := "check_run.head_sha", p.CheckRun.HeadSHA
	if suite {
		o.Execution, name, sha = "", "check_suite.head_sha", p.CheckSuite.HeadSHA
	}
	switch {
	case p.Action == "rerequested":
		o.Verb = event.Rerun
	case p.Action == "requested_action" && !suite:
		if !button(p.RequestedAction.Identifier, &o) {
			return &webhook.Ignored{Reason: fmt.Sprintf("check_run requested_action %s: not a button of ours", safetext.Cut(safetext.Line(p.RequestedAction.Identifier), 64))}
		}
	default:
		return &webhook.Ignored{Reason: fmt.Sprintf("%s %s: nobody has asked for anything", h.Get(headerEvent), safetext.Cut(safetext.Line(p.Action), 64))}
	}
	var err error
	if o.SHA, err = field.SHA(name, sha); err != nil {
		return err
	}
	if !suite && o.Execution == "" {
		return &webhook.Ignored{Reason: "check_run without an external_id: not a check of ours"}
	}
	if p.Sender.Login == "" {
		return errors.New("sender.login: missing: it says who asks")
	}
	return commandEvent(ev, &p.Repository, p.Sender.Login, &o)
}

// approvalDigits are the first digits of an approval's ID.
var approvalDigits = regexp.MustCompile(`^[0-9a-f]{12}$`)

// button reads the identifier of one of our buttons: a verb, and after a colon the
// approval that it decides. Those of before Switchyard named it have the verb alone.
func button(identifier string, o *event.Order) bool {
	verb, approval, bound := strings.Cut(identifier, ":")
	switch o.Verb, o.Approval = event.Verb(verb), approval; o.Verb {
	case event.Approve, event.Reject:
		return !bound || approvalDigits.MatchString(approval)
	case event.Rerun, event.Stop:
		return !bound
	default: // the others have no button
		return false
	}
}
