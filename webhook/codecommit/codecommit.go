// Package codecommit turns AWS CodeCommit's events into ours, whichever door
// they come through: SNS, EventBridge or SQS.
//
// What becomes of each:
//
//	CodeCommit Repository State Change    a push or a deletion of one ref
//	CodeCommit Pull Request State Change  opened, synchronize, closed or
//	                                      reopened; approvals are ignored
//	a repository trigger's record         a push or a deletion for each ref
//	a notification rule's message         as the event that it tells of
//	a trigger's test, comments, others    ignored
//
// An event names the commit that a ref is at, and no other: a push is Truncated,
// so that the host is asked which commits it brought. A trigger does not even say
// where the ref was before.
//
// Deliveries are known by the event's own ID, so that one that comes through two
// doors, or again through one, is recognised. The facts are from the CodeCommit
// user guide, "Monitoring CodeCommit events in Amazon EventBridge" and "Manage
// triggers for a repository".
package codecommit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// Config says which repositories a source has. What is of others is ignored: a
// repository of the same name in another region or account is another one.
type Config struct {
	Region  string
	Account string
	// Repositories are their names; empty for all of the account's.
	Repositories []string
}

// Decoder reads CodeCommit's events.
type Decoder struct {
	cfg  Config
	kept *sieve.Sieve
}

var _ webhook.Decoder = (*Decoder)(nil)

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	// CodeCommit's own rule for a repository's name.
	repositoryName = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,100}$`)
)

// Check says what is wrong with the config.
func (c *Config) Check() error {
	var wrong []error
	if !regionName.MatchString(c.Region) {
		wrong = append(wrong, fmt.Errorf("region: %q is not a region, such as eu-west-1", c.Region))
	}
	if !accountID.MatchString(c.Account) {
		wrong = append(wrong, fmt.Errorf("account: %q is not an account ID of 12 digits; put it in quotes", c.Account))
	}
	for _, name := range c.Repositories {
		if err := checkName(name); err != nil {
			wrong = append(wrong, fmt.Errorf("repositories: %w", err))
		}
	}
	return errors.Join(wrong...)
}

func checkName(name string) error {
	if !repositoryName.MatchString(name) || name == "." || name == ".." || strings.HasSuffix(name, ".git") {
		return fmt.Errorf("%q is not a CodeCommit repository's name: 1 to 100 letters, digits, ., _ and -, not ending in .git", safetext.Cut(safetext.Line(name), 120))
	}
	return nil
}

// New returns a decoder of the events of the config's repositories.
func New(cfg Config) (*Decoder, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("codecommit: %w", err)
	}
	kept, err := sieve.New(messageFields)
	if err != nil {
		return nil, err
	}
	cfg.Repositories = slices.Clone(cfg.Repositories)
	return &Decoder{cfg, kept}, nil
}

var messageFields = sieve.Fields{
	"id": nil, "detail-type": nil, "detailType": nil, "source": nil, "account": nil, "region": nil,
	"detail": {
		"event": nil, "repositoryName": nil, "repositoryNames": nil, "callerUserArn": nil,
		"referenceType": nil, "referenceName": nil, "referenceFullName": nil, "commitId": nil, "oldCommitId": nil,
		"pullRequestId": nil, "pullRequestStatus": nil, "isMerged": nil, "author": nil, "title": nil,
		"sourceReference": nil, "sourceCommit": nil, "destinationReference": nil, "destinationCommit": nil,
	},
	"Records": {
		"awsRegion": nil, "eventSource": nil, "eventSourceARN": nil, "eventId": nil, "eventName": nil,
		"eventPartNumber": nil, "eventTotalParts": nil, "userIdentityARN": nil,
		"codecommit": {"references": {"commit": nil, "ref": nil, "created": nil, "deleted": nil}},
	},
}

// message is an EventBridge event or, with Records, what a trigger sends. A
// notification rule of the developer tools spells detail-type differently, and
// has no ID.
type message struct {
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	RuleType   string   `json:"detailType"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Region     string   `json:"region"`
	Detail     detail   `json:"detail"`
	Records    []record `json:"Records"`
}

