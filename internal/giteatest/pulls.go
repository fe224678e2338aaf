package giteatest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Pull is a pull request.
type Pull struct {
	repo   *Repo
	Number int
	Title  string
	// Author is whose it is.
	Author     string
	headRepo   *Repo // nil once it is deleted
	head, base string
	sha        string
	draft      bool
	state      string
	updated    time.Time
	labels     []string
}

// OpenPull opens a pull request of a branch, in the same repository or a fork of
// it, and tells the webhooks.
func (r *Repo) OpenPull(from *Repo, head, base, title, author string) *Pull {
	s := r.s
	s.mu.Lock()
	p := &Pull{repo: r, Number: len(r.pulls) + 1, Title: title, Author: author, headRepo: from, head: head, base: base, state: "open"}
	r.pulls = append(r.pulls, p)
	p.follow()
	s.mu.Unlock()
	r.tell("pull_request", "pull_request", p.payload("opened"))
	return p
}

// follow brings the head to where its branch is, with its commits, and says
// whether it has moved.
func (p *Pull) follow() bool {
	tip, err := p.headRepo.Tip(p.head)
	if err != nil || tip == p.sha {
		return false
	}
	if p.headRepo != p.repo {
		p.repo.Git("fetch", "-q", p.headRepo.Dir, tip)
	}
	p.repo.Git("update-ref", "refs/pull/"+itoa(p.Number)+"/head", tip)
	p.sha = tip
	p.touch()
	return true
}

func (p *Pull) touch() {
	p.repo.s.lastID++
	p.updated = time.Date(2026, 11, 3, 0, 0, p.repo.s.lastID, 0, time.UTC)
}

// Sync tells the webhooks of a head that has moved. The push of the same commits
// to the repository's own branch is told by [Repo.Push].
func (p *Pull) Sync() {
	p.repo.s.mu.Lock()
	moved := p.follow()
	p.repo.s.mu.Unlock()
	if moved {
		p.repo.tell("pull_request", "pull_request_sync", p.payload("synchronized"))
	}
}

// Close closes it without merging.
func (p *Pull) Close() {
	p.repo.s.mu.Lock()
	p.state = "closed"
	p.touch()
	p.repo.s.mu.Unlock()
	p.repo.tell("pull_request", "pull_request", p.payload("closed"))
}

// Label gives it a label, and tells the webhooks as the host does: without which.
func (p *Pull) Label(name string) {
	p.repo.s.mu.Lock()
	if !slices.Contains(p.repo.labels, name) {
		p.repo.labels = append(p.repo.labels, name)
	}
	p.labels = append(p.labels, name)
	p.touch()
	p.repo.s.mu.Unlock()
	p.repo.tell("pull_request", "pull_request_label", p.payload("label_updated"))
}

// Labels are those that it has.
func (p *Pull) Labels() []string {
	p.repo.s.mu.Lock()
	defer p.repo.s.mu.Unlock()
	return slices.Clone(p.labels)
}

// Say has a person comment on it.
func (p *Pull) Say(login, text string) []Delivery {
	p.repo.s.mu.Lock()
	p.repo.comments = append(p.repo.comments, Comment{p.Number, login, text})
	id := len(p.repo.comments)
	p.touch()
	p.repo.s.mu.Unlock()
	return p.repo.tell("issue_comment", "pull_request_comment", object{
		"action": "created", "is_pull": true, "issue": object{"number": p.Number, "title": p.Title}, "pull_request": p.shown(),
		"comment": object{"id": id, "body": text, "user": user(login)}, "repository": p.repo.shown(nil), "sender": user(login),
	})
}

func (p *Pull) shown() object {
	head := object{"label": p.head, "ref": p.head, "sha": p.sha, "repo_id": -1, "repo": nil}
	if p.headRepo != nil {
		head["repo_id"], head["repo"] = p.headRepo.id, p.headRepo.shown(nil)
	} else {
		head["ref"] = "refs/pull/" + itoa(p.Number) + "/head"
	}
	tip, labels := p.repo.resolve("refs/heads/"+p.base), []object{}
	for _, name := range p.labels {
		labels = append(labels, object{"id": slices.Index(p.repo.labels, name) + 1, "name": name})
	}
	return object{
		"id": p.Number, "number": p.Number, "title": p.Title, "state": p.state, "draft": p.draft, "merged": false, "labels": labels, "user": user(p.Author),
		"html_url": p.repo.web() + "/pulls/" + itoa(p.Number), "updated_at": p.updated.Format(time.RFC3339),
		"head": head, "base": object{"label": p.base, "ref": p.base, "sha": tip, "repo_id": p.repo.id, "repo": p.repo.shown(nil)},
	}
}

func (p *Pull) payload(action string) object {
	return object{"action": action, "number": p.Number, "pull_request": p.shown(), "repository": p.repo.shown(nil), "sender": user(p.Author), "commit_id": "", "review": nil, "requested_reviewer": nil}
}

func (q *call) listPulls() (int, any, error) {
	state, sort := q.r.URL.Query().Get("state"), q.r.URL.Query().Get("sort")
	var found []*Pull
	for _, p := range q.repo.pulls {
		if state == "all" || p.state == cmp.Or(state, "open") {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *Pull) int {
		if sort == "recentupdate" {
			return b.updated.Compare(a.updated)
		}
		return b.Number - a.Number
	})
	shown := []object{}
	for _, p := range page(q, found) {
		shown = append(shown, p.shown())
	}
	return http.StatusOK, shown, nil
}

// DeleteFork takes away where the pull request's head was.
func (p *Pull) DeleteFork() {
	p.repo.s.mu.Lock()
	defer p.repo.s.mu.Unlock()
	delete(p.repo.s.repos, p.headRepo.fullName)
	p.headRepo = nil
	p.touch()
}
