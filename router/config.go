package router

// Config is what an operator sets under routes and components. Zero values
// take the defaults named here; [New] validates the rest.
type Config struct {
	Routes []Route
	// Components are what can be skipped, by name. The name becomes the input
	// key skip_<name>: lower case, anything but letters and digits as _.
	Components map[string]Component
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
	// On lists event kinds: push, pull_request, delete. Default: push.
	On []string
	// Sources and Repositories are the source's name in the config and the
	// repository's at its host.
	Sources      []string
	Repositories []string
	// Branches is held against the branch with the commits: for a pull
	// request the head branch. Tags never start anything.
	Branches []string
	// BaseBranches concerns pull requests alone: the branch to merge into.
	BaseBranches []string
	// Authors is held against each commit's author for a push, and against
	// the pull request's author. A final [bot] is taken literally.
	Authors []string
	// Paths is held against what each commit changed; one match suffices. A
	// commit whose paths the host did not list matches.
	//
	// Neither Paths nor SkipMarkers, nor Authors of commits, hold back the
	// end of a branch or pull request: what was set up must come down.
	Paths []string
	// Actions narrows pull_request: default opened, synchronize, reopened,
	// ready_for_review. closed and labeled must be named. What closed starts
	// is apart from what the same commit started before.
	Actions []string
	// Commits is every (default), distinct or head: which commits of a push.
	Commits string
	// StateMachine is a name under state_machines.
	StateMachine string
	// Environment is a template, for example "dev-{{ .Branch | slug }}".
	//
	// Fields: .Author (the commit's), .BaseBranch, .Branch, .Event (push,
	// pull_request, delete), .Name, .Owner, .PullRequest (0 for none),
	// .Repository, .Route, .SHA, .ShortSHA (12 digits). Functions: slug (with an optional
	// greatest length first, default 63), lower, upper, replace OLD NEW,
	// trimPrefix PREFIX, default VALUE; if, else, and, or, not, eq, ne.
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
	// any case. A host that leaves the message out of a pull request's event,
	// as GitHub does, leaves nothing to honour there.
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
