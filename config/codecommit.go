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
	"switchyard/webhook/sqs"
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

// SQS is a door that asks a queue for messages.
type SQS struct {
	Queue      string   `json:"queue" jsonschema:"URL of the queue, of a region or a VPC endpoint."`
	Receivers  int      `json:"receivers,omitzero" jsonschema:"How many ask for messages at once, ten each. Default: 2." min:"1"`
	Visibility Duration `json:"visibility,omitzero" jsonschema:"For how long a message that is being worked on is hidden from others; it is extended while the work takes longer. After a crash it comes again that much later. 1s to 12h. Default: 1m."`
}

// Login is a user name and password.
type Login struct {
	Username string `json:"username" jsonschema:"User name, without a colon."`
	Password Secret `json:"password" jsonschema:"Password."`
}

// StatusEvents is where Step Functions' events about executions arrive.
type StatusEvents struct {
	EventBridge *EventBridge `json:"eventbridge,omitempty" jsonschema:"API destinations post to /webhooks/eventbridge."`
	SQS         *SQS         `json:"sqs,omitempty" jsonschema:"A queue is asked for them, with the credentials of engine.aws."`
}

// StatusEventsSource is the name of the source of Step Functions' events that
// come through no other, in its path below /webhooks/ and in metrics.
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

// checkCodeCommit checks a source with provider codecommit.
func (d *decoder) checkCodeCommit(at string, s *Source) {
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
	if s.EventBridge == nil && s.SNS == nil && s.SQS == nil && !d.failedUnder(at) {
		d.failValue(at, "has no door through which events could come; set sqs, eventbridge or sns")
	}
	d.checkEventBridge(at+".eventbridge", s.EventBridge)
	d.checkSNS(at+".sns", s.SNS)
	d.checkSQS(at+".sqs", s.SQS)
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

func (d *decoder) checkSQS(at string, s *SQS) {
	if s == nil || d.failedUnder(at) {
		return
	}
	if err := sqs.CheckQueue(s.Queue); err != nil && !d.unresolved[at+".queue"] {
		d.failValue(at+".queue", "%v", err)
	}
	if v := time.Duration(s.Visibility); d.has(at+".visibility") && !d.unresolved[at+".visibility"] && (v < time.Second || v > 12*time.Hour) {
		d.failValue(at+".visibility", "must be from 1s to 12h")
	}
}

// checkQueues refuses a queue that two would take messages from: each would
// delete what is the other's.
func (d *decoder) checkQueues(c *Config) {
	first := map[string]string{}
	for _, q := range c.Queues() {
		at := q.Key + ".queue"
		switch other, twice := first[q.Config.Queue]; {
		case d.unresolved[at]:
		case twice && q.StatusEvents:
			d.failValue(at, "is %s.queue too, through which events about executions are taken anyway; leave it out here", other)
		case twice:
			d.failValue(at, "is %s.queue too, and each would take the other's messages; give each source a queue of its own", other)
		default:
			first[q.Config.Queue] = q.Key
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
	if e.EventBridge == nil && e.SQS == nil && !d.failedUnder(at) {
		d.failValue(at, "is empty; set sqs or eventbridge")
	}
	d.checkEventBridge(at+".eventbridge", e.EventBridge)
	d.checkSQS(at+".sqs", e.SQS)
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

// Queue is a queue that is asked for messages.
type Queue struct {
	// Key is where it stands in the config, and Source whose messages it holds.
	Key, Source string
	// StatusEvents says that nothing but events about executions is expected.
	StatusEvents bool
	Access       awsaccess.Settings
	Config       sqs.Config
}

// Queues are those of all sources, and that of status events.
func (c *Config) Queues() []Queue {
	var all []Queue
	for _, name := range sorted(c.Sources) {
		if s := c.Sources[name]; s.SQS != nil {
			access, _, _ := c.CodeCommitAccess(name)
			all = append(all, Queue{Key: join("sources", name) + ".sqs", Source: name, Access: access, Config: s.SQS.Door()})
		}
	}
	if a := c.Engine.AWS; a != nil && a.StatusEvents != nil && a.StatusEvents.SQS != nil {
		access, _ := c.AWSAccess()
		access.MaxConnections = 0
		all = append(all, Queue{Key: "engine.aws.status_events.sqs", Source: StatusEventsSource, StatusEvents: true, Access: access.Settings, Config: a.StatusEvents.SQS.Door()})
	}
	return all
}

// Door is what is needed to ask the queue.
func (s *SQS) Door() sqs.Config {
	return sqs.Config{Queue: s.Queue, Receivers: s.Receivers, Visibility: time.Duration(s.Visibility)}
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
