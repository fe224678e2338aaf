// Package config reads switchyard.yaml.
//
// A config is read strictly: an unknown or repeated key, a value of the wrong
// type, a reference to a variable that is not set or to a name that is not
// there is an error with its place in the file, and all of them are reported
// together. What is left out takes a default that serves.
//
// Text in the file may hold ${NAME}, ${NAME:-default} and, for a literal
// dollar brace, $${. A secret may also be file:PATH,
// aws-secret:NAME or aws-ssm:/path. References stand for text,
// never for structure: a value cannot add keys. An execution's input
// (routes[].input) is passed on as it is written.
//
// Every other package has a Config of its own; the methods of [Config] make
// them. Only cmd imports this package.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"switchyard/internal/awssecret"
	"switchyard/router"
)

// Config is a whole switchyard.yaml, checked. It is read-only once built.
type Config struct {
	Server        Server                  `json:"server,omitzero" jsonschema:"The HTTP face: webhooks, API, metrics."`
	DataDir       string                  `json:"data_dir,omitzero" jsonschema:"Folder of the journal, the embedded engine's store and its builds. Relative to this file's folder."`
	Sources       map[string]Source       `json:"sources,omitzero" jsonschema:"The git hosts that call us, each under the name that stands in /webhooks/{source}."`
	Engine        Engine                  `json:"engine,omitzero" jsonschema:"What runs executions: the embedded engine or AWS Step Functions."`
	StateMachines map[string]StateMachine `json:"state_machines,omitzero" jsonschema:"The state machines that routes start, by name."`
	Environments  map[string]Environment  `json:"environments,omitzero" jsonschema:"Limits for environments, by name or glob. An exact name wins over a glob, a longer glob over a shorter: * stops at /, ** does not."`
	Components    map[string]Component    `json:"components,omitzero" jsonschema:"Parts of a repository that can be skipped when none of their paths changed: each sets skip_<name> in the input."`
	Routes        []Route                 `json:"routes,omitzero" jsonschema:"Which events start which state machine, with which input."`
	Limits        Limits                  `json:"limits,omitzero" jsonschema:"Bounds on what is done at once."`
	Retention     Retention               `json:"retention,omitzero" jsonschema:"How long finished work is kept. Unfinished work is never pruned."`
	Audit         Audit                   `json:"audit,omitzero" jsonschema:"How what git hosts have is held against the journal, so that no commit is lost with its delivery."`
	Approvals     Approvals               `json:"approvals,omitzero" jsonschema:"Who may let an execution go on that waits for a person."`
	Status        Status                  `json:"status,omitzero" jsonschema:"Commit statuses: how fast they may be written."`
	AWSSecrets    AWSSecrets              `json:"aws_secrets,omitzero" jsonschema:"How secrets that are written as aws-secret:NAME, aws-secret:NAME#key or aws-ssm:/path are read."`
	Log           Log                     `json:"log,omitzero" jsonschema:"Log lines."`
	Serverless    *Serverless             `json:"serverless,omitempty" jsonschema:"For switchyard lambda, which needs engine aws: where deliveries wait."`
	Tracing       Tracing                 `json:"tracing,omitzero" jsonschema:"OpenTelemetry traces from delivery to execution."`

	// file is the path the config was read from; dir is what relative paths
	// are relative to.
	file, dir string
	// read are the files whose content the config depends on.
	read *files
	// variables are those that the config names, and whether a secret does.
	variables map[string]bool
	// secretFiles are those that secrets were read from.
	secretFiles []string
	// warnings are what the router finds probably not meant.
	warnings []string
	// samples are what the routes' environment templates make of a branch.
	samples []router.Sample
}

// Approvals are how people approve what state machines ask.
type Approvals struct {
	Authors string `json:"authors,omitzero" jsonschema:"Whether the author of a commit, or who pushed it, may approve that it goes out. Default: allow." enum:"allow,deny"`
}

// Server is the HTTP face.
type Server struct {
	Listen    string  `json:"listen,omitzero" jsonschema:"host:port to listen on. Put a TLS proxy in front before it leaves the machine."`
	PublicURL string  `json:"public_url,omitzero" jsonschema:"Where people reach the server, for links in commit statuses, for example https://switchyard.example.com."`
	APITokens Secrets `json:"api_tokens,omitzero" jsonschema:"Bearer tokens of /api/v1. Without one the service makes its own at the first start, in api.token in data_dir. Several while one is rotated out."`
}

