package router

import (
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// admitCommits sorts out commits that cannot be started by any route.
func (p *planning) admitCommits() bool {
	given, ok := p.given()
	if !ok {
		return false
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
			refuse(i, fmt.Sprintf("commit %d of the event has the ID %s, which is not a git object name", i+1, quote(sha)))
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

// given returns the commits that the event is about, oldest first. When there
// are none, it has recorded the reason.
func (p *planning) given() (commits []event.Commit, ok bool) {
	ev := p.ev
	end := ev.After
	switch {
	case ev.Kind == event.Delete:
		end = ev.Before
	case ev.Kind == event.Push && p.tag == "":
		return p.pushed()
	case ev.Kind == event.Push:
		return p.tagged()
	}
	switch {
	case len(ev.Commits) == 0:
		p.head = end
		return p.alone(end)
	case ev.Kind == event.PullRequest && end == "":
		end = ev.Commits[len(ev.Commits)-1].SHA
	case ev.Kind != event.PullRequest || len(ev.Commits) == 1:
		p.head = end
		return ev.Commits, true
	}
	return p.endingAt(end)
}

// alone is the commit at an end of the ref, for events that name nothing more.
func (p *planning) alone(sha string) (commits []event.Commit, ok bool) {
	if sha == "" {
		p.ignore("", "", "the event names no commit")
		return nil, false
	}
	return []event.Commit{{SHA: sha}}, true
}

// tagged returns the commit that a pushed tag names. The tag is at an object of
// its own when it is annotated, so what the event lists comes first.
func (p *planning) tagged() (commits []event.Commit, ok bool) {
	listed := p.ev.Commits
	switch at := lastIndex(listed, p.ev.After); {
	case at >= 0:
		commits = listed[at : at+1]
	case len(listed) > 0:
		commits = listed[len(listed)-1:]
	default:
		if commits, ok = p.alone(p.ev.After); !ok {
			return nil, false
		}
	}
	p.head = commits[0].SHA
	return commits, true
}

// pushed returns the commits of a push to a branch with the one that the branch
// is at now as the last, whether the event lists it there, elsewhere or not at
// all: executions that wait for one environment end on the newest.
func (p *planning) pushed() (commits []event.Commit, ok bool) {
	listed, after := p.ev.Commits, p.ev.After
	if after == "" {
		if len(listed) == 0 {
			p.ignore("", "", "the push brought no commits: the branch points at one that was there before")
			return nil, false
		}
		p.head = listed[len(listed)-1].SHA
		return listed, true
	}
	return p.endingAt(after)
}

// endingAt returns the listed commits with the one that the ref is at as the
// last.
func (p *planning) endingAt(after string) (commits []event.Commit, ok bool) {
	listed := p.ev.Commits
	if !validSHA(after) {
		p.ignore("", "", fmt.Sprintf("the event says that the branch is at %s, which is not a git object name", quote(after)))
		return listed, len(listed) > 0
	}
	p.head = after
	switch at := lastIndex(listed, after); {
	case at < 0:
		p.unlisted = "; the host did not list it among the push's commits, but the branch is there now"
		if p.ev.Kind == event.PullRequest {
			p.unlisted = "; the host did not list it among the pull request's commits, but it is the head"
		}
		if len(listed) == 0 {
			p.unlisted = "; the push listed no commits, and the branch is there now"
		}
		// When others are listed, this one is new as they are.
		return append(slices.Clip(listed), event.Commit{SHA: after, Distinct: len(listed) > 0}), true
	case at == len(listed)-1:
		return listed, true
	case at == 0: // newest first, as some hosts list them
		commits = slices.Clone(listed)
		slices.Reverse(commits)
		return commits, true
	default:
		commits = append(slices.Clone(listed[:at]), listed[at+1:]...)
		return append(commits, listed[at]), true
	}
}

// lastIndex returns the last place of a commit in a list, -1 when it is not
// there.
func lastIndex(commits []event.Commit, sha string) int {
	for i := len(commits) - 1; i >= 0; i-- {
		if commits[i].SHA == sha {
			return i
		}
	}
	return -1
}

// bare reports whether the host said nothing of a commit but its name.
func bare(c *event.Commit) bool {
	return c.Author == "" && c.AuthorEmail == "" && !c.PathsKnown && !c.KnowsMessage()
}

// takesAll reports whether a route takes more of an event's commits than the
// last.
func (p *planning) takesAll(rt *route) bool {
	alone := p.tag != "" || p.ending != "" || p.labeledFork(rt) || p.merges(rt)
	return !alone && (rt.Commits != "head" || p.head == "")
}

// merges reports whether a route builds what the head would be merged to.
func (p *planning) merges(rt *route) bool {
	return rt.Checkout == checkoutMerge && p.ev.Kind == event.PullRequest && p.ending == ""
}

// unmerged says why there is no merge to be built, "" when there is.
func (p *planning) unmerged() string {
	switch pr := p.ev.PullRequest; {
	case pr.Conflict != "":
		return fmt.Sprintf("pull request #%d has no merge to build: %s", pr.Number, clip(pr.Conflict, maxMessage))
	case pr.Merge == "":
		p.plan.Unmerged = true
		return fmt.Sprintf("checkout: merge builds what pull request #%d would be merged to, which the host has not told", pr.Number)
	case !validSHA(pr.Merge):
		return fmt.Sprintf("the merge of pull request #%d is said to be %s, which is not a git object name", pr.Number, quote(pr.Merge))
	}
	return ""
}

// labeledFork reports whether a person has let one commit of a fork run, and no
// other.
func (p *planning) labeledFork(rt *route) bool {
	return p.ev.Kind == event.PullRequest && p.ev.PullRequest.Fork && rt.Forks == "labeled"
}

// unchosen says why the route's commits: leaves out a commit, "" when it does
// not.
func (p *planning) unchosen(rt *route, c *event.Commit) string {
	if p.ev.Kind == event.PullRequest {
		return p.unchosenOfPull(rt, c)
	}
	switch {
	case p.ev.Kind != event.Push || p.tag != "":
		return ""
	case rt.Commits == "distinct" && !c.Distinct:
		return "commits: distinct leaves out what the host had before this push"
	case rt.Commits == "head" && p.head == "":
		return "commits: head starts only the commit that the branch is at, and the event does not say which that is"
	case rt.Commits == "head" && c.SHA != p.head:
		return "commits: head starts only the newest commit of a push"
	}
	return ""
}

// unchosenOfPull is unchosen for a pull request. No host says which of its
// commits it had before, so distinct is every there.
func (p *planning) unchosenOfPull(rt *route, c *event.Commit) string {
	switch {
	case p.head == "" || c.SHA == p.head:
		return ""
	case p.ending != "":
		return "the end of a pull request concerns its head alone"
	case p.labeledFork(rt):
		return "forks: labeled lets only the head run, which the label was given to"
	case p.merges(rt):
		return "checkout: merge builds what the head would be merged to; there is no such commit of this one"
	case rt.Commits == "head":
		return "commits: head starts only the head of a pull request"
	}
	return ""
}
