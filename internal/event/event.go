// Package event holds the nouns that every room of Switchyard shares.
//
// It is data only: no I/O, no clock, nothing but the standard library. A value
// of any type here may be read by several goroutines once it is built; nobody
// changes it afterwards.
package event

import (
	"strings"
	"time"
)

// Kind says what happened at the git host.
type Kind string

// The kinds of event that routes can name under "on".
const (
	Push        Kind = "push"
	PullRequest Kind = "pull_request"
	Delete      Kind = "delete"
	// MergeGroup is what a merge queue is about to merge.
	MergeGroup Kind = "merge_group"
)

// Command is the kind of an event in which a person asks for something, such
// as a comment or a button of a check. No route starts anything for it.
const Command Kind = "command"

// Event is a delivery, decoded and host-neutral.
//
// Its strings come from the outside: branch names, messages and paths are
// hostile until escaped for wherever they are shown.
type Event struct {
	// Source is the name of the source in the config, for example "github".
	Source string `json:"source"`
	// DeliveryID is the host's own ID of the delivery; it is the same when the
	// host delivers again.
	DeliveryID string `json:"delivery_id"`
	Kind       Kind   `json:"kind"`
	// Action refines a pull request event: opened, synchronize, reopened,
	// ready_for_review, edited (its base changed), closed, labeled or unlabeled, and allowed,
	// which no host says: a person lets the one commit of a fork run. Of a merge
	// group it is checks_requested or destroyed. Empty otherwise.
	Action     string     `json:"action,omitempty"`
	Repository Repository `json:"repository"`
	// Ref is the full name of the ref the commits are on: refs/heads/… or
	// refs/tags/…. For a pull request it is the head branch.
	Ref string `json:"ref"`
	// Before and After are the ref's commits around a push or deletion. Before
	// is empty when the ref was created, After when it was deleted.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Head is what the host calls the commit that Ref is at now, where it does not
	// tell its ID: the first digits of that, or the ID of a tag. After and Commits
	// are empty then and Truncated is set: the host is asked for the commits, of
	// which the last becomes After, and nothing starts before it has answered. So
	// it is with a pull request of whose head nothing is told, and no Head.
	Head string `json:"head,omitempty"`
	// BeforeUnknown says that a push has no Before because the host does not
	// tell, and not because the ref was created. Where the journal knows the
	// ref, the push is taken to lead on from there.
	BeforeUnknown bool `json:"before_unknown,omitempty"`
	Forced        bool `json:"forced,omitempty"`
	// Commits lists what the event brought, oldest first. For a pull request
	// that is what its base has not, of which hosts tell the head alone; for a
	// deletion the last commit of the ref.
	Commits []Commit `json:"commits,omitempty"`
	// Truncated says that the host listed only a part of the commits: the rest
	// is asked for at the host's API where a route takes it, or recorded as left
	// out. A pull request that was closed is about its head alone, and never
	// Truncated.
	Truncated bool `json:"truncated,omitempty"`
	// Total is how many commits the host says there are, 0 when it does not say.
	Total       int      `json:"total,omitempty"`
	PullRequest *PullReq `json:"pull_request,omitempty"`
	// Late says that the event was found out about afterwards, when newer ones of
	// its ref had come already: it moves no ref and supersedes nothing.
	Late bool `json:"late,omitempty"`
	// MergeGroup is what events of that kind are about. Their ref is the group's
	// own branch, and their commit its head.
	MergeGroup *Group `json:"merge_group,omitempty"`
	// Command is what a person asks for, for events of that kind.
	Command *Order `json:"command,omitempty"`
	// Sender is the login of who caused the event; for a command, of who asks.
	Sender string `json:"sender,omitempty"`
	// SenderNames are the other names of the Sender that the host tells, as
	// [OtherNames] has them.
	SenderNames []string `json:"sender_names,omitempty"`
	// CloneRefused says, for a person, why Repository.CloneURL is not what the
	// delivery said; empty where it is, or the delivery said nothing.
	CloneRefused string `json:"clone_refused,omitempty"`
	// Digest is the SHA-256 of the delivery's raw body in hex, empty when it is
	// not known. It tells two deliveries apart that carry the same ID.
	Digest string `json:"-"`
}

// Unnamed reports whether the event is about a commit whose ID it does not tell;
// see Head.
func (e *Event) Unnamed() bool {
	return e.Truncated && e.After == "" && len(e.Commits) == 0 && e.Kind != Delete
}

// Branch is the short name of the event's branch, or "" when the ref is not a
// branch.
func (e *Event) Branch() string {
	if b, ok := strings.CutPrefix(e.Ref, "refs/heads/"); ok {
		return b
	}
	return ""
}

