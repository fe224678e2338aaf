package dispatch

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchyard/internal/event"
)

// Journal is the durable record of deliveries, requests and statuses.
//
// Every method that writes returns nil only once the change survives a crash,
// and applies as a whole or not at all. An error may also mean that the change
// was applied and only its report was lost, so every write is safe to repeat.
// All methods are safe for concurrent use; the context bounds the wait, and a
// write whose context ended may still be applied.
//
// An implementation decides nothing: states, times and texts come from the
// [Dispatcher]. The suite journaltest.Run says what it must do.
type Journal interface {
	Appender
	Deferrals
	Requests
	Reader
	Outbox
	Answers
	Audits
	Approvals
}

// Appender takes deliveries.
type Appender interface {
	// Append makes a delivery durable. Concurrent calls share one commit, and
	// are served before all other writes. A delivery that is known by source
	// and delivery ID is not appended again; whether its body was another is
	// told by [Appended].
	Append(ctx context.Context, d NewDelivery) (Appended, error)
	// Reopen makes an expanded delivery pending again. One that is set aside
	// stays so, and is due at once if it waits for the git host.
	Reopen(ctx context.Context, id string) error
	// Pending returns the oldest deliveries that are not expanded, with their
	// event, at most limit.
	Pending(ctx context.Context, limit int) ([]PendingDelivery, error)
	// Expand records what routing made of deliveries, in the order in which
	// Pending returned them: their requests, and the reasons for those left
	// out. An expansion of a delivery that is not pending changes nothing. It
	// returns what changed, in order.
	//
	// A request exists already when one has its ID, or when one has the ID of
	// its Former identity and that environment or its own. It is not made again
	// then, but recorded as [AlreadyRequested] where another delivery asked.
	//
	// Two moves of a ref are exceptions, and add the next attempt, under this
	// delivery and with its input, even while the one before has not ended. One
	// is a push that leads its ref (see [Move.Leads]) back to a commit that an
	// earlier push had brought to the same ref: the request of that commit runs
	// again if it says Revisit, and is recorded as [MovedBack] if not. The other
	// is the deletion of a ref, or the closing of a pull request, for which moves
	// have asked for something since the end of the same commit was last
	// requested: what they set up is torn down. The tip of a ref is what the last
	// expanded Move left.
	//
	// A new request with CancelSuperseded ends what older deliveries asked for
	// in its lane, as [Superseding] says.
	//
	// Acts of a command are done in order, in the same step as all else; one that
	// does not fit the state its execution is in by then changes nothing. What
	// became of each is recorded as [Acted] says, and told in the Answers.
	//
	// A delivery with a Deferral is set aside instead, and counts as expanded
	// for those behind it: see [Deferrals]. So is one that comes after a delivery
	// that is set aside, on the same Lane: it waits behind the newest of these,
	// for [WaitsBehind], and is pending once that is expanded. Neither is said of
	// deliveries that were expanded before and are expanded again.
	Expand(ctx context.Context, expansions []Expansion) ([]Change, error)
}

// Deferrals are the deliveries that [Appender.Expand] has set aside. What does
// not fit a delivery's state, because it was applied before, changes nothing.
type Deferrals interface {
	// Deferred returns those whose time to ask the git host has come; and when the
	// next one's comes, as Due does. However many that the query leaves out wait,
	// they take no place in the answer.
	Deferred(ctx context.Context, now time.Time, q DeferredQuery) ([]DeferredDelivery, time.Time, error)
	// Postpone counts a try in vain and sets the time of the next. learned, the
	// event with what was found out so far, takes the event's place unless nil.
	Postpone(ctx context.Context, delivery int64, due time.Time, reason string, learned []byte) error
	// Complete puts an event in the place of the delivery's, unless it is nil,
	// and makes it pending again. unknown says what could not be found out, if
	// anything.
	Complete(ctx context.Context, delivery int64, event []byte, commits int, unknown string) error
}

// DeferredQuery says which of the [Deferrals] are asked for.
type DeferredQuery struct {
	// Laneless selects those without a [Expansion.Lane], which commands are, and
	// otherwise those with one.
	Laneless bool
	// Limit is how many there are at most, and Except are the sources to be left out.
	Limit  int
	Except []string
}