// DecodeMessage implements [webhook.Decoder].
func (d *Decoder) DecodeMessage(text []byte) ([]event.Event, error) {
	sifted, err := d.kept.Sift(make([]byte, 0, len(text)), text)
	if err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(sifted, &m); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("%s: a JSON %s, where %s should be", wrong.Field, wrong.Value, wrong.Type.Kind())
		}
		return nil, fmt.Errorf("event: %w", err)
	}
	// Two doors may wrap the same event differently.
	digest := webhook.Digest(text)
	if m.DetailType == "" && m.RuleType != "" {
		m.DetailType = m.RuleType
		// It holds the time and both commits, and SNS sends it again unchanged.
		m.ID = cmp.Or(m.ID, "notification-"+digest[:32])
	}
	var evs []event.Event
	switch {
	case m.DetailType != "":
		var ev event.Event
		ev, err = d.stateChange(&m)
		evs = []event.Event{ev}
	case len(m.Records) > 0:
		evs, err = d.trigger(m.Records)
	default:
		return nil, errors.New("neither an EventBridge event, which has a detail-type, nor a CodeCommit trigger's Records")
	}
	for i := range evs {
		evs[i].Digest = digest
	}
	return evs, err
}

// place checks where an event is from. "" for what it does not say.
func (d *Decoder) place(region, account, repository string) (event.Repository, error) {
	if err := checkName(repository); err != nil {
		return event.Repository{}, fmt.Errorf("repository: %w", err)
	}
	for _, f := range []struct{ what, got, want string }{
		{"region", region, d.cfg.Region}, {"account", account, d.cfg.Account},
	} {
		if f.got != f.want {
			return event.Repository{}, &webhook.Ignored{Reason: fmt.Sprintf("the event is of %s %s, and this source is configured for %s", f.what, shown(f.got), f.want)}
		}
	}
	if len(d.cfg.Repositories) > 0 && !slices.Contains(d.cfg.Repositories, repository) {
		return event.Repository{}, &webhook.Ignored{Reason: fmt.Sprintf("repository %s is not listed under this source's repositories", repository)}
	}
	return event.Repository{FullName: repository, HTMLURL: d.page(repository) + "/browse?region=" + d.cfg.Region}, nil
}

// page is the repository's address in the console.
func (d *Decoder) page(repository string) string {
	host := "console.aws.amazon.com"
	switch {
	case strings.HasPrefix(d.cfg.Region, "cn-"):
		host = "console.amazonaws.cn"
	case strings.HasPrefix(d.cfg.Region, "us-gov-"):
		host = "console.amazonaws-us-gov.com"
	}
	return "https://" + d.cfg.Region + "." + host + "/codesuite/codecommit/repositories/" + repository
}

// commit is a commit of which only the ID is known.
func (d *Decoder) commit(repository, sha string) event.Commit {
	return event.Commit{SHA: sha, Distinct: true, URL: d.page(repository) + "/commit/" + sha + "?region=" + d.cfg.Region}
}

// CloneBase is the address below which the repositories of a region are cloned
// over HTTPS by their names, without .git; "" where the region is none.
func CloneBase(region string) string {
	if !regionName.MatchString(region) {
		return ""
	}
	suffix := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		suffix += ".cn"
	}
	return "https://git-codecommit." + region + "." + suffix + "/v1/repos"
}

// person is the name at the end of an ARN: a user's, or that of a role's session.
func person(arn string) string {
	return arn[strings.LastIndexAny(arn, "/:")+1:]
}

// refUpdate fills in what became of a ref.
func (d *Decoder) refUpdate(ev *event.Event, ref, before, after string) (err error) {
	if err = field.Ref("ref", ref); err != nil {
		return err
	}
	ev.Ref = ref
	tag := ev.Tag() != ""
	switch {
	case ev.Branch() == "" && !tag:
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case after == "":
		ev.Kind = event.Delete
		if ev.Before = before; before != "" {
			ev.Commits = []event.Commit{{SHA: before}}
		}
		return nil
	}
	ev.Kind, ev.Before, ev.After = event.Push, before, after
	ev.Commits = []event.Commit{d.commit(ev.Repository.FullName, after)}
	ev.Truncated = !tag // a tag stands for the one commit that it names
	return nil
}

func shown(s string) string { return `"` + safetext.Cut(safetext.Line(s), 80) + `"` }