// Tag is the short name of the event's tag, or "" when the ref is not a tag.
func (e *Event) Tag() string {
	if t, ok := strings.CutPrefix(e.Ref, "refs/tags/"); ok {
		return t
	}
	return ""
}

// Repository names a repository of a source.
type Repository struct {
	// FullName is "owner/name" where the host has owners, else the name.
	FullName string `json:"full_name"`
	// CloneURL is where a build fetches from: by the config, and not what the
	// delivery says. A URL or a path of this machine; empty where the config does
	// not tell.
	CloneURL string `json:"clone_url,omitempty"`
	HTMLURL  string `json:"html_url,omitempty"`
	// DefaultBranch is a short branch name, empty when unknown.
	DefaultBranch string `json:"default_branch,omitempty"`
}

// Commit is one commit as the host described it.
type Commit struct {
	SHA     string `json:"sha"`
	Message string `json:"message,omitempty"`
	// MessageKnown tells an empty message from one that the host left out, as
	// pull request events do. Events recorded before it existed lack it; see
	// [Commit.KnowsMessage].
	MessageKnown bool `json:"message_known,omitempty"`
	// Author is the login where the host knows one, else the name.
	Author      string `json:"author,omitempty"`
	AuthorEmail string `json:"author_email,omitempty"`
	URL         string `json:"url,omitempty"`
	// Distinct is false when the host had seen the commit before this push.
	Distinct bool `json:"distinct"`
	// Paths are the files the commit added, changed or removed. PathsKnown is
	// false when the host did not say, which is not the same as no file.
	Paths      []string `json:"paths,omitempty"`
	PathsKnown bool     `json:"paths_known,omitempty"`
}

// KnowsMessage reports whether Message is what the commit says, and not merely
// empty because nobody told.
func (c *Commit) KnowsMessage() bool { return c.MessageKnown || c.Message != "" }

// Group is what an event of a merge queue adds.
type Group struct {
	// Base is the short name of the branch to be merged into, at BaseSHA.
	Base    string `json:"base"`
	BaseSHA string `json:"base_sha,omitempty"`
	// Gone is why the group is gone, empty while it is not: merged, invalidated,
	// dequeued, or gone where the host does not say.
	Gone string `json:"gone,omitempty"`
}

// Learn adds to c what only known, which is the same commit, says.
func (c *Commit) Learn(known *Commit) {
	if !c.KnowsMessage() && known.KnowsMessage() {
		c.Message, c.MessageKnown = known.Message, true
	}
	if !c.PathsKnown && known.PathsKnown {
		c.Paths, c.PathsKnown = known.Paths, true
	}
	for _, field := range []struct{ to, from *string }{{&c.Author, &known.Author}, {&c.AuthorEmail, &known.AuthorEmail}, {&c.URL, &known.URL}} {
		if *field.to == "" {
			*field.to = *field.from
		}
	}
}

// PullReq is what a pull request event adds.
type PullReq struct {
	Number int `json:"number"`
	// Base is the short name of the branch to be merged into.
	Base    string `json:"base"`
	BaseSHA string `json:"base_sha,omitempty"`
	// OldBase is the base before an action edited that changed it.
	OldBase string `json:"old_base,omitempty"`
	Title   string `json:"title,omitempty"`
	Author  string `json:"author,omitempty"`
	// AuthorNames are the other names of the Author, where Author alone may be
	// somebody else's too.
	AuthorNames []string `json:"author_names,omitempty"`
	Labels      []string `json:"labels,omitempty"`
	// LabelsVouched says that the host lets nobody open a pull request with labels
	// who may not give them later. Elsewhere a stranger may have chosen those that
	// it was opened with.
	LabelsVouched bool `json:"labels_vouched,omitempty"`
	// Label is the label that an action labeled has just given, or unlabeled
	// taken off. Routes that let a fork run once labeled trust the former, and no
	// label given earlier.
	Label  string `json:"label,omitempty"`
	Draft  bool   `json:"draft,omitempty"`
	Merged bool   `json:"merged,omitempty"`
	// Merge is the commit that the host has made of merging the head into the base,
	// to try that; Conflict is why there is none, such as a conflict. Both are empty
	// until the host was asked: no delivery tells of its own head.
	Merge    string `json:"merge,omitempty"`
	Conflict string `json:"conflict,omitempty"`
	// Fork is true when the head is in another repository than the base, or
	// in none any more.
	Fork     bool   `json:"fork,omitempty"`
	HeadRepo string `json:"head_repo,omitempty"`
}

// MaxInput is the longest input of an execution that Step Functions takes, in
// bytes of UTF-8.
const MaxInput = 262_144