// Requests moves requests from state to state. A record that does not fit the
// state its request is in changes nothing.
type Requests interface {
	// Due returns ready requests whose time has come, with input, in the order
	// in which they fell due, at most limit; and when the next one falls due
	// if there were fewer, zero if there is none.
	Due(ctx context.Context, now time.Time, limit int) ([]Execution, time.Time, error)
	// Running returns running requests with a higher Seq than after, in order,
	// that were started no later than the given time, at most limit.
	Running(ctx context.Context, after int64, startedBy time.Time, limit int) ([]Execution, error)
	// Stopping returns running requests whose end was asked for and which are
	// due to be stopped, at most limit; and when the next one falls due, as Due
	// does.
	Stopping(ctx context.Context, now time.Time, limit int) ([]Execution, time.Time, error)
	// Hasten makes due at the time now, in one small step, requests that are
	// ready or due to be stopped and fall due later than after, which is no
	// earlier than now: those of a state machine, or of all if it is empty, and
	// then also deliveries that are set aside, which count as set aside by then.
	// It returns how many of both; 0 means that it is done.
	Hasten(ctx context.Context, stateMachine string, after, now time.Time) (int, error)
	// Record records what the engine said. It returns what changed, in order.
	Record(ctx context.Context, r Records) ([]Change, error)
	// Admit makes the oldest waiting requests of an environment ready, due at
	// once, while fewer than limit of it are ready or running; limit 0 admits
	// all, in steps. It returns the changes; none means that there is nothing
	// left to admit now.
	Admit(ctx context.Context, environment string, limit int, now time.Time) ([]Change, error)
	// RequestStop asks for the end of a request: a waiting one becomes aborted,
	// or is as it had ended ([Withdrawal]) if it waits to be redriven; one that is
	// ready or running is marked, due at once if it was not before. [ErrNotFound]
	// when it is unknown, [ErrFinished] when it has ended.
	RequestStop(ctx context.Context, id string, s StopRequest) ([]Change, error)
	// Redrive makes a request that is finished in the state s.From wait again,
	// its tries and why it was to be stopped forgotten: a dead one as if it were
	// new, and one that failed, timed out or was aborted under an ARN as one to
	// be redriven, which keeps its ARN and what its end said, and counts it.
	// [ErrNotFound] when it is unknown, [ErrNotRedrivable] when it is none of
	// these.
	Redrive(ctx context.Context, id string, s Resume) ([]Change, error)
	// Rerun adds the next attempt at a finished request, named by [AttemptID],
	// under the same delivery and with the same input, and returns its ID.
	// [ErrNotFound] when it is unknown, [ErrUnfinished] when it has not ended.
	Rerun(ctx context.Context, id, reason string, s Resume) (string, []Change, error)
	// Prune removes, in one small step, finished requests that ended before
	// the given time and deliveries received before it that have none left. It
	// returns how many rows went; 0 means that it is done. It waits before the
	// step as long as that helps deliveries, and refuses while the system's
	// clock cannot be believed.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// Reader answers questions; it changes nothing and waits for no writer.
type Reader interface {
	Executions(ctx context.Context, f ExecutionFilter) (ExecutionPage, error)
	// Execution returns one execution with input and output, or [ErrNotFound].
	Execution(ctx context.Context, id string) (Execution, error)
	Deliveries(ctx context.Context, f DeliveryFilter) (DeliveryPage, error)
	// Delivery returns one delivery, by ID, or [ErrNotFound].
	Delivery(ctx context.Context, id string) (DeliveryDetail, error)
	// Reasons returns those of one delivery, without all else that there is of it,
	// or [ErrNotFound].
	Reasons(ctx context.Context, id string) ([]Ignored, error)
	// LeftOut lists the commits that deliveries started nothing for, newest first.
	LeftOut(ctx context.Context, f LeftOutFilter) (LeftOutPage, error)
	// Foresee says which of the requests [Appender.Expand] would find, if a
	// delivery that makes this move (nil for none) was expanded now. tip stands
	// for the one that is known of the ref, unless it is nil.
	Foresee(ctx context.Context, requests []*event.Request, move *Move, tip *string) ([]Foreseen, error)
	// KnownCommits returns what deliveries said of these commits of a
	// repository, by SHA, as far as it is known.
	KnownCommits(ctx context.Context, source, repository string, shas []string) (map[string]event.Commit, error)
	// Holders returns the repositories whose events were about a commit.
	Holders(ctx context.Context, sha string) ([]Holder, error)
	// Tip returns the commit at which the last push that was expanded left a
	// ref, "" when that is not known or the ref was deleted.
	Tip(ctx context.Context, source, repository, ref string) (sha string, err error)
	// RequestIDs returns the IDs of requests with a higher Seq than after, in
	// order, at most limit, and the Seq of the last.
	RequestIDs(ctx context.Context, after int64, limit int) (ids []string, last int64, err error)
	// WaitingEnvironments lists the environments that have requests waiting.
	WaitingEnvironments(ctx context.Context) ([]string, error)
	// Unfinished counts the requests of each unfinished state, the deliveries
	// still to be expanded or set aside, and the statuses and answers still to be
	// posted.
	Unfinished(ctx context.Context) (Depth, error)
}

// Audits keeps what an audit of repositories goes by.
type Audits interface {
	// Repositories lists, sorted, those of a source of which a ref was moved, or
	// that were audited; of those that differ by capitals alone, the former.
	Repositories(ctx context.Context, source string) ([]string, error)
	// Audited returns what [Audits.KeepAudited] kept of a repository last, nil if
	// nothing.
	Audited(ctx context.Context, source, repository string) ([]byte, error)
	KeepAudited(ctx context.Context, source, repository string, state []byte, at time.Time) error
	// Heard returns the events of a repository's deliveries with a higher Seq
	// than after, in order, expanded or not, and the Seq up to which it has
	// looked; more says that there are deliveries beyond that. It looks at so
	// many that it answers soon.
	Heard(ctx context.Context, source, repository string, after int64) (evs []event.Event, last int64, more bool, err error)
}

// Holder is a repository that a commit belongs to, or was offered to.
type Holder struct {
	Source, Repository string
	// Own is false when only pull requests from forks have brought the commit.
	Own bool
}

// Depth is how much work lies in the journal.
type Depth struct {
	Deliveries int64
	// Completing are the deliveries that are set aside.
	Completing int64
	Waiting    int64
	Ready      int64
	Running    int64
	Statuses   int64
	// Answers are those to commands that are still to be given.
	Answers int64
}

// NewDelivery is a delivery to be made durable.
type NewDelivery struct {
	Source     string
	DeliveryID string
	Kind       event.Kind
	Repository string
	Ref        string
	Commits    int
	ReceivedAt time.Time
	// Event is the event as JSON.
	Event       []byte
	Traceparent string
	// Digest is the SHA-256 of the delivery's body in hex, "" when it is not
	// known.
	Digest string
}

// Appended is where a delivery is in the journal.
type Appended struct {
	Seq int64
	// Existed is true when the delivery was known already, and Differs when its
	// body was another then, by its digest. One that is not known differs from
	// none.
	Existed, Differs bool
}

// Foreseen is what expanding a request would come to.
type Foreseen struct {
	// ID names the execution that stands for the request: the one that exists,
	// or the one that is to be made.
	ID string
	// New is true for one that is to be made.
	New bool
}

// PendingDelivery is a delivery to be expanded.
type PendingDelivery struct {
	Seq        int64
	ID         string
	ReceivedAt time.Time
	Event      []byte
	// Reopened is true when it was expanded before; see [Appender.Reopen].
	Reopened bool
	// Completed is true when the git host was asked for what the delivery left
	// out, and Unknown says what it did not tell.
	Completed bool
	Unknown   string
}

// DeferredDelivery is a delivery that is set aside since a time, after some
// tries to ask its git host.
type DeferredDelivery struct {
	Seq   int64
	ID    string
	Since time.Time
	Tries int
}

// Deferral says that a delivery is not to be expanded before the git host was
// asked, from when on, and for what.
type Deferral struct {
	DueAt  time.Time
	Reason string
}

// WaitsBehind is what a delivery waits for that came after another which is set
// aside.
func WaitsBehind(delivery string) string {
	return "delivery " + delivery + ", which came before it and is not complete yet"
}

// Expansion is what routing made of one delivery.
type Expansion struct {
	Delivery int64
	Requests []NewRequest
	Ignored  []Ignored
	// Move is what the delivery did to its ref; nil when it moved none, or was
	// expanded before.
	Move *Move
	// Lane names the deliveries that keep their order; "" is none, for commands.
	Lane string
	// Learned is what the delivery says of commits of a repository.
	Source, Repository string
	Learned            []event.Commit
	// Commits are the IDs of those that the delivery is about. Fork says that
	// they are a fork's, offered in a pull request; otherwise they are in the
	// repository itself. What is said later adds to that.
	Commits  []string
	Fork     bool
	Deferral *Deferral
	// Acts are what a command does to executions, and Answers what is said or done
	// about a pull request at its host.
	Acts    []Act
	Answers []Answer
	// Labeled is a label that was given to a pull request, as the answer that would
	// take it off: none of before does.
	Labeled *Answer
	At      time.Time
	// gap says that it went on without what nobody told.
	gap bool
}

// NewRequest is a request to be recorded.
type NewRequest struct {
	event.Request
	// State is StateWaiting or StateReady.
	State State
	// DueAt is when a ready request may be started.
	DueAt time.Time
	// Status is wanted for the commit. Nil means that the commit gets none for
	// this request, now or later: a StatusChange that comes with one of the
	// other records applies only to requests that came with one.
	Status *StatusChange
	// Retell wants the status of a request that exists already once more, as it
	// is by now, if that came with one: a pull request has been opened that shows
	// it.
	Retell bool
}

// Superseding is how a newer request ends an older one in its lane, where the
// route asks for it. One that waits becomes superseded, or is as it had ended
// ([Withdrawal]) if it waits to be redriven; one that is ready or running is
// marked to be stopped.
//
// A lane is one route, source, repository, head repository, ref, kind, pull
// request, and teardown or none: a fork's main never stops that of the
// repository, nor a build a teardown.
//
// Older is what an older delivery asked for, in order of arrival. So the
// commits of one push never supersede one another, since every commit of a
// push is promised to run; and a delivery that is replayed, or a rerun, which
// belongs to the delivery of the first attempt, never supersedes what came
// after it. Only requests made while the route asked for it are superseded.
func Superseding(newer string) (stopReason string, status StatusChange) {
	reason := "superseded by " + newer
	return reason, StatusChange{State: StatusError, Description: clip("Superseded by a newer commit: "+newer, maxDescription)}
}

// AttemptID names an attempt at a request: the base itself for the first, then
// "<base>-r2" and so on. A base that leaves no room for the suffix is cut, and
// told apart by a checksum.
func AttemptID(base string, attempt int) string {
	if attempt <= 1 {
		return base
	}
	suffix := "-r" + strconv.Itoa(attempt)
	if len(base)+len(suffix) > maxName {
		suffix = fmt.Sprintf("-%08x%s", crc32.ChecksumIEEE([]byte(base)), suffix)
		base = base[:maxName-len(suffix)]
	}
	return base + suffix
}

const (
	// maxName is the longest execution name that Step Functions takes.
	maxName = 80
	// maxDescription is the longest description that GitHub takes.
	maxDescription = 140
	maxTitle       = 200
)

// TitleOf is the first line of a commit's message as [Execution.Title] has it.
func TitleOf(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return clip(strings.TrimSuffix(line, "\r"), maxTitle)
}

// clip cuts s to at most n bytes, at a rune's edge, and makes it valid UTF-8.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// StatusChange is the status a commit should show from now on.
type StatusChange struct {
	State       StatusState
	Description string
	// After is how long it may wait for a change that takes its place, before
	// anybody is told.
	After time.Duration
	// Approval is the ID of the approval that the execution waits for, "" for none.
	Approval string
}

// Resume is how a request comes back into the queue.
type Resume struct {
	// From is the state that a redrive begins with.
	From State
	// State is StateWaiting or StateReady.
	State  State
	At     time.Time
	Status StatusChange
}

// StopRequest says why a request is to end. Status applies if it ends at once.
type StopRequest struct {
	Reason string
	At     time.Time
	Status StatusChange
}

// Records is what the engine said of some requests.
type Records struct {
	Started []StartRecord
	// Failed are start or stop calls to be repeated later.
	Failed []FailureRecord
	// Ended are requests that are finished.
	Ended []EndRecord
	// Withdrawn are redrives that are given up.
	Withdrawn []WithdrawalRecord
	At        time.Time
}

// WithdrawalRecord makes a request that waits to be redriven, or is ready to be,
// what it was before, with the reason as its last error.
type WithdrawalRecord struct {
	Seq    int64
	Reason string
	Status StatusChange
}

// StartRecord makes a ready request running. What is said of it later counts as
// its end only if that is later than the one it was redriven from.
type StartRecord struct {
	Seq       int64
	ARN       string
	StartedAt time.Time
	// Status is wanted from now on; nil leaves the one there is.
	Status *StatusChange
}

// FailureRecord counts a call that failed and says when to repeat it.
type FailureRecord struct {
	Seq int64
	// Error is empty for a call that only has to be repeated; it counts as a
	// try otherwise, unless Uncounted says that it cannot have had an effect.
	// A request without a try whose end was asked for meanwhile stays due then.
	Error     string
	Uncounted bool
	DueAt     time.Time
	// Status applies to a request that is ready; nil leaves the one there is.
	Status *StatusChange
}

// EndRecord finishes a request.
type EndRecord struct {
	// Seq names an unfinished request. Where it is 0, ID does, and the request
	// must be running, or have ended earlier than StoppedAt, under this ARN. One
	// that is redriven, or waits for that, must have ended earlier too, unless the
	// record has no ARN and the request runs.
	Seq int64
	ID  string
	// ARN is empty for a request that never started.
	ARN string
	// State is a finished state.
	State     State
	StartedAt time.Time
	StoppedAt time.Time
	Output    string
	Error     string
	Cause     string
	Status    StatusChange
}
