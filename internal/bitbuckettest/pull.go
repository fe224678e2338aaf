package bitbuckettest

import (
	"fmt"
	"strings"
)

// Pull is a pull request.
type Pull struct {
	Number int

	r          *Repo
	from       *Repo
	head, base string // branches
	title      string
	state      string
	draft      bool
	version    int
	// merged are its commits from before it was merged.
	merged []record
}

// OpenPull opens a pull request of a branch into another, from a fork where that is
// given, and tells the webhooks.
func (r *Repo) OpenPull(from *Repo, head, base, title string) *Pull {
	r.s.t.Helper()
	if from == nil {
		from = r
	}
	r.s.mu.Lock()
	p := &Pull{Number: len(r.pulls) + 1, r: r, from: from, head: head, base: base, title: title, state: "OPEN"}
	r.pulls = append(r.pulls, p)
	p.fetch()
	r.s.mu.Unlock()
	p.tell(map[bool]string{true: "pullrequest:created", false: "pr:opened"}[r.s.cloud], nil)
	return p
}

// fetch brings the head of today into the base's repository, as both hosts do.
func (p *Pull) fetch() {
	p.version = p.r.s.id()
	p.r.Git("fetch", "-q", p.from.Dir, fmt.Sprintf("+refs/heads/%s:%s", p.head, p.ref()))
}

func (p *Pull) ref() string { return fmt.Sprintf("refs/pull-requests/%d/from", p.Number) }

// Head is the commit that the pull request is at.
func (p *Pull) Head() string { return strings.TrimSpace(p.r.Git("rev-parse", p.ref())) }

// Update tells the webhooks that the head branch has moved.
func (p *Pull) Update() {
	p.r.s.mu.Lock()
	before := p.Head()
	p.fetch()
	p.r.s.mu.Unlock()
	p.tell(map[bool]string{true: "pullrequest:updated", false: "pr:from_ref_updated"}[p.r.s.cloud], object{"previousFromHash": before})
}

// Merge merges it by a merge commit, and tells the webhooks.
func (p *Pull) Merge() {
	p.r.s.mu.Lock()
	p.merged = p.commits()
	p.state = "MERGED"
	p.version = p.r.s.id()
	base, err := p.r.Tip(p.base)
	if err != nil {
		p.r.s.t.Error(err)
	}
	p.r.s.mu.Unlock()
	p.r.Commit(p.base, "Merge pull request", map[string]string{"merged.txt": p.title}, base, p.Head())
	p.tell(map[bool]string{true: "pullrequest:fulfilled", false: "pr:merged"}[p.r.s.cloud], nil)
}

// Decline closes it, and tells the webhooks.
func (p *Pull) Decline() {
	p.r.s.mu.Lock()
	p.state = "DECLINED"
	p.version = p.r.s.id()
	p.r.s.mu.Unlock()
	p.tell(map[bool]string{true: "pullrequest:rejected", false: "pr:declined"}[p.r.s.cloud], nil)
}

// commits are what its head has and its base has not, newest first.
func (p *Pull) commits() []record {
	if p.merged != nil {
		return p.merged
	}
	return p.r.log(p.ref(), "^refs/heads/"+p.base)
}

func (p *Pull) cloud() object {
	tip, err := p.r.Tip(p.base)
	if err != nil {
		p.r.s.t.Error(err)
	}
	end := func(r *Repo, branch, sha string) object {
		return object{"branch": object{"name": branch}, "commit": object{"type": "commit", "hash": sha[:12]}, "repository": r.cloudRepository()}
	}
	return object{
		"type": "pullrequest", "id": p.Number, "title": p.title, "state": p.state, "draft": p.draft, "updated_on": fmt.Sprintf("2026-11-26T08:00:00.%06d+00:00", p.version),
		"author": object{"nickname": "ada", "display_name": "Ada"}, "source": end(p.from, p.head, p.Head()), "destination": end(p.r, p.base, tip),
	}
}

func (p *Pull) dataCenter() object {
	tip, err := p.r.Tip(p.base)
	if err != nil {
		p.r.s.t.Error(err)
	}
	end := func(r *Repo, branch, sha string) object {
		return object{"id": "refs/heads/" + branch, "displayId": branch, "latestCommit": sha, "type": "BRANCH", "repository": r.dataCenter()}
	}
	return object{
		"id": p.Number, "version": p.version, "title": p.title, "state": p.state, "open": p.state == "OPEN", "closed": p.state != "OPEN", "draft": p.draft,
		"createdDate": 1767690000000, "updatedDate": 1767690000000 + p.version, "fromRef": end(p.from, p.head, p.Head()), "toRef": end(p.r, p.base, tip),
		"locked": false, "author": object{"user": object{"name": "ada", "displayName": "Ada"}, "role": "AUTHOR"},
	}
}

// tell delivers an event of the pull request.
func (p *Pull) tell(event string, more object) {
	s := p.r.s
	s.mu.Lock()
	var payload object
	if s.cloud {
		payload = object{"pullrequest": p.cloud(), "repository": p.r.cloudRepository(), "actor": object{"nickname": "ada", "display_name": "Ada"}}
	} else {
		payload = object{"eventKey": event, "date": "2026-11-26T08:00:00+0000", "actor": object{"name": "ada", "displayName": "Ada"}, "pullRequest": p.dataCenter()}
		for k, v := range more {
			payload[k] = v
		}
	}
	deliveries := p.r.deliveries(event, payload)
	s.mu.Unlock()
	s.sendAll(deliveries)
}

// Say has somebody comment on it, by name or, at Cloud, account ID, and tells the
// webhooks.
func (p *Pull) Say(who, text string) {
	s := p.r.s
	s.mu.Lock()
	event, id := "pr:comment:added", s.id()
	payload := object{"actor": object{"name": who}, "pullRequest": p.dataCenter(), "comment": object{"id": id, "text": text, "author": object{"name": who}}}
	if s.cloud {
		event = "pullrequest:comment_created"
		person := object{"type": "user", "account_id": who, "nickname": "somebody"}
		payload = object{"actor": person, "pullrequest": p.cloud(), "repository": p.r.cloudRepository(), "comment": object{"id": id, "content": object{"raw": text}, "user": person}}
	}
	deliveries := p.r.deliveries(event, payload)
	s.mu.Unlock()
	s.sendAll(deliveries)
}
