package config

import (
	"fmt"
	"reflect"
	"time"

	"github.com/goccy/go-yaml/ast"

	"switchyard/internal/awsaccess"
	"switchyard/webhook/codecommit"
	"switchyard/webhook/eventbridge"
	"switchyard/webhook/sns"
)

// EventBridge is a door that API destinations post events to.
type EventBridge struct {
	APIKeys Secrets `json:"api_keys,omitzero" jsonschema:"API keys that the connection of an API destination may present. Several while one is rotated out."`
	Header  string  `json:"header,omitzero" jsonschema:"Name of the API key's header, as the connection has it. Default: X-Api-Key."`
	Basic   []Login `json:"basic,omitzero" jsonschema:"User names and passwords, for connections with Basic authorisation."`
}

// SNS is a door for topics that are subscribed over HTTPS.
type SNS struct {
	Topics Strings  `json:"topics" jsonschema:"ARNs of the topics whose messages are taken and whose subscriptions are confirmed."`
	MaxAge Duration `json:"max_age,omitzero" jsonschema:"How old a message may be. Default: 1h, for which SNS tries again at most."`
}

// Login is a user name and password.
type Login struct {
	Username string `json:"username" jsonschema:"User name, without a colon."`
	Password Secret `json:"password" jsonschema:"Password."`
}

// StatusEvents is where Step Functions' events about executions arrive.
type StatusEvents struct {
	EventBridge *EventBridge `json:"eventbridge,omitempty" jsonschema:"API destinations post to /webhooks/eventbridge."`
}

// StatusEventsSource is the name below /webhooks/ to which Step Functions'
// events are posted that come through no source.
const StatusEventsSource = "eventbridge"

// Repositories are those of a source, by full name. In the file it is a mapping
// or, where they have nothing of their own, a list of names.
type Repositories map[string]Repository

func (r *Repositories) decodeNode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(*ast.SequenceNode); !ok {
		d.value(n, reflect.ValueOf((*map[string]Repository)(r)).Elem(), path, "")
		return
	}
	var names []string
	d.list(n, reflect.ValueOf(&names).Elem(), path)
	*r = make(Repositories, len(names))
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, twice := (*r)[name]; twice {
			d.failValue(at, "%s is listed twice", name)
		}
		(*r)[name] = Repository{}
		d.places[join(path, name)] = d.places[at]
	}
}

// The keys of a source that only some providers have.
var (
	gitKeys        = []string{"secrets"}
	gitHubKeys     = []string{"token", "app", "base_url"}
	codeCommitKeys = []string{"region", "account", "profile", "role", "external_id", "fips", "endpoint", "eventbridge", "sns", "comments", "approve"}
)

// checkCodeCommit checks a source with provider codecommit.
func (d *decoder) checkCodeCommit(at string, s *Source) {
	for _, key := range append(gitKeys, gitHubKeys...) {
		if d.has(at + "." + key) {
			d.failValue(at+"."+key, "a codecommit source has none: its events are proved by its doors, such as eventbridge, and its API is called with AWS credentials")
		}
	}
	for _, key := range []string{"region", "account"} {
		if !d.has(at + "." + key) {
			d.failValue(at, "%s is missing", key)
		}
	}
	if !d.unresolved[at+".region"] && !d.unresolved[at+".account"] && d.has(at+".region") && d.has(at+".account") {
		c := codecommit.Config{Region: s.Region, Account: s.Account, Repositories: sorted(s.Repositories)}
		if err := c.Check(); err != nil {
			for _, problem := range problems(err) {
				d.failValue(at, "%v", problem)
			}
		}
	}
	for _, name := range sorted(s.Repositories) {
		if r := s.Repositories[name]; r.Path != "" || len(r.Secrets) > 0 {
			d.failValue(join(at+".repositories", name), "a codecommit source's repositories have nothing of their own; list their names")
		}
	}
	d.checkRole(at, s.Role, s.ExternalID)
	d.checkURL(at+".endpoint", s.Endpoint)
	if s.EventBridge == nil && s.SNS == nil && !d.failedUnder(at) {
		d.failValue(at, "has no door through which events could come; set eventbridge or sns")
	}
	d.checkEventBridge(at+".eventbridge", s.EventBridge)
	d.checkSNS(at+".sns", s.SNS)
}

