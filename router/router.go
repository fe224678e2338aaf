// Package router decides which executions an event asks for.
//
// It is a pure function of event and routes: no context, clock, logger or I/O.
// The same event and config give the same plan, byte for byte, today and after
// a restart.
package router

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchyard/internal/event"
)

// Router plans executions. It never changes once built and is safe for
// concurrent use.
type Router struct {
	routes   []route
	warnings []string
	// tags is true when a route has tags.
	tags bool
	// forkBuilds is as in [Config].
	forkBuilds string
}

// route is one of the config's routes, compiled.
type route struct {
	Route        // with defaults filled in
	sources      filter
	repositories filter
	branches     filter
	tags         filter
	baseBranches filter
	labels       filter
	authors      filter
	paths        filter
	environment  environment
	input        inputShape
}

// New compiles a config. The error joins everything that is wrong with it; each
// part names the route or component, the key and the fix.
func New(cfg Config) (*Router, error) {
	var p problems
	components := compileComponents(cfg.Components, &p)
	r := &Router{forkBuilds: cfg.ForkBuilds}
	first := map[string]int{}
	for i, rc := range cfg.Routes {
		p.path = fmt.Sprintf("routes[%d]", i)
		p.owner = p.path
		if validName(rc.Name) {
			p.owner += " " + quote(rc.Name)
		} else {
			p.errorf("name", "%s: a route needs a name of 1 to 64 characters, without control characters or space around it", quote(rc.Name))
		}
		if j, taken := first[rc.Name]; taken && rc.Name != "" {
			p.errorf("name", "%s is the name of routes[%d] too; executions are told apart by it, so rename one", quote(rc.Name), j)
		} else {
			first[rc.Name] = i
		}
		r.routes = append(r.routes, compileRoute(rc, components, &p))
		r.tags = r.tags || len(rc.Tags) > 0
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	r.warnings = p.warnings
	return r, nil
}

// Warnings lists what in the config is probably not meant, such as a pattern
// that a later one takes out. Each names the route, the key and the reason.
func (r *Router) Warnings() []string { return slices.Clone(r.warnings) }

func validName(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= 64 &&
		strings.TrimSpace(s) == s && strings.IndexFunc(s, unicode.IsControl) < 0
}

// The actions of pull requests. Those after the first four do nothing unless
// named, but for what a route looks at: edited where that is the base, and
// labeled and unlabeled where it is the label.
var pullActions = []string{"opened", "synchronize", "reopened", ready, edited, "closed", labeled, unlabeled}

const (
	ready          = "ready_for_review"
	edited         = "edited"
	labeled        = "labeled"
	unlabeled      = "unlabeled"
	allowed        = "allowed"
	checkoutMerge  = "merge"
	defaultActions = 4
)

func compileRoute(cfg Route, components []component, p *problems) route {
	if len(cfg.On) == 0 {
		cfg.On = []string{string(event.Push)}
	}
	for i, on := range cfg.On {
		oneOf(p, fmt.Sprintf("on[%d]", i), on, string(event.Push), string(event.PullRequest), string(event.Delete), string(event.MergeGroup))
	}
	hasPush, hasPull := slices.Contains(cfg.On, string(event.Push)), slices.Contains(cfg.On, string(event.PullRequest))
	hasGroup := slices.Contains(cfg.On, string(event.MergeGroup))
	if hasGroup && len(cfg.On) == 1 && len(cfg.Branches) > 0 {
		p.warn("branches", "does nothing for merge groups, whose branch is the queue's; base_branches is what they are merged into")
	}
	if !hasPull {
		const idle = "does nothing, since on does not name pull_request"
		if len(cfg.Actions) > 0 {
			p.warn("actions", idle)
		}
		if len(cfg.BaseBranches) > 0 && !hasGroup {
			p.warn("base_branches", idle)
		}
		if len(cfg.Labels) > 0 {
			p.warn("labels", idle)
		}
		if cfg.NoDrafts {
			p.warn("drafts", idle)
		}
		if cfg.Forks != "" {
			p.warn("forks", idle)
		}
	}
	if !hasPush && !hasPull && cfg.Commits != "" {
		p.warn("commits", "does nothing, since on names neither push nor pull_request")
	}
	if !hasPush && cfg.Commits == "distinct" {
		p.warn("commits", "distinct is every for pull requests: no host says which of their commits it had before")
	}
	if !hasPush && cfg.Revisit != "" {
		p.warn("revisit", "does nothing, since on does not name push")
	}
	if cfg.Revisit == "run" && cfg.Commits == "distinct" {
		p.warn("revisit", "does nothing with commits: distinct, which leaves out what the host had before")
	}
	if !hasPush && !slices.Contains(cfg.On, string(event.Delete)) && len(cfg.Tags) > 0 {
		p.warn("tags", "does nothing, since on names neither push nor delete")
	}
	for i, action := range cfg.Actions {
		oneOf(p, fmt.Sprintf("actions[%d]", i), action, pullActions...)
	}
	setDefault(&cfg.Commits, "every")
	oneOf(p, "commits", cfg.Commits, "every", "distinct", "head")
	if !hasPull && cfg.Checkout != "" {
		p.warn("checkout", "does nothing, since on does not name pull_request")
	}
	setDefault(&cfg.Checkout, "head")
	oneOf(p, "checkout", cfg.Checkout, "head", checkoutMerge)
	setDefault(&cfg.Revisit, "ignore")
	oneOf(p, "revisit", cfg.Revisit, "ignore", "run")
	setDefault(&cfg.OverrideShape, "list")
	oneOf(p, "override_shape", cfg.OverrideShape, "list", "object")
	setDefault(&cfg.Forks, "never")
	oneOf(p, "forks", cfg.Forks, "never", "labeled", "allow")
	if cfg.ForkLabel != "" && cfg.Forks != "labeled" {
		p.warn("fork_label", "does nothing without forks: labeled")
	}
	setDefault(&cfg.ForkLabel, "safe to test")
	if cfg.OnNewCommit != "" {
		oneOf(p, "on_new_commit", cfg.OnNewCommit, "cancel_superseded")
	}
	if cfg.StateMachine == "" {
		p.errorf("state_machine", "missing; name one of state_machines")
	}

	env, err := compileEnvironment(cfg.Environment)
	if err != nil {
		p.errorf("environment", "%s: %v", quote(cfg.Environment), err)
	}
	if len(cfg.Actions) == 0 {
		cfg.Actions = slices.Clone(pullActions[:defaultActions])
		if len(cfg.BaseBranches) > 0 || env.perBase {
			cfg.Actions = append(cfg.Actions, edited)
		}
	}
	rt := route{
		Route:        cfg,
		sources:      compileFilter(ofSource, cfg.Sources, p),
		repositories: compileFilter(ofRepository, cfg.Repositories, p),
		branches:     compileFilter(ofBranch, cfg.Branches, p),
		tags:         compileFilter(ofTag, cfg.Tags, p),
		baseBranches: compileFilter(ofBaseBranch, cfg.BaseBranches, p),
		labels:       compileFilter(ofLabel, cfg.Labels, p),
		authors:      compileFilter(ofAuthor, cfg.Authors, p),
		paths:        compileFilter(ofPath, cfg.Paths, p),
		environment:  env,
		input:        newInputShape(&cfg, components, p),
	}
	if env.tmpl != nil {
		rt.tryEnvironment(p)
		rt.lintEnvironment(p)
	}
	return rt
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func oneOf(p *problems, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.errorf(key, "%s is not one of %s", quote(value), strings.Join(allowed, ", "))
	}
}

// HasRoute reports whether there is a route of that name.
func (r *Router) HasRoute(name string) bool {
	return slices.ContainsFunc(r.routes, func(rt route) bool { return rt.Name == name })
}
