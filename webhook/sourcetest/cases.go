package sourcetest

import (
	"switchyard/internal/event"
)

// kind is what the suite knows of a case.
type kind struct {
	name Case
	// of says for the author of a test what the delivery must be.
	of string
	// ignored is set where it starts nothing.
	ignored bool
	// event and action are what it must become; an empty action is not looked at.
	event  event.Kind
	action string
	// holds says of a case's truth whether it is what the case is about; nil for
	// a case of no further demands.
	holds func(t *Truth) bool
	// several is set where the truth is of more than one ref.
	several bool
}

func created(t *Truth) bool     { return t.Before == "" && t.After != "" }
func moved(t *Truth) bool       { return t.Before != "" && t.After != "" }
func pullRequest(t *Truth) bool { return t.Number > 0 && t.Base != "" && t.After != "" }

var cases = []kind{
	{name: Ping, of: "It is what the host sends to try the webhook, and has no truth.", ignored: true},

	{name: Push, of: "It brings at least two commits to a branch that existed.", event: event.Push,
		holds: func(t *Truth) bool { return moved(t) && len(t.Commits) >= 2 }},
	{name: PushOverTheLimit, of: "It brings more commits to a branch that existed than the host lists.", event: event.Push,
		holds: func(t *Truth) bool { return moved(t) && len(t.Commits) > 2 }},
	{name: NewBranch, of: "It creates a branch with at least two commits of its own.", event: event.Push,
		holds: func(t *Truth) bool { return created(t) && len(t.Commits) >= 2 }},
	{name: NewBranchOverTheLimit, of: "It creates a branch with more commits than the host lists.", event: event.Push,
		holds: func(t *Truth) bool { return created(t) && len(t.Commits) > 2 }},
	{name: NewBranchWithoutCommit, of: "It creates a branch on a commit that the repository has.", event: event.Push,
		holds: func(t *Truth) bool { return created(t) && len(t.Commits) == 0 }},
	{name: MergeOfKnownCommits, of: "Its range holds more commits than are new to the repository.", event: event.Push,
		holds: func(t *Truth) bool { return moved(t) && len(t.Range) > len(t.Commits) }},
	{name: ForcedPush, of: "It replaces commits by others.", event: event.Push,
		holds: func(t *Truth) bool { return moved(t) && t.Forced && len(t.Commits) > 0 }},
	{name: ForcedBack, of: "It moves a branch back, and brings nothing.", event: event.Push,
		holds: func(t *Truth) bool { return moved(t) && t.Forced && len(t.gained()) == 0 }},
	{name: BranchDeleted, of: "It deletes a branch; its truth has the last commit as Before.", event: event.Delete,
		holds: func(t *Truth) bool { return t.Before != "" && t.After == "" }},

	{name: Tag, of: "It creates a lightweight tag.", event: event.Push, holds: (*Truth).tag},
	{name: AnnotatedTag, of: "It creates an annotated tag; After is the commit.", event: event.Push, holds: (*Truth).tag},
	{name: TagDeleted, of: "It deletes a tag.", event: event.Delete,
		holds: func(t *Truth) bool { return t.tag() && t.After == "" }},
	{name: SeveralRefs, of: "It tells of two refs or more, with a truth for each.", event: event.Push, several: true},

	{name: PullRequestOpened, of: "It opens a pull request within the repository.", event: event.PullRequest, action: "opened",
		holds: func(t *Truth) bool { return pullRequest(t) && !t.Fork && !t.Draft }},
	{name: PullRequestDraft, of: "It opens a draft.", event: event.PullRequest, action: "opened",
		holds: func(t *Truth) bool { return pullRequest(t) && t.Draft }},
	{name: PullRequestPushed, of: "Its head has moved.", event: event.PullRequest, action: "synchronize", holds: pullRequest},
	{name: PullRequestRetargeted, of: "Its base is another branch now.", event: event.PullRequest, action: "edited", holds: pullRequest},
	{name: PullRequestReady, of: "It was a draft and is none now.", event: event.PullRequest, action: "ready_for_review",
		holds: func(t *Truth) bool { return pullRequest(t) && !t.Draft }},
	{name: PullRequestLabeled, of: "It has been given a label, which the truth names.", event: event.PullRequest, action: "labeled",
		holds: func(t *Truth) bool { return pullRequest(t) && t.Label != "" }},
	{name: PullRequestEdited, of: "Its title has changed and nothing else; it has no truth.", ignored: true},
	{name: PullRequestClosed, of: "It was closed and not merged.", event: event.PullRequest, action: "closed",
		holds: func(t *Truth) bool { return pullRequest(t) && !t.Merged }},
	{name: PullRequestMerged, of: "It was merged.", event: event.PullRequest, action: "closed",
		holds: func(t *Truth) bool { return pullRequest(t) && t.Merged }},
	{name: PullRequestReopened, of: "It was closed and is open again.", event: event.PullRequest, action: "reopened", holds: pullRequest},
	{name: PullRequestFork, of: "It is opened from a fork.", event: event.PullRequest, action: "opened",
		holds: func(t *Truth) bool { return pullRequest(t) && t.Fork }},
	{name: PullRequestForkGone, of: "It is of a pull request whose fork is deleted.", event: event.PullRequest,
		holds: func(t *Truth) bool { return pullRequest(t) && t.Fork }},

	{name: Redelivery, of: "It is the delivery of Push as the host sends it again.", event: event.Push, holds: moved},
	{name: RepositoryRenamed, of: "It tells that a repository has another name; it has no truth.", ignored: true},
	{name: StatusPosted, of: "It tells of a commit status; it has no truth.", ignored: true},
}

// problem says why a truth is not of the case, "" if it is.
func (c *kind) problem(truth []Truth) string {
	switch n := len(truth); {
	case c.ignored && n > 0:
		return "it starts nothing, and still has a truth"
	case c.several && n < 2, !c.several && !c.ignored && n != 1:
		return "the number of truths is another"
	}
	for i := range truth {
		if c.holds != nil && !c.holds(&truth[i]) {
			return "its truth is of another one"
		}
		if truth[i].Repository == "" || truth[i].Ref == "" {
			return "its truth lacks Repository or Ref"
		}
	}
	return ""
}