// Source is a git host that calls us.
type Source struct {
	Provider     string       `json:"provider,omitzero" jsonschema:"What kind of host it is. Left out, the source's name says it." enum:"github,gitlab,gitea,bitbucket,bitbucket-server,git,codecommit"`
	Secrets      Secrets      `json:"secrets,omitzero" jsonschema:"Webhook secrets; a delivery signed with any of them is accepted (for gitlab: one that carries it as its secret token, or is signed with it where it is a signing token, whsec_…), unless its repository has secrets of its own under repositories. Several while one is rotated out."`
	Token        Secret       `json:"token,omitzero" jsonschema:"Token that writes commit statuses and completes what deliveries leave out. For GitHub: repository permissions 'Commit statuses: write' and 'Contents: read'. For GitLab: a project, group or personal access token with the scope api and the role Developer. For Gitea and Forgejo: one with the scope write:repository, of a user who may write to the repositories. For Bitbucket Cloud: an access token with 'Repositories: Read' and 'Pull requests: Read', or with user an API token or app password; for Bitbucket Data Center: an HTTP access token with 'Repository read'."`
	User         string       `json:"user,omitzero" jsonschema:"For bitbucket: the e-mail address of an API token's owner, or the user name of an app password's, where token is one of those. For bitbucket-server: the user name of a personal token's owner, which Git asks for."`
	App          *App         `json:"app,omitempty" jsonschema:"GitHub App with the same permissions, instead of a token."`
	BaseURL      string       `json:"base_url,omitzero" jsonschema:"API of a GitHub Enterprise Server, for example https://github.example.com/api/v3; address of a GitLab, for example https://gitlab.example.com, or of a Gitea, Forgejo or Bitbucket Data Center, which need it. Default: that of github.com, gitlab.com or Bitbucket Cloud."`
	CloneBase    string       `json:"clone_base,omitzero" jsonschema:"Where builds clone from: <clone_base>/<full name>.git. Default for github: the host of base_url, else https://github.com. Default for gitlab and gitea: base_url. Default for bitbucket: https://bitbucket.org, for bitbucket-server: <base_url>/scm. Default for codecommit: the region's, and <clone_base>/<name> without .git. A relay that sends GitHub's payloads needs it."`
	Repositories Repositories `json:"repositories,omitzero" jsonschema:"What single repositories have of their own, by full name: secrets, and for git their path on this machine, which may also stand alone. For codecommit: a list of names, of which events are taken. Default for codecommit: all of the account."`

	Region      string       `json:"region,omitzero" jsonschema:"For codecommit: the region of its repositories."`
	Account     string       `json:"account,omitzero" jsonschema:"For codecommit: the account of its repositories, 12 digits in quotes."`
	Profile     string       `json:"profile,omitzero" jsonschema:"For codecommit: profile of the shared AWS config files. Credentials come from where the AWS command line takes them."`
	Role        string       `json:"role,omitzero" jsonschema:"For codecommit: ARN of a role that is assumed for all calls."`
	ExternalID  string       `json:"external_id,omitzero" jsonschema:"For codecommit: external ID that the role's trust policy asks for."`
	FIPS        bool         `json:"fips,omitzero" jsonschema:"For codecommit: call the endpoints that are validated by FIPS 140. Default: false."`
	Endpoint    string       `json:"endpoint,omitzero" jsonschema:"For codecommit: URL of its API instead of the service's own, such as a VPC endpoint."`
	EventBridge *EventBridge `json:"eventbridge,omitempty" jsonschema:"For codecommit: events that API destinations of EventBridge post."`
	SNS         *SNS         `json:"sns,omitempty" jsonschema:"For codecommit: messages of SNS topics that are subscribed over HTTPS."`
	SQS         *SQS         `json:"sqs,omitempty" jsonschema:"For codecommit: a queue that is asked for messages."`
	Comments    Strings      `json:"comments,omitzero" jsonschema:"For codecommit, which has no commit statuses: where results are written as comments. pull_requests: on those whose head the commit is. commits: on every commit. Default: nowhere." enum:"pull_requests,commits"`
	Approve     Strings      `json:"approve,omitzero" jsonschema:"For codecommit: names of routes; a pull request is approved once all of them have succeeded on its head, and the approval is taken back when one fails. Needs comments on pull_requests."`
}