// checkNotCodeCommit refuses what only a codecommit source has.
func (d *decoder) checkNotCodeCommit(at string) {
	for _, key := range codeCommitKeys {
		if d.has(at + "." + key) {
			d.failValue(at+"."+key, "only a source with provider: codecommit has it")
		}
	}
}

func (d *decoder) checkEventBridge(at string, e *EventBridge) {
	if e == nil {
		return
	}
	if len(e.APIKeys) == 0 && len(e.Basic) == 0 && !d.offline && !d.failedUnder(at) {
		d.failValue(at, "api_keys is missing, and so is basic: without one anybody could post events")
	}
	if e.Header != "" && !d.unresolved[at+".header"] {
		switch {
		case len(e.APIKeys) == 0 && !d.offline:
			d.failValue(at+".header", "is of api_keys, and there are none")
		case !eventbridge.ValidHeader(e.Header):
			d.failValue(at+".header", "%q cannot hold an API key; take X-Api-Key or a name of your own", e.Header)
		}
	}
}

func (d *decoder) checkSNS(at string, s *SNS) {
	if s == nil {
		return
	}
	if len(s.Topics) == 0 && d.has(at+".topics") && !d.failedUnder(at+".topics") {
		d.failValue(at+".topics", "is empty: list the ARN of at least one topic")
	}
	for i, topic := range s.Topics {
		if at := d.item(at+".topics", i); !sns.ValidTopic(topic) && !d.unresolved[at] {
			d.failValue(at, "%q is not the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:switchyard", topic)
		}
	}
}

// checkStatusEvents checks where Step Functions' events arrive.
func (d *decoder) checkStatusEvents(c *Config) {
	if c.Engine.AWS == nil || c.Engine.AWS.StatusEvents == nil {
		return
	}
	const at = "engine.aws.status_events"
	e := c.Engine.AWS.StatusEvents
	if e.EventBridge == nil && !d.failedUnder(at) {
		d.failValue(at, "eventbridge is missing")
	}
	d.checkEventBridge(at+".eventbridge", e.EventBridge)
	if _, taken := c.Sources[StatusEventsSource]; taken && e.EventBridge != nil {
		d.failValue(at+".eventbridge", "its path /webhooks/%s is that of a source; give sources.%s another name", StatusEventsSource, StatusEventsSource)
	}
}

// CodeCommit is what is needed to read the events of a source; ok is false when
// its provider is another.
func (c *Config) CodeCommit(source string) (cfg codecommit.Config, ok bool) {
	s := c.Sources[source]
	return codecommit.Config{Region: s.Region, Account: s.Account, Repositories: sorted(s.Repositories)}, s.Provider == providerCodeCommit
}

// CodeCommitAccess is what is needed to call the API of a source with provider
// codecommit: as whom, and endpoint where it is not the service's own.
func (c *Config) CodeCommitAccess(source string) (access awsaccess.Settings, endpoint string, ok bool) {
	s := c.Sources[source]
	return awsaccess.Settings{
		Region: s.Region, Profile: s.Profile, Role: s.Role, ExternalID: s.ExternalID, FIPS: s.FIPS,
	}, s.Endpoint, s.Provider == providerCodeCommit
}

// Door is what is needed to take what SNS posts.
func (s *SNS) Door() sns.Config {
	return sns.Config{Topics: s.Topics, MaxAge: time.Duration(s.MaxAge)}
}

// Door is what is needed to take what API destinations post.
func (e *EventBridge) Door() eventbridge.Config {
	cfg := eventbridge.Config{Header: e.Header, APIKeys: e.APIKeys.Reveal()}
	for _, l := range e.Basic {
		cfg.Basic = append(cfg.Basic, eventbridge.Login{Username: l.Username, Password: l.Password.Reveal()})
	}
	return cfg
}
