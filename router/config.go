package router

// Config is what an operator sets under routes and components. Zero values
// take the defaults named here; [New] validates the rest.
type Config struct {
	Routes     []Route
	Components map[string]Component
}

// Route says which events start which state machine, and with what input.
type Route struct {
	// Name is unique among routes: 1–64 characters, no control characters.
	Name string
	// On lists event kinds: push, pull_request, delete. Default: push.
	On []string
	// Sources and Repositories are globs; empty matches all.
	Sources      []string
	Repositories []string
	// Branches, BaseBranches, Authors and Paths follow GitHub Actions'
	// filter patterns: * stops at /, ** does not, ! takes out again.
	Branches     []string
	BaseBranches []string
	Authors      []string
	Paths        []string
	// Actions narrows pull_request: default opened, synchronize, reopened,
	// ready_for_review.
	Actions []string
	// Commits is every (default), distinct or head.
	Commits string
	// StateMachine is a name under state_machines.
	StateMachine string
	// Environment is a template, for example "dev-{{ .Branch | slug }}".
	Environment string
	// Project is the name used in override_branches; empty leaves it out.
	Project string
	// OverrideShape is "list" (default) or "object".
	OverrideShape string
	// Input is merged into the execution input; it wins over skip_* flags
	// that Components worked out, and may not replace environment, commit or
	// source.
	Input map[string]any
	// SkipMarkers honours [skip ci] and its kin in commit messages.
	SkipMarkers bool
	// Forks is never (default), labeled or allow; ForkLabel is the label that
	// lets a fork's pull request run under "labeled", default "safe to test".
	Forks     string
	ForkLabel string
	// OnNewCommit is "" (wait, never supersede) or "cancel_superseded".
	OnNewCommit string
}

// Component is a part of a repository that can be skipped when no path of it
// changed.
type Component struct {
	Paths []string
}