// App is a GitHub App's identity.
type App struct {
	ID         int64  `json:"id" jsonschema:"App ID." min:"1"`
	PrivateKey Secret `json:"private_key" jsonschema:"The app's private key in PEM, best as file:PATH."`
}

// StateMachine is what a route starts.
type StateMachine struct {
	Definition    string            `json:"definition,omitzero" jsonschema:"File with the definition in Amazon States Language, JSON or YAML, for the embedded engine. Relative to this file's folder."`
	Substitutions map[string]string `json:"substitutions,omitzero" jsonschema:"Values for the placeholders ${NAME} of the definition, by name, as DefinitionSubstitutions has them in SAM and CloudFormation."`
	ARN           string            `json:"arn,omitzero" jsonschema:"ARN of a STANDARD state machine, or of a version or alias of one, for AWS. It may be in any region."`
	Role          string            `json:"role,omitzero" jsonschema:"ARN of the role that is assumed to start and watch it, for one in another account."`
	ExternalID    string            `json:"external_id,omitzero" jsonschema:"External ID that the role's trust policy asks for."`
}

// Environment limits the executions of one environment.
type Environment struct {
	MaxParallel int `json:"max_parallel,omitzero" jsonschema:"How many executions run in one environment at once; the others wait in order of arrival. 0: no limit." min:"0"`
}

// Component is a part of a repository.
type Component struct {
	Paths Strings `json:"paths" jsonschema:"Patterns of the component's files: * stops at /, ** does not, ! takes out again."`
}

// Route says which events start which state machine.
type Route struct {
	Name          string         `json:"name" jsonschema:"Unique name; the commit status is switchyard/<name>."`
	On            Strings        `json:"on,omitzero" jsonschema:"Kinds of event: push, pull_request, delete, merge_group. Default: push." enum:"push,pull_request,delete,merge_group"`
	Sources       Strings        `json:"sources,omitzero" jsonschema:"Names of sources, or globs of them. Default: all."`
	Repositories  Strings        `json:"repositories,omitzero" jsonschema:"Repositories by full name, or globs of them. Default: all."`
	Branches      Strings        `json:"branches,omitzero" jsonschema:"Branch patterns: * stops at /, ** does not, ! takes out again. Default: all branches."`
	Tags          Strings        `json:"tags,omitzero" jsonschema:"Patterns of tags whose push starts the commit they name, or whose deletion starts a teardown under on: delete. With tags and no branches, a route takes no branches. Default: none."`
	BaseBranches  Strings        `json:"base_branches,omitzero" jsonschema:"Patterns of the branch a pull request or merge group is to be merged into. Default: all."`
	Labels        Strings        `json:"labels,omitzero" jsonschema:"Labels of a pull request, or globs of them: one must be there, and none of those with !. Default: any, and none."`
	Drafts        *bool          `json:"drafts,omitzero" jsonschema:"Whether draft pull requests start anything. false: what they hold back starts once they are ready for review. Default: true."`
	Authors       Strings        `json:"authors,omitzero" jsonschema:"Patterns of commit authors. Default: all."`
	Paths         Strings        `json:"paths,omitzero" jsonschema:"Patterns of changed files; a commit that changed none of them starts nothing. Default: all."`
	Actions       Strings        `json:"actions,omitzero" jsonschema:"Actions of pull_request. Default: opened, synchronize, reopened, ready_for_review, and with base_branches or an environment that names .BaseBranch also edited, which concerns only a changed base." enum:"opened,synchronize,reopened,ready_for_review,edited,closed,labeled,unlabeled"`
	Commits       string         `json:"commits,omitzero" jsonschema:"Which commits of a push or pull request start an execution: every (of a pull request those that its base has not), distinct (of a push those the host had not seen before) or head. Default: every." enum:"every,distinct,head"`
	Checkout      string         `json:"checkout,omitzero" jsonschema:"What an execution for a pull request builds: its head, or the commit that the host has made of merging that into the base. Default: head." enum:"head,merge"`
	Revisit       string         `json:"revisit,omitzero" jsonschema:"What a push does that moves its branch back to a commit that ran before: ignore, or run it again. Default: ignore." enum:"ignore,run"`
	StateMachine  string         `json:"state_machine" jsonschema:"Name under state_machines."`
	Environment   string         `json:"environment,omitzero" jsonschema:"Where the execution deploys; part of its identity. A template: dev-{{ .Branch | slug }}."`
	Project       string         `json:"project,omitzero" jsonschema:"This repository's name in the input's override_branches. Left out, there is none."`
	OverrideShape string         `json:"override_shape,omitzero" jsonschema:"How override_branches is written: a list of objects or one object. Default: list." enum:"list,object"`
	Input         map[string]any `json:"input,omitzero" jsonschema:"More input for the execution; it wins over skip_* flags of components. Passed on as written: no ${…} here."`
	SkipMarkers   bool           `json:"skip_markers,omitzero" jsonschema:"Honour [skip ci] and its kin in commit messages. Default: false."`
	Forks         string         `json:"forks,omitzero" jsonschema:"Whether pull requests from forks start anything: never, labeled (only the commit that was the head when fork_label was given) or allow. Default: never." enum:"never,labeled,allow"`
	ForkLabel     string         `json:"fork_label,omitzero" jsonschema:"Label that lets a fork's pull request run under forks: labeled. Default: safe to test."`
	OnNewCommit   string         `json:"on_new_commit,omitzero" jsonschema:"wait: every commit runs. cancel_superseded: older executions of the same route and branch are stopped. Default: wait." enum:"wait,cancel_superseded"`
}

