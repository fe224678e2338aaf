package event

// Verb is what a person asks for in a command.
type Verb string

// The verbs of commands.
const (
	// Rerun asks for another attempt at what has ended.
	Rerun Verb = "rerun"
	// Explain asks why what ran has run, and why the rest has not.
	Explain Verb = "explain"
	// Stop asks for the end of what waits or runs.
	Stop Verb = "stop"
	// Allow lets one commit of a pull request from a fork run.
	Allow Verb = "allow"
	// Approve lets an execution that waits for a person go on, and Reject makes it
	// fail.
	Approve Verb = "approve"
	Reject  Verb = "reject"
)

// Verdict says whether a command is carried out.
type Verdict string

// The verdicts on commands.
const (
	Granted Verdict = "granted"
	// Denied is that on the command of somebody who may not write to the
	// repository.
	Denied Verdict = "denied"
)

// Order is what a command asks for. An event of kind [Command] names the
// repository, the [Event.Sender] who asks, and in here what is to be done, about
// a pull request, a commit or an execution; it has no ref and no commits of its
// own.
//
// Whether the sender may ask for it is for whoever carries it out to find out:
// anybody can write a comment.
type Order struct {
	Verb Verb `json:"verb"`
	// Route narrows the order to one route; empty is all of them.
	Route string `json:"route,omitempty"`
	// SHA is the whole ID of the commit it is about, empty for the head of the
	// pull request. One that approves or rejects may name its first digits.
	SHA string `json:"sha,omitempty"`
	// Reason is what the sender says for an approval or against it.
	Reason string `json:"reason,omitempty"`
	// PullRequest is the number of the pull request it is about, 0 for none.
	PullRequest int `json:"pull_request,omitempty"`
	// Execution is the name of the execution it is about, as a check's button
	// names one; empty for none.
	Execution string `json:"execution,omitempty"`
	// Approval are the first digits of the ID of the approval that a check's button
	// is for; empty for the one that waits.
	Approval string `json:"approval,omitempty"`
	// Wrong is what is wrong with the order, for the person who wrote it; nothing
	// is done then but to tell them.
	Wrong string `json:"wrong,omitempty"`
	// Verdict is what the host said of the sender, once it was asked. No delivery
	// says it, and nothing is done without it.
	Verdict Verdict `json:"verdict,omitempty"`
	// Comment is the host's ID of the comment that it was written in, empty when
	// it came another way. Answers to a comment go below the pull request; what
	// came without one is answered by what it changes.
	Comment string `json:"comment,omitempty"`
}
