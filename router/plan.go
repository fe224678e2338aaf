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
	p := planning{ev: &ev, branch: ev.Branch()}
	if !p.admit(len(r.routes)) {
		return p.plan
	}
	for i := range r.routes {
		p.route(&r.routes[i])
	}
	return p.plan
}

// planning is one call of Plan.
type planning struct {
	ev     *event.Event
	branch string
	// commits are those of the event that can be started, oldest first.
	commits []event.Commit
	// ending is set when a branch or pull request has come to its end, and
	// says which; see newIdentity.
	ending string
	plan   event.Plan
	buf    []byte
}

func (p *planning) ignore(route, commit, reason string) {
	p.plan.Ignored = append(p.plan.Ignored, event.Ignored{Route: route, Commit: commit, Reason: reason})
}

// admit checks what concerns every route.
func (p *planning) admit(routes int) bool {
	ev := p.ev
	if ev.Truncated {
		p.ignore("", "", fmt.Sprintf("the host listed only %d of the commits; those it left out are not in this plan", len(ev.Commits)))
	}
	reason := ""
	switch {
	case routes == 0:
		reason = "the config has no routes"
	case ev.Repository.FullName == "":
		reason = "the event names no repository"
	case ev.Kind != event.Push && ev.Kind != event.PullRequest && ev.Kind != event.Delete:
		reason = fmt.Sprintf("events of kind %s start nothing", quote(string(ev.Kind)))
	case ev.Kind == event.PullRequest && ev.PullRequest == nil:
		reason = "the event does not say which pull request it is about"
	case p.branch == "":
		tag, ok := strings.CutPrefix(ev.Ref, "refs/tags/")
		if ok {
			reason = fmt.Sprintf("%s is a tag; only branches start executions", quote(tag))
		} else {
			reason = fmt.Sprintf("the ref %s is not a branch", quote(ev.Ref))
		}
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
	return p.admitCommits()
}

// admitCommits sorts out commits that cannot be started by any route.
func (p *planning) admitCommits() bool {
	ev := p.ev
	given := ev.Commits
	if len(given) == 0 {
		// Where the host names only the ends of the ref, they will do.
		switch ev.Kind {
		case event.PullRequest:
			given = []event.Commit{{SHA: ev.After}}
		case event.Delete:
			given = []event.Commit{{SHA: ev.Before}}
		default:
			p.ignore("", "", "the push brought no commits: the branch points at one that was there before")
			return false
		}
		if given[0].SHA == "" {
			p.ignore("", "", "the event names no commit")
			return false
		}
	}
	refused := unusable(given)
	if refused == nil {
		p.commits = given
		return true
	}
	for i := range given {
		switch {
		case refused[i] == "":
			p.commits = append(p.commits, given[i])
		case validSHA(given[i].SHA):
			p.ignore("", given[i].SHA, refused[i])
		default:
			p.ignore("", "", refused[i])
		}
	}
	return len(p.commits) > 0
}

// unusable says for each commit why no route can start it. It returns nil when
// there is no such commit.
func unusable(commits []event.Commit) []string {
	var reasons []string
	refuse := func(i int, reason string) {
		if reasons == nil {
			reasons = make([]string, len(commits))
		}
		reasons[i] = reason
	}
	var seen map[string]struct{}
	if len(commits) > 32 { // below that, comparing each with each is cheaper
		seen = make(map[string]struct{}, len(commits))
	}
	for i := range commits {
		sha := commits[i].SHA
		if !validSHA(sha) {
			refuse(i, fmt.Sprintf("commit %d of the event has the ID %s, which is no git object name", i+1, quote(sha)))
			continue
		}
		twice := false
		if seen != nil {
			_, twice = seen[sha]
			seen[sha] = struct{}{}
		} else {
			for j := range i {
				twice = twice || commits[j].SHA == sha
			}
		}
		if twice {
			refuse(i, "the event lists this commit twice; once is enough")
		}
	}
	return reasons
}

// route adds what one route makes of the event.
func (p *planning) route(rt *route) {
	why, ok := p.matches(rt)
	if !ok {
		p.ignore(rt.Name, "", why)
		return
	}
	fields := p.fields(rt)
	environment := ""
	if !rt.environment.perCommit {
		var err error
		if environment, err = rt.environment.name(&fields); err != nil {
			p.ignore(rt.Name, "", err.Error())
			return
		}
	}
	w := writer{
		planning: p,
		route:    rt,
		id:       newIdentity(p.ev.Source, p.ev.Repository.FullName, rt.Name, p.ending),
		source:   rt.input.appendSource(make([]byte, 0, 512), p.ev),
		why:      why,
	}
	p.plan.Requests = slices.Grow(p.plan.Requests, len(p.commits))
	if p.buf == nil {
		p.buf = make([]byte, 0, 2048)
	}
	for i := range p.commits {
		c := &p.commits[i]
		if reason := p.unchosen(rt, i); reason != "" {
			p.ignore(rt.Name, c.SHA, reason)
			continue
		}
		why, ok := w.wants(c)
		if !ok {
			p.ignore(rt.Name, c.SHA, why)
			continue
		}
		if rt.environment.perCommit {
			fields.SHA, fields.ShortSHA, fields.Author = c.SHA, c.SHA[:shaInID], c.Author
			var err error
			if environment, err = rt.environment.name(&fields); err != nil {
				p.ignore(rt.Name, c.SHA, err.Error())
				continue
			}
		}
		w.request(c, environment, why)
	}
}

func (p *planning) fields(rt *route) envFields {
	f := envFields{
		Branch:     p.branch,
		Repository: p.ev.Repository.FullName,
		Route:      rt.Name,
		Event:      string(p.ev.Kind),
	}
	f.Owner, f.Name = splitName(f.Repository)
	if p.ev.Kind == event.PullRequest {
		f.PullRequest, f.BaseBranch = p.ev.PullRequest.Number, p.ev.PullRequest.Base
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
	by, ok := rt.branches.decide(p.branch)
	if !ok {
		return rt.branches.explain(p.branch), false
	}
	switch ev.Kind {
	case event.PullRequest:
		why = fmt.Sprintf("pull request #%d %s: %s into %s", ev.PullRequest.Number, ev.Action, quote(p.branch), quote(ev.PullRequest.Base))
	case event.Delete:
		why = fmt.Sprintf("branch %s was deleted", quote(p.branch))
	default:
		why = "push to " + quote(p.branch)
	}
	if by != nil {
		why += ", matching " + quote(by.text)
	}
	return why, true
}

// refusePull says why a pull request starts nothing, "" when it may.
func (p *planning) refusePull(rt *route) string {
	ev, pr := p.ev, p.ev.PullRequest
	named := slices.Contains(rt.Actions, ev.Action)
	if pr.Fork && rt.Forks == "labeled" && ev.Action == "labeled" {
		named = true
	}
	if !named {
		return fmt.Sprintf("action %s is not among actions: [%s]", quote(ev.Action), strings.Join(rt.Actions, ", "))
	}
	if pr.Fork {
		if why := p.refuseFork(rt); why != "" {
			return why
		}
	}
	if _, ok := rt.baseBranches.decide(pr.Base); !ok {
		return rt.baseBranches.explain(pr.Base)
	}
	if _, ok := rt.authors.decide(pr.Author); !ok {
		return rt.authors.explain(pr.Author)
	}
	return ""
}

// refuseFork says why a pull request from a fork starts nothing. A label
// speaks for the commit that it was given to and for none pushed later, so
// only two actions can carry it: labeled, and opened, since nobody without
// rights in the repository can open a pull request with a label.
func (p *planning) refuseFork(rt *route) string {
	pr := p.ev.PullRequest
	from := "a fork that is gone"
	if pr.HeadRepo != "" {
		from = "the fork " + quote(pr.HeadRepo)
	}
	is := func(label string) bool { return strings.EqualFold(label, rt.ForkLabel) }
	switch {
	case rt.Forks == "allow":
		return ""
	case rt.Forks != "labeled":
		return fmt.Sprintf("pull request #%d comes from %s; forks: %s lets it start nothing", pr.Number, from, rt.Forks)
	case p.ev.Action == "labeled" && is(pr.Label), p.ev.Action == "opened" && slices.ContainsFunc(pr.Labels, is):
		return ""
	case slices.ContainsFunc(pr.Labels, is):
		return fmt.Sprintf("pull request #%d comes from %s, and its label %s may be older than its newest commit; look at that, take the label off and give it again",
			pr.Number, from, quote(rt.ForkLabel))
	}
	return fmt.Sprintf("pull request #%d comes from %s; forks: labeled waits for the label %s", pr.Number, from, quote(rt.ForkLabel))
}

// unchosen says why the route's commits: leaves out commit i, "" when it does
// not.
func (p *planning) unchosen(rt *route, i int) string {
	if p.ev.Kind != event.Push {
		return ""
	}
	switch {
	case rt.Commits == "distinct" && !p.commits[i].Distinct:
		return "commits: distinct leaves out what the host had before this push"
	case rt.Commits == "head" && i != len(p.commits)-1:
		return "commits: head starts only the newest commit of a push"
	}
	return ""
}