// Limits bound what is done at once.
type Limits struct {
	Body        Size     `json:"body,omitzero" jsonschema:"Largest delivery that is read; a larger one is answered 413. GitHub sends at most 25MB."`
	ReadTimeout Duration `json:"read_timeout,omitzero" jsonschema:"How long a host may take to send a delivery."`
	Deliveries  int      `json:"deliveries,omitzero" jsonschema:"How many deliveries are accepted at once; one more is answered 503." min:"1"`
	Starts      int      `json:"starts,omitzero" jsonschema:"How many StartExecution calls run at once." min:"1"`
}

// Retention says how long finished work is kept.
type Retention struct {
	Journal    Duration `json:"journal,omitzero" jsonschema:"Deliveries and requests that have ended, in the journal. At least 4d: GitHub redelivers for 3 days."`
	Executions Duration `json:"executions,omitzero" jsonschema:"Executions that have ended, with their history and logs, in the embedded engine."`
}

// Audit says when commits are looked for that no delivery told of.
type Audit struct {
	Every Duration `json:"every,omitzero" jsonschema:"How often each repository is audited, besides when the service starts. 0: never, but by switchyard audit."`
	Heal  bool     `json:"heal,omitzero" jsonschema:"Whether an audit on schedule starts what is missing, or only counts and logs it."`
	Grace Duration `json:"grace,omitzero" jsonschema:"How long a delivery that may be on its way is waited for before a commit counts as missing."`
}

// Status paces commit statuses.
type Status struct {
	PerMinute  int `json:"per_minute,omitzero" jsonschema:"Statuses written per minute and source. GitHub's limit on content is 80. 0: no limit." min:"0"`
	PerHour    int `json:"per_hour,omitzero" jsonschema:"Statuses written per hour and source. GitHub's limit on content is 500. 0: no limit." min:"0"`
	Concurrent int `json:"concurrent,omitzero" jsonschema:"Statuses of one source that are written at once." min:"1"`
}

// Log says how log lines look.
type Log struct {
	Format string `json:"format,omitzero" jsonschema:"json, console, or auto: console on a terminal." enum:"auto,json,console"`
	Level  string `json:"level,omitzero" jsonschema:"The least severe level that is written." enum:"debug,info,warn,error"`
}

// Tracing says where traces go.
type Tracing struct {
	Endpoint string  `json:"endpoint,omitzero" jsonschema:"OTLP over HTTP, for example http://127.0.0.1:4318. Left out, nothing is traced."`
	Ratio    float64 `json:"ratio,omitzero" jsonschema:"Share of deliveries that are traced, 0 to 1." min:"0" max:"1"`
}

const day = 24 * time.Hour

