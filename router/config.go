package router

// Config is what an operator sets under routes and components. Zero values
// take the defaults named here; [New] validates the rest.
type Config struct {
	Routes []Route
	// Components are what can be skipped, by name. The name becomes the input
	// key skip_<name>: lower case, anything but letters and digits as _.
	Components map[string]Component
	// ForkBuilds is what the builds of a fork's commits go without, for the
	// reason of its requests; "" says nothing of them.
	ForkBuilds string
}

// Route says which events start which state machine, and with what input.
//
// The lists are ANDed; an empty one matches everything. Their patterns are
// GitHub Actions' filter patterns (see [Pattern]), in order: a match of a
// later pattern overrides one before it, ! takes out. Repositories and Authors
// are matched without regard to case, as hosts do.
type Route struct {
	// Name is unique among routes: 1–64 characters, no control characters.
	Name string
	// On lists event kinds: push, pull_request, delete, merge_group. Default: push.
	On []string
	// Sources and Repositories are the source's name in the config and the
	// repository's at its host.
	Sources      []string
	Repositories []string
	// Branches is held against the branch with the commits: for a pull
	// request the head branch.
	Branches []string
	// Tags is held against tags that are pushed or deleted; empty, no tag
	// starts anything. A route with Tags and without Branches takes no pushes
	// to branches and no deletions of them; pull requests have nothing to do
	// with it. A tag starts the commit that it names, whatever Commits and
	// Paths say, and nothing is skipped for it.
	Tags []string
	// BaseBranches concerns pull requests and merge groups: the branch to merge
	// into. Branches has nothing to do with merge groups, whose own branch is the
	// queue's.
	BaseBranches []string
	// Labels concerns pull requests alone. Unlike other lists, it is held against
	// several at once: each pattern with ! must match none of them, and of the
	// others, if there are any, one must match one. In any case.
	Labels []string
	// NoDrafts lets a draft start nothing but its teardown. What it held back
	// starts once it is ready for review.
	NoDrafts bool
	// Authors is held against each commit's author for a push, and against
	// the pull request's author. A final [bot] is taken literally.
	Authors []string
	// Paths is held against what each commit changed; one match suffices. A
	// commit whose paths are not known matches, and the plan says so.
	//
	// Neither Paths nor SkipMarkers, nor Authors of commits, hold back the
	// end of a branch or pull request: what was set up must come down.
	Paths []string
	// Actions narrows pull_request: default opened, synchronize, reopened,
	// ready_for_review, and with BaseBranches or an Environment that names
	// .BaseBranch edited too, which concerns only pull requests whose base was
	// changed. closed, labeled and unlabeled must be named. Without being named,
	// a label counts that Labels asks for or, when it is taken off, excludes, and
	// ready_for_review with NoDrafts. What closed starts is apart from what the
	// same commit started before.
	Actions []string
	// Commits is every (default), distinct or head: which commits of a push, and
	// of a pull request those that its base has not. For a pull request distinct
	// is every. Of a fork that runs once labeled, only the head ever runs.
	Commits string
	// Checkout is head (default) or merge: whether a pull request's execution is
	// of its head, or of the commit that the host has made of merging that into the
	// base, which then is a part of its identity. With merge, only the head of a
	// pull request runs. Of pushes and merge groups the commit itself is.
	Checkout string
	// Revisit is ignore (default) or run: whether a push that moves its branch
	// back to a commit that was requested before asks for another attempt. The
	// journal knows where the branch was; the plan only passes the wish on.
	Revisit string
	// StateMachine is a name under state_machines.
	StateMachine string
	// Environment is a template, for example "dev-{{ .Branch | slug }}".
	//
	// Fields: .Author (the commit's), .BaseBranch, .Branch (empty for a tag),
	// .Event (push, pull_request, delete), .Name, .Owner, .PullRequest (0 for
	// none), .Repository, .Route, .SHA, .ShortSHA (12 digits), .Tag. Functions:
	// slug (with an optional greatest length first, default 63), lower, upper,
	// replace OLD NEW, trimPrefix PREFIX, default VALUE; if, else, and, or, not,
	// eq, ne. A slug that lost something of its name ends in a hash of it.
	//
	// What it gives must be an environment's name: 1–128 ASCII letters,
	// digits and any of . _ - /, each part between slashes beginning with a
	// letter or digit. Otherwise nothing starts, and the reason is recorded.
	Environment string
	// Project is the name used in override_branches; empty leaves it out.
	Project string
	// OverrideShape is "list" (default) or "object".
	OverrideShape string
	// Input is merged into the execution input; it wins over skip_* flags
	// that Components worked out and over override_branches, and may not
	// replace environment, commit or source.
	Input map[string]any
	// SkipMarkers honours [skip ci], [ci skip], [no ci], [skip actions],
	// [actions skip] and the trailer skip-checks: true in commit messages, in
	// any case. Where the message is not known, nothing is honoured, and the
	// plan says so; see [event.Lack].
	SkipMarkers bool
	// Forks says what a pull request from a fork may start: never (default)
	// nothing, allow whatever the route says, labeled only the commit that
	// was the head when ForkLabel was given (action labeled, or opened with
	// it). Commits pushed after that need the label taken off and given anew.
	Forks string
	// ForkLabel is the label that Forks: labeled waits for, in any case;
	// default "safe to test".
	ForkLabel string
	// OnNewCommit is "" (wait, never supersede) or "cancel_superseded".
	OnNewCommit string
}

// Component is a part of a repository that can be skipped when no path of it
// changed.
type Component struct {
	// Paths are filter patterns, as in [Route].
	Paths []string
}