// Request is one commit × one route × the environment that the route gives it:
// an execution that must be started.
//
// ID is a function of source, repository, commit, route and environment, so
// the same request is recognised wherever it comes from.
type Request struct {
	// ID is the execution's name: 1–80 characters of [0-9A-Za-z_-].
	ID    string `json:"id"`
	Route string `json:"route"`
	// StateMachine is the name under state_machines in the config.
	StateMachine string `json:"state_machine"`
	// Environment is where the execution deploys, "" for none.
	Environment string `json:"environment,omitempty"`
	Source      string `json:"source"`
	Repository  string `json:"repository"`
	Ref         string `json:"ref"`
	Kind        Kind   `json:"kind"`
	PullRequest int    `json:"pull_request,omitempty"`
	Commit      Commit `json:"commit"`
	// HeadRepository is where a pull request's head is, when that is another
	// repository than Repository; empty otherwise.
	HeadRepository string `json:"head_repository,omitempty"`
	// Teardown is true for what the end of a branch or pull request starts. It
	// never supersedes a build and is never superseded by one.
	Teardown bool `json:"teardown,omitempty"`
	// Former is how the request was known before its environment was part of
	// its identity; nil when it never was.
	Former *FormerIdentity `json:"-"`
	// Input is the execution input, a JSON object of at most 262,144 bytes.
	Input []byte `json:"-"`
	// CancelSuperseded asks that older executions of the same route, source,
	// repository, head repository, ref, kind and pull request are stopped once
	// this one exists.
	CancelSuperseded bool `json:"cancel_superseded,omitempty"`
	// Revisit asks for another attempt where a push moves its branch back to a
	// commit that was requested before.
	Revisit bool `json:"revisit,omitempty"`
	// Reason says, for a person, why the request exists.
	Reason string `json:"reason"`
}

// FormerIdentity is the name and environment that a version before the
// environment became part of the identity gave the same request. A journal that
// holds a request with both counts it as this one.
type FormerIdentity struct {
	ID          string
	Environment string
}

// Ignored records why a route, or a commit of it, starts nothing.
type Ignored struct {
	// Route is empty when the reason concerns the whole event.
	Route string `json:"route,omitempty"`
	// Commit is empty when the reason concerns every commit.
	Commit string `json:"commit,omitempty"`
	Reason string `json:"reason"`
}

// Plan is what routing made of one event.
type Plan struct {
	Requests []Request
	Ignored  []Ignored
	// Lacks lists commits of which a route had to decide without their message
	// or paths, since the event did not tell. Whoever can find out does so and
	// plans again.
	Lacks []Lack
	// Outdated are labels that let a fork's commit run and were given before the
	// newest one came: they are to be taken off.
	Outdated []string
	// Unmerged says that a route builds what the head of the pull request would be
	// merged to, which the event does not tell.
	Unmerged bool
	// Unlisted says that a route takes commits which the event is about and does
	// not list, because it is Truncated.
	Unlisted bool
}

// Lack is what a plan would have needed to know of a commit.
type Lack struct {
	Route   string
	Commit  string
	Message bool
	Paths   bool
}

// Receipt tells a source what became of its delivery.
type Receipt struct {
	// Delivery is the ID under which the journal keeps the delivery.
	Delivery string
	// Executions are the names of the executions the delivery asks for.
	Executions []string
	// New is how many of them nobody had asked for before.
	New int
	// Ignored says why there are none; empty when there are some.
	Ignored string
	// Duplicate is true when the delivery was already known.
	Duplicate bool
	// Note says what the sender should know besides, or is empty.
	Note string
}

// ExecutionStatus is Step Functions' word for where an execution is.
type ExecutionStatus string

// The statuses of Step Functions' DescribeExecution.
const (
	Running        ExecutionStatus = "RUNNING"
	Succeeded      ExecutionStatus = "SUCCEEDED"
	Failed         ExecutionStatus = "FAILED"
	TimedOut       ExecutionStatus = "TIMED_OUT"
	Aborted        ExecutionStatus = "ABORTED"
	PendingRedrive ExecutionStatus = "PENDING_REDRIVE"
)

// Closed reports whether the execution has ended.
func (s ExecutionStatus) Closed() bool {
	return s == Succeeded || s == Failed || s == TimedOut || s == Aborted
}

// Outcome is what an engine says of one execution, by event or when asked.
type Outcome struct {
	// ExecutionARN identifies the execution at its engine.
	ExecutionARN string          `json:"execution_arn"`
	Name         string          `json:"name"`
	Status       ExecutionStatus `json:"status"`
	StartedAt    time.Time       `json:"started_at"`
	// StoppedAt is zero while the execution runs.
	StoppedAt time.Time `json:"stopped_at"`
	// Input and Output are JSON texts, empty when the engine left them out.
	Input  string `json:"input,omitempty"`
	Output string `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
	Cause  string `json:"cause,omitempty"`
	// NotRedrivable is why the engine would not let it go on from where it
	// ended; empty when it would, or did not say.
	NotRedrivable string `json:"not_redrivable,omitempty"`
}