// Default is the config of an empty file.
func Default() *Config {
	return &Config{
		Server:  Server{Listen: "127.0.0.1:8080"},
		DataDir: "data",
		Engine:  Engine{Embedded: &Embedded{}},
		Limits: Limits{
			Body:        25 << 20,
			ReadTimeout: Duration(30 * time.Second),
			Deliveries:  1024,
			Starts:      32,
		},
		Retention:  Retention{Journal: Duration(90 * day), Executions: Duration(90 * day)},
		Audit:      Audit{Every: Duration(time.Hour), Heal: true, Grace: Duration(30 * time.Second)},
		Status:     Status{PerMinute: 80, PerHour: 500, Concurrent: 4},
		AWSSecrets: AWSSecrets{Refresh: Duration(5 * time.Minute)},
		Log:        Log{Format: "auto", Level: "info"},
		Tracing:    Tracing{Ratio: 1},
	}
}

// Load reads and checks the config at path, with references taken from the
// process's environment. An error of type [Errors] lists all that is wrong.
func Load(path string, opts ...Option) (*Config, error) {
	return load(path, new(files), opts)
}

// load notes in read what it reads, also when the config is wrong.
func load(path string, read *files, opts []Option) (*Config, error) {
	data, err := read.file(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parse(path, data, read, opts)
}

// Env looks a variable up, as [os.LookupEnv] does.
type Env = func(name string) (value string, set bool)

// Parse checks a config given as text. name stands in errors, and its folder is
// what relative paths in the config are relative to.
func Parse(name string, data []byte, env func(string) (string, bool), opts ...Option) (*Config, error) {
	return parse(name, data, new(files), append([]Option{WithEnv(env)}, opts...))
}

// Option changes how a config is read.
type Option func(*reading)

type reading struct {
	env     Env
	offline bool
	unread  bool
	inAWS   func(awssecret.Settings, []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer
}

// WithEnv replaces the process's environment.
func WithEnv(env Env) Option { return func(r *reading) { r.env = env } }

// Offline reads nothing but the config itself: references may be unset, secrets
// stay empty, and definition files are not opened. It is for commands that show
// what would happen and contact nothing.
func Offline() Option { return func(r *reading) { r.offline = true } }

func parse(name string, data []byte, read *files, opts []Option) (*Config, error) {
	r := reading{env: os.LookupEnv}
	for _, o := range opts {
		o(&r)
	}
	c, wanted, err := r.config(name, data, read, nil)
	if err != nil || len(wanted) == 0 || r.offline || r.unread {
		return c, err
	}
	// AWS is asked once it is known that nothing else is wrong.
	c, _, err = r.config(name, data, read, r.find(c.AWSSecrets.settings(), wanted))
	return c, err
}

// config is made of data with the answers for its secrets in AWS. Without
// answers those are only checked for their form, and listed.
func (r *reading) config(name string, data []byte, read *files, answers map[awssecret.Ref]awssecret.Answer) (*Config, []awssecret.Wanted, error) {
	d := newDecoder(name, read, r.env, r.offline)
	d.answers = answers
	c := Default()
	c.file, c.dir, c.read, c.variables = name, filepath.Dir(name), read, d.variables
	if root := d.parse(data); root != nil {
		d.decode(root, c)
	}
	d.checkAll(c)
	if err := d.errors(); err != nil {
		return nil, nil, err
	}
	c.secretFiles = d.secretFiles
	return c, d.wanted, nil
}

// File is the path the config was read from.
func (c *Config) File() string { return c.file }

// Variables are the environment variables that the config names, each with
// whether it is a part of a secret.
func (c *Config) Variables() map[string]bool { return c.variables }

// Files are the paths of what the config was made from: its file, and those
// that it names for secrets and definitions.
func (c *Config) Files() []string {
	if c.read == nil {
		return nil
	}
	return slices.Clone(c.read.names)
}

// SecretFiles are the paths of the files that hold secrets of the service and of
// its builds.
func (c *Config) SecretFiles() []string {
	return append(slices.Clone(c.secretFiles), c.BuildSecretFiles()...)
}

// Warnings list what is valid but probably not meant, such as a pattern that a
// later one takes out.
func (c *Config) Warnings() []string { return c.warnings }

// Samples shows what each route's environment template makes of a branch or tag.
func (c *Config) Samples() []router.Sample { return c.samples }

// Resolve makes a path of the config relative to the config's folder.
func (c *Config) Resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}
