package router

import (
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// Plan returns what ev asks for: requests by route in the config's order, each
// route's commits oldest first, and a reason for everything that starts
// nothing. The IDs in it are unique.
func (r *Router) Plan(ev event.Event) event.Plan {
	p := planning{forkBuilds: r.forkBuilds, ev: &ev, branch: ev.Branch(), tag: ev.Tag()}
	if !p.admit(r) {
		return p.plan
	}
	for i := range r.routes {
		p.route(&r.routes[i])
	}
	if ev.Kind == event.PullRequest && p.plan.Unlisted && !ev.Unnamed() {
		p.plan.Ignored = slices.Insert(p.plan.Ignored, 0, event.Ignored{Reason: p.leftOut()})
	}
	return p.plan
}

// planning is one call of Plan.
type planning struct {
	ev *event.Event
	// One of branch and tag is empty.
	branch, tag string
	// commits are those of the event that can be started, oldest first.
	commits []event.Commit
	// head is the commit that a push left its ref at, or the head of a pull
	// request; empty when the event does not say.
	head string
	// unlisted is said of the head when the event did not list it.
	unlisted string
	// ending is set when a branch or pull request has come to its end, and
	// says which; see newIdentity.
	ending string
	plan   event.Plan
	buf    []byte
	// forkBuilds is as in [Config].
	forkBuilds string
}

func (p *planning) ignore(route, commit, reason string) {
	p.plan.Ignored = append(p.plan.Ignored, event.Ignored{Route: route, Commit: commit, Reason: reason})
}

// admit checks what concerns every route.
func (p *planning) admit(r *Router) bool {
	ev := p.ev
	if ev.Truncated && !ev.Unnamed() && ev.Kind != event.PullRequest { // of those hosts never list more than the head
		p.ignore("", "", p.leftOut())
	}
	reason := ""
	switch {
	case ev.Kind == event.Command:
		reason = "a command is carried out for who gave it, and starts nothing by routes"
	case len(r.routes) == 0:
		reason = "the config has no routes"
	case ev.Repository.FullName == "":
		reason = "the event names no repository"
	case ev.Kind != event.Push && ev.Kind != event.PullRequest && ev.Kind != event.Delete && ev.Kind != event.MergeGroup:
		reason = fmt.Sprintf("events of kind %s start nothing", quote(string(ev.Kind)))
	case ev.Kind == event.PullRequest && ev.PullRequest == nil:
		reason = "the event does not say which pull request it is about"
	case ev.Kind == event.MergeGroup && ev.MergeGroup == nil:
		reason = "the event does not say which merge group it is about"
	case ev.Kind == event.MergeGroup && ev.MergeGroup.Gone == "merged":
		reason = "the merge group was merged: there is nothing left to check"
	case ev.Kind == event.MergeGroup && ev.MergeGroup.Gone != "":
		reason = fmt.Sprintf("the merge group is %s: there is nothing left to check", ev.MergeGroup.Gone)
	case p.tag != "" && ev.Kind == event.MergeGroup:
		reason = fmt.Sprintf("the merge group's head %s is a tag", quote(p.tag))
	case p.tag != "" && ev.Kind == event.PullRequest:
		reason = fmt.Sprintf("the pull request's head %s is a tag", quote(p.tag))
	case p.tag != "" && !r.tags:
		reason = fmt.Sprintf("%s is a tag; a tag starts only what routes with the key tags say, and there are none", quote(p.tag))
	case p.tag == "" && p.branch == "":
		reason = fmt.Sprintf("the ref %s is neither a branch nor a tag", quote(ev.Ref))
	}
	if reason != "" {
		p.ignore("", "", reason)
		return false
	}
	switch {
	case ev.Kind == event.Delete:
		p.ending = "delete " + ev.Ref
	case ev.Kind == event.PullRequest && ev.Action == "closed":
		p.ending = fmt.Sprintf("closed %d", ev.PullRequest.Number)
	}
	return ev.Unnamed() || p.admitCommits()
}

// leftOut says that the host listed only a part of the commits.
func (p *planning) leftOut() string {
	ev := p.ev
	whose, of := "push", "the commits"
	if ev.Kind == event.PullRequest {
		whose, of = "pull request", "the pull request's commits"
	}
	if ev.Total > 0 {
		of = fmt.Sprintf("the %s's %d commits", whose, ev.Total)
	}
	return fmt.Sprintf("the host listed only %d of %s; those it left out are not in this plan", len(ev.Commits), of)
}

// route adds what one route makes of the event.
func (p *planning) route(rt *route) {
	why, ok := p.matches(rt)
	if !ok {
		p.ignore(rt.Name, "", why)
		return
	}
	if p.ev.Unnamed() {
		p.plan.Unlisted = true
		p.ignore(rt.Name, "", why+", of a commit whose ID the event does not tell")
		return
	}
	p.plan.Unlisted = p.plan.Unlisted || p.ev.Truncated && p.takesAll(rt)
	w := writer{planning: p, route: rt, why: why}
	w.fields = p.fields(rt)
	if !rt.environment.perCommit {
		if err := w.enter(); err != nil {
			p.ignore(rt.Name, "", err.Error())
			return
		}
	}
	w.begin()
	for i := range p.commits {
		c := &p.commits[i]
		if reason := p.unchosen(rt, c); reason != "" {
			p.ignore(rt.Name, c.SHA, reason)
			continue
		}
		why, ok := w.wants(c)
		if !ok {
			p.ignore(rt.Name, c.SHA, why)
			continue
		}
		if rt.environment.perCommit {
			w.fields.of(c)
			if err := w.enter(); err != nil {
				p.ignore(rt.Name, c.SHA, err.Error())
				continue
			}
		}
		if p.merges(rt) {
			if why := p.unmerged(); why != "" {
				p.ignore(rt.Name, c.SHA, why)
				continue
			}
		}
		w.request(c, why)
	}
}

func (p *planning) fields(rt *route) envFields {
	f := envFields{
		Branch:     p.branch,
		Tag:        p.tag,
		Repository: p.ev.Repository.FullName,
		Route:      rt.Name,
		Event:      string(p.ev.Kind),
	}
	f.Owner, f.Name = splitName(f.Repository)
	if p.ev.Kind == event.PullRequest {
		f.PullRequest, f.BaseBranch = p.ev.PullRequest.Number, p.ev.PullRequest.Base
	}
	if p.ev.Kind == event.MergeGroup {
		f.BaseBranch = p.ev.MergeGroup.Base
	}
	return f
}

// matches holds the event against everything in the route that concerns all of
// its commits. It returns the reason either way.
func (p *planning) matches(rt *route) (why string, ok bool) {
	ev := p.ev
	if !slices.Contains(rt.On, string(ev.Kind)) {
		return fmt.Sprintf("on: [%s] does not name %s", strings.Join(rt.On, ", "), ev.Kind), false
	}
	if _, ok := rt.sources.decide(ev.Source); !ok {
		return rt.sources.explain(ev.Source), false
	}
	if _, ok := rt.repositories.decide(ev.Repository.FullName); !ok {
		return rt.repositories.explain(ev.Repository.FullName), false
	}
	if ev.Kind == event.PullRequest {
		if why := p.refusePull(rt); why != "" {
			return why, false
		}
	}
	if ev.Kind == event.MergeGroup {
		by, ok := rt.baseBranches.decide(ev.MergeGroup.Base)
		if !ok {
			return rt.baseBranches.explain(ev.MergeGroup.Base), false
		}
		why = "merge group into " + quote(ev.MergeGroup.Base)
		if by != nil {
			why += ", matching " + quote(by.text)
		}
		return why, true
	}
	by, why, ok := p.matchesRef(rt)
	if !ok {
		return why, false
	}
	switch {
	case ev.Kind == event.PullRequest:
		why = fmt.Sprintf("pull request #%d %s: %s into %s", ev.PullRequest.Number, ev.Action, quote(p.branch), quote(ev.PullRequest.Base))
		if ev.Action == edited {
			why += ", before into " + quote(ev.PullRequest.OldBase)
		}
		if ev.PullRequest.Fork {
			why += ", from " + forkName(ev.PullRequest)
		}
	case ev.Kind == event.Delete && p.tag != "":
		why = fmt.Sprintf("tag %s was deleted", quote(p.tag))
	case ev.Kind == event.Delete:
		why = fmt.Sprintf("branch %s was deleted", quote(p.branch))
	case p.tag != "":
		why = "push of tag " + quote(p.tag)
	default:
		why = "push to " + quote(p.branch)
	}
	if by != nil {
		why += ", matching " + quote(by.text)
	}
	if ev.Kind == event.PullRequest && ev.PullRequest.Fork && p.forkBuilds != "" {
		why += "; its builds run " + p.forkBuilds
	}
	return why, true
}

// matchesRef holds the event's branch or tag against the route. It returns the
// rule that let it pass, nil when there are none, or else the reason.
func (p *planning) matchesRef(rt *route) (by *rule, why string, ok bool) {
	if p.tag != "" {
		switch by, ok = rt.tags.decide(p.tag); {
		case len(rt.Tags) == 0:
			why = fmt.Sprintf("%s is a tag; without the key tags the route takes branches alone", quote(p.tag))
			if r, _ := rt.branches.decide(p.tag); r != nil {
				why += "; the key branches does not apply to tags"
			}
			return nil, why, false
		case !ok:
			return nil, rt.tags.explain(p.tag), false
		}
		return by, "", true
	}
	if !rt.takesBranches(p.ev.Kind) {
		return nil, fmt.Sprintf("%s is a branch; with tags and without the key branches the route takes tags alone", quote(p.branch)), false
	}
	if by, ok = rt.branches.decide(p.branch); !ok {
		return nil, rt.branches.explain(p.branch), false
	}
	return by, "", true
}

// takesBranches reports whether events of a kind can match when they are about
// a branch. Tags concern pushes and deletions; a pull request has none.
func (rt *route) takesBranches(kind event.Kind) bool {
	return kind == event.PullRequest || kind == event.MergeGroup || len(rt.Branches) > 0 || len(rt.Tags) == 0
}

// takesTags reports whether events of a kind can match when they are about a
// tag.
func (rt *route) takesTags(kind event.Kind) bool {
	return kind != event.PullRequest && kind != event.MergeGroup && len(rt.Tags) > 0
}

// refusePull says why a pull request starts nothing, "" when it may.
func (p *planning) refusePull(rt *route) string {
	ev, pr := p.ev, p.ev.PullRequest
	if !p.named(rt) {
		return fmt.Sprintf("action %s is not among actions: [%s]", quote(ev.Action), strings.Join(rt.Actions, ", "))
	}
	if ev.Action == edited && (pr.OldBase == "" || pr.OldBase == pr.Base) {
		return fmt.Sprintf("pull request #%d was edited, and its base stayed as it is", pr.Number)
	}
	if pr.Fork {
		if why := p.refuseFork(rt); why != "" {
			return why
		}
	}
	if pr.Draft && rt.NoDrafts && p.ending == "" {
		return fmt.Sprintf("pull request #%d is a draft; drafts: false waits until it is ready for review", pr.Number)
	}
	if why := rt.labels.refuseLabels(pr.Labels); why != "" && p.ending == "" {
		return fmt.Sprintf("pull request #%d: %s", pr.Number, why)
	}
	if _, ok := rt.baseBranches.decide(pr.Base); !ok {
		return rt.baseBranches.explain(pr.Base)
	}
	if _, ok := rt.authors.decide(pr.Author); !ok {
		return rt.authors.explain(pr.Author)
	}
	return ""
}

// named reports whether a route takes the action of a pull request.
func (p *planning) named(rt *route) bool {
	pr := p.ev.PullRequest
	switch action := p.ev.Action; {
	case slices.Contains(rt.Actions, action):
		return true
	case !slices.ContainsFunc(pullActions[:defaultActions], func(a string) bool { return slices.Contains(rt.Actions, a) }):
		return false // what only tears down is not started by what lets work begin
	case action == labeled:
		return pr.Fork && rt.Forks == "labeled" || rt.labels.wantsLabel(pr.Label)
	case action == unlabeled:
		return rt.labels.excludesLabel(pr.Label) != nil
	case action == ready:
		return rt.NoDrafts
	}
	return p.ev.Action == allowed
}

// refuseFork says why a pull request from a fork starts nothing. A label
// speaks for the commit that it was given to and for none pushed later, so
// only two actions can carry it: labeled, and opened where the host lets nobody
// without rights in the repository open a pull request with a label. An event of
// a person's command holds the one commit that they let run.
func (p *planning) refuseFork(rt *route) string {
	pr := p.ev.PullRequest
	from := forkName(pr)
	is := func(label string) bool { return strings.EqualFold(label, rt.ForkLabel) }
	switch {
	case rt.Forks == "allow":
		return ""
	case rt.Forks != "labeled":
		return fmt.Sprintf("pull request #%d comes from %s; forks: %s lets it start nothing", pr.Number, from, rt.Forks)
	case p.ev.Action == allowed, p.ev.Action == labeled && is(pr.Label), p.ev.Action == "opened" && pr.LabelsVouched && slices.ContainsFunc(pr.Labels, is):
		return ""
	case slices.ContainsFunc(pr.Labels, is):
		p.outdate(pr.Labels[slices.IndexFunc(pr.Labels, is)])
		return fmt.Sprintf("pull request #%d comes from %s, and its label %s may be older than its newest commit; look at that, take the label off and give it again",
			pr.Number, from, quote(rt.ForkLabel))
	}
	return fmt.Sprintf("pull request #%d comes from %s; forks: labeled waits for the label %s", pr.Number, from, quote(rt.ForkLabel))
}

// outdate notes that a label speaks for an older commit, once a newer one has come.
func (p *planning) outdate(label string) {
	if p.ev.Action == "synchronize" && !slices.Contains(p.plan.Outdated, label) {
		p.plan.Outdated = append(p.plan.Outdated, label)
	}
}

// forkName names the fork of a pull request.
func forkName(pr *event.PullReq) string {
	if pr.HeadRepo == "" {
		return "a fork that is gone"
	}
	return "the fork " + quote(pr.HeadRepo)
}
