package dispatch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ApprovalState is how far an approval has come.
type ApprovalState string

// The states of an approval. Only a waiting one can be decided.
const (
	ApprovalWaiting  ApprovalState = "waiting"
	ApprovalApproved ApprovalState = "approved"
	ApprovalRejected ApprovalState = "rejected"
	// ApprovalExpired was not decided in time, or so late that the execution did
	// not wait for it any more.
	ApprovalExpired ApprovalState = "expired"
	// ApprovalWithdrawn belongs to an execution that ended before.
	ApprovalWithdrawn ApprovalState = "withdrawn"
)

// Way is how a decision reached us.
type Way string

// The ways to decide.
const (
	ByCommandLine Way = "command line"
	ByAPI         Way = "API"
	ByPage        Way = "page"
	ByLink        Way = "signed link"
	ByButton      Way = "check button"
	ByComment     Way = "comment"
)

// Approval is what a state machine asks a person, and what became of that. The
// token with which the state machine waits is not part of it: nobody is shown it.
type Approval struct {
	// ID is made of the token: asking again with the same one is the same approval.
	ID string `json:"id"`
	// Execution is the ID of the one that waits; the next fields are its own, and
	// tell what goes out when it is let go on.
	Execution   string `json:"execution"`
	Source      string `json:"source"`
	Repository  string `json:"repository"`
	Ref         string `json:"ref"`
	Route       string `json:"route"`
	Environment string `json:"environment,omitempty"`
	SHA         string `json:"sha"`
	// Merge is what goes out where the route checks out the merge of a pull request,
	// of which SHA is the head; else "".
	Merge string `json:"merge,omitempty"`
	// Message is the first line of the commit's.
	Message string `json:"message,omitempty"`
	Author  string `json:"author,omitempty"`

	// Title is what the state machine asks for.
	Title string `json:"title"`
	// AskedBy is on whose behalf it asks, and PushedBy who sent the commit here, as
	// far as the git host told.
	AskedBy  string `json:"asked_by,omitempty"`
	PushedBy string `json:"pushed_by,omitempty"`
	// Own are all names of those whose own the commit is, which nobody is shown: of
	// its author, of who opened the pull request, and of who pushed it.
	Own []string `json:"-"`
	// Approvers are those who may decide; empty for everybody who has a way to.
	Approvers []string `json:"approvers,omitempty"`
	// Live is the commit that the last successful execution of the same state
	// machine brought to the environment, "" where that is not known, and Diff the
	// address of what has changed since, or the one that the state machine gave.
	Live    string    `json:"live,omitempty"`
	Diff    string    `json:"diff,omitempty"`
	AskedAt time.Time `json:"asked_at"`
	// ExpiresAt is zero where the state machine set no limit.
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	State     ApprovalState `json:"state"`
	DecidedAt time.Time     `json:"decided_at,omitzero"`
	DecidedBy string        `json:"decided_by,omitempty"`
	Way       Way           `json:"way,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	// ToldAt is when the execution was told the decision, zero until then, and
	// LastError what telling it failed with last.
	ToldAt    time.Time `json:"told_at,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// Limits of what a state machine may say when it asks.
const (
	maxToken     = 2048 // SendTaskSuccess, "taskToken"
	maxApprovers = 100
	maxPerson    = 100
	maxDiff      = 1000
	// maxWords is how many bytes of a decision's reason are kept.
	maxWords = 500
	// maxExpiry is how long an execution can run: a year.
	maxExpiry = 366 * 24 * time.Hour
)

// Ask is a state machine's question, as its event tells it.
type Ask struct {
	// Token is that of the task which waits.
	Token string
	// ExecutionARN names the execution that waits.
	ExecutionARN string
	// Title, AskedBy, Approvers and Diff are those of [Approval]; all may be empty.
	Title, AskedBy string
	Approvers      []string
	Diff           string
	// Commit, Repository and Environment are checked against the execution's own
	// where they are given.
	Commit, Repository, Environment string
	// At is when it asked, and ExpiresIn how long it waits from then, 0 for no limit.
	At        time.Time
	ExpiresIn time.Duration
}

// NewApproval is an approval to be recorded. Approval has the fields of the
// question; those of the execution come from the journal.
type NewApproval struct {
	Approval
	// Token is kept until the execution was told, and nowhere else.
	Token string
}

// approvalDigits is how many digits of an approval's ID name it among those of its
// execution, where there is no room for all of them.
const approvalDigits = 12

// ShortApproval is the beginning of an approval's ID, by which a [Decision] may name it.
func ShortApproval(id string) string { return id[:min(len(id), approvalDigits)] }

// ApprovalID names the approval that a token is for. The token cannot be found
// from it.
func ApprovalID(token string) string {
	sum := sha256.Sum256([]byte("switchyard approval\n" + token))
	return hex.EncodeToString(sum[:12])
}

// check says what is wrong with a question, and puts its texts in order.
func (a *Ask) check() error {
	switch {
	case a.Token == "" || len(a.Token) > maxToken:
		return fmt.Errorf("token: %d bytes, a task token has 1 to %d", len(a.Token), maxToken)
	case a.ExpiresIn < 0 || a.ExpiresIn > maxExpiry:
		return fmt.Errorf("expires_in: %v, at most a year is possible", a.ExpiresIn)
	case len(a.Approvers) > maxApprovers:
		return fmt.Errorf("approvers: %d of them, at most %d are possible", len(a.Approvers), maxApprovers)
	case slices.ContainsFunc(a.Approvers, func(p string) bool { return p == "" || len(p) > maxPerson }):
		return fmt.Errorf("approvers: each is a name of 1 to %d bytes", maxPerson)
	case a.Diff != "" && (len(a.Diff) > maxDiff || !strings.HasPrefix(a.Diff, "https://")):
		return fmt.Errorf("diff: an https address of at most %d bytes is expected", maxDiff)
	}
	a.Title, a.AskedBy = clip(a.Title, maxTitle), clip(a.AskedBy, maxPerson)
	if a.Title == "" {
		a.Title = "Approval"
	}
	return nil
}

// contradicts says how a question is about something else than its execution.
func (a *Ask) contradicts(x *Execution, merge string) error {
	for _, f := range []struct{ name, asked, is string }{
		{"commit", a.Commit, cmp.Or(merge, x.SHA)}, {"repository", a.Repository, x.Repository}, {"environment", a.Environment, x.Environment},
	} {
		if f.asked != "" && f.asked != f.is {
			return fmt.Errorf("the approval asks for %s %q, and execution %s is of %q", f.name, clip(f.asked, maxTitle), x.ID, f.is)
		}
	}
	return nil
}

// mergeOf is the commit in an execution's input where that is another than the one
// that it is shown with, as [Approval.Merge] has it.
func mergeOf(x *Execution) string {
	var input struct{ Commit struct{ SHA string } }
	if json.Unmarshal(x.Input, &input) != nil || input.Commit.SHA == x.SHA {
		return ""
	}
	return input.Commit.SHA
}

// Decision is a person's answer.
type Decision struct {
	// Execution is the ID of the execution that waits. Approval is the ID of what is
	// decided, or what [ShortApproval] makes of that. It may be left out where the
	// execution waits for one only, and the person has looked at that one.
	Execution, Approval string
	Approve             bool
	// SHA is the commit that the person has seen: the whole ID, or its first 7
	// digits at least. A decision about another commit is refused. Empty is not
	// bound, for a person who names an execution and looks at it themselves.
	SHA string
	// By is the person, and ByNames are their other names, where the host told them.
	By      string
	ByNames []string
	Way     Way
	Reason  string
	At      time.Time
	// Said is when the person spoke, where that was before At: what was asked since
	// is not decided by it.
	Said time.Time
	// NotOwn refuses an approval by those whose own the commit is.
	NotOwn bool
}

// RefusedError says why a decision was not taken. It is for the person who made
// it.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// State is what the decision makes of an approval.
func (d *Decision) State() ApprovalState {
	if d.Approve {
		return ApprovalApproved
	}
	return ApprovalRejected
}

// Judge says whether a decision may be taken on one of an execution's approvals,
// which are given newest first: the one it is about, and known if the same person
// has decided the same before. Errors are [*RefusedError]. It is for a journal,
// which asks it in the transaction that records the decision.
func Judge(d *Decision, x State, all []Approval) (a Approval, known bool, err error) {
	a, err = pick(d, all)
	if err != nil {
		return a, false, err
	}
	switch {
	case d.SHA != "" && !d.names(a.SHA) && !d.names(a.Merge):
		return a, false, refuse("this is about commit %s, and what waits for approval is commit %s: look at that", shortSHA(d.SHA), a.SHA)
	case a.State == d.State() && strings.EqualFold(a.DecidedBy, d.By):
		return a, true, nil
	case a.State == ApprovalApproved || a.State == ApprovalRejected:
		return a, false, refuse("%s has %s it already%s", a.DecidedBy, a.State, at(a.DecidedAt))
	case a.State == ApprovalWithdrawn || x.Finished():
		return a, false, refuse("the execution has ended")
	case !d.Said.IsZero() && d.Said.Before(a.AskedAt):
		return a, false, refuse("it was asked only after that was said%s: look at it, and decide again", at(a.AskedAt))
	case a.State == ApprovalExpired || !a.ExpiresAt.IsZero() && !d.At.Before(a.ExpiresAt):
		return a, false, refuse("it has expired%s", at(a.ExpiresAt))
	case len(a.Approvers) > 0 && !slices.ContainsFunc(a.Approvers, d.isBy):
		return a, false, refuse("%q is not one of those who are asked: %s", d.By, strings.Join(a.Approvers, ", "))
	case d.NotOwn && d.Approve && d.owns(&a):
		return a, false, refuse("the commit is %s's own, and somebody else has to approve it (approvals.authors)", d.By)
	}
	return a, false, nil
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", at " + t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func (d *Decision) names(sha string) bool {
	return len(d.SHA) >= 7 && strings.HasPrefix(sha, strings.ToLower(d.SHA))
}

func (d *Decision) isBy(name string) bool { return name != "" && strings.EqualFold(name, d.By) }

// owns reports whether the commit of an approval is the person's own. Hosts name
// authors in other ways than those who speak, so that any name of the one is held
// against any name of the other.
func (d *Decision) owns(a *Approval) bool {
	for _, name := range append([]string{a.Author, a.PushedBy}, a.Own...) {
		if d.isBy(name) || name != "" && slices.ContainsFunc(d.ByNames, func(n string) bool { return strings.EqualFold(n, name) }) {
			return true
		}
	}
	return false
}

// pick finds the approval that a decision is about.
func pick(d *Decision, all []Approval) (Approval, error) {
	if d.Approval != "" {
		for i := range all {
			if all[i].ID == d.Approval || ShortApproval(all[i].ID) == d.Approval {
				return all[i], nil
			}
		}
		return Approval{}, refuse("execution %s has no approval %q", d.Execution, clip(d.Approval, maxPerson))
	}
	var waiting []string
	found := -1
	for i := range all {
		if all[i].State == ApprovalWaiting {
			waiting = append(waiting, all[i].ID+" ("+all[i].Title+")")
			found = i
		}
	}
	switch {
	case len(all) == 0:
		return Approval{}, refuse("execution %s does not wait for approval", d.Execution)
	case d.Way == ByButton && len(all) > 1:
		return Approval{}, refuse("the button does not tell which of the %d approvals of execution %s it is for: use that of the newest check", len(all), d.Execution)
	case len(waiting) > 1:
		return Approval{}, refuse("execution %s waits for %d approvals, name one: %s", d.Execution, len(waiting), strings.Join(waiting, ", "))
	case len(waiting) == 1:
		return all[found], nil
	}
	return all[0], nil // the last one says why there is nothing to decide
}

// Verdict is what a state machine gets for an answer: its task's output where it
// was approved, and otherwise the name and cause of its failure.
func (a *Approval) Verdict() (output []byte, errorName, cause string) {
	switch a.State {
	case ApprovalApproved:
		output, _ = json.Marshal(map[string]any{ // of strings and times alone: it cannot fail
			"approval": a.ID, "commit": cmp.Or(a.Merge, a.SHA), "by": a.DecidedBy, "way": a.Way, "reason": a.Reason, "at": a.DecidedAt.UTC(),
		})
		return output, "", ""
	case ApprovalRejected:
		cause = "rejected by " + a.DecidedBy
		if a.Reason != "" {
			cause += ": " + a.Reason
		}
		return nil, ErrorRejected, cause
	default:
		return nil, ErrorExpired, "nobody decided in time"
	}
}

// What the state that waits for an approval fails with.
const (
	ErrorRejected = "Switchyard.Rejected"
	// ErrorExpired comes only where the state itself waits longer than the
	// approval was to: see its TimeoutSeconds.
	ErrorExpired = "Switchyard.Expired"
)

// waitingStatus is what a commit shows while its execution waits for a person.
func waitingStatus(id, title string) StatusChange {
	s := pending("Waits for approval: " + title)
	s.Approval = id
	return s
}
