package githubtest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// pull is a pull request. Its head is the tip of its branch while it is open.
type pull struct {
	number           int
	title, login     string
	branch, base     string
	from             *Repo // where the branch is; a fork, or the repository itself
	draft, closed    bool
	created, updated time.Time
	head             string
	labels           []string
	// tried says that the host has tried to merge it, and merge is what came of that.
	tried bool
	merge string
}

// OpenPull opens a pull request from a branch into another, and returns its
// number. No event is told of it.
func (r *Repo) OpenPull(branch, base string) int {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	now := time.Now()
	p := &pull{number: len(r.pulls) + 1, title: "Merge " + branch, login: "ada", branch: branch, base: base, from: r, created: now, updated: now}
	r.pulls = append(r.pulls, p)
	return p.number
}

// OpenForkPull opens one from a branch of another repository, whose commits the
// base then has as well, as GitHub keeps them.
func (r *Repo) OpenForkPull(fork *Repo, branch, base string) int {
	n := r.OpenPull(branch, base)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	p := r.pulls[n-1]
	p.from, p.login = fork, fork.Owner
	r.follow(p)
	return n
}

// Draft makes a pull request a draft or ends that, and ClosePull closes it.
func (r *Repo) Draft(number int, draft bool) {
	r.change(number, func(p *pull) { p.draft = draft })
}

// ClosePull closes a pull request.
func (r *Repo) ClosePull(number int) {
	r.change(number, func(p *pull) { p.closed = true })
}

func (r *Repo) change(number int, f func(*pull)) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	f(r.pulls[number-1])
	r.pulls[number-1].updated = time.Now()
}

func (r *Repo) pullNumbered(n int) *pull {
	if n < 1 || n > len(r.pulls) {
		return nil
	}
	return r.pulls[n-1]
}

// follow moves the head of an open pull request to its branch.
func (r *Repo) follow(p *pull) {
	tip, err := p.from.Tip(p.branch)
	if err != nil || p.closed || tip == p.head {
		return
	}
	if p.from != r {
		r.Git("fetch", "-q", p.from.Dir, "+refs/heads/"+p.branch+":"+fmt.Sprintf("refs/pull/%d/head", p.number))
	}
	if p.head != "" {
		p.updated = time.Now()
	}
	p.head = tip
}

func (r *Repo) describePull(p *pull) object {
	r.follow(p)
	s := r.s
	url, html := fmt.Sprintf("%s/pulls/%d", r.url(), p.number), fmt.Sprintf("%s/pull/%d", r.html(), p.number)
	issue := fmt.Sprintf("%s/issues/%d", r.url(), p.number)
	state, closed := "open", any(nil)
	if p.closed {
		state, closed = "closed", stamp(p.updated)
	}
	end := func(repo *Repo, branch, sha string) object {
		return object{"label": repo.Owner + ":" + branch, "ref": branch, "sha": sha, "user": s.user(repo.Owner), "repo": repo.whole()}
	}
	baseTip, _ := r.Tip(p.base)
	linked := object{}
	for name, at := range map[string]string{"self": url, "html": html, "issue": issue, "comments": issue + "/comments", "review_comments": url + "/comments", "review_comment": r.url() + "/pulls/comments{/number}", "commits": url + "/commits", "statuses": r.url() + "/statuses/" + p.head} {
		linked[name] = object{"href": at}
	}
	return object{
		"_links": linked, "id": int64(1000 + p.number), "node_id": "x", "number": p.number, "state": state, "locked": false, "title": p.title, "body": nil, "user": s.user(p.login),
		"assignee": nil, "labels": r.describeLabels(p), "milestone": nil, "created_at": stamp(p.created), "updated_at": stamp(p.updated), "closed_at": closed, "merged_at": nil, "merge_commit_sha": nil,
		"url": url, "html_url": html, "diff_url": html + ".diff", "patch_url": html + ".patch", "issue_url": issue, "comments_url": issue + "/comments",
		"commits_url": url + "/commits", "review_comments_url": url + "/comments", "review_comment_url": r.url() + "/pulls/comments{/number}", "statuses_url": r.url() + "/statuses/" + p.head,
		"head": end(p.from, p.branch, p.head), "base": end(r, p.base, baseTip), "author_association": "CONTRIBUTOR", "auto_merge": nil, "draft": p.draft,
	}
}

func (s *Server) listPulls(q *call) (any, error) {
	query := q.r.URL.Query()
	state, direction := cmp.Or(query.Get("state"), "open"), query.Get("direction")
	type entry struct {
		p *pull
		o object
	}
	var all []entry
	for _, p := range q.repo.pulls {
		if state != "all" && (state == "closed") != p.closed {
			continue
		}
		if base := query.Get("base"); base != "" && base != p.base {
			continue
		}
		all = append(all, entry{p, q.repo.describePull(p)})
	}
	sorted := cmp.Or(query.Get("sort"), "created")
	slices.SortStableFunc(all, func(a, b entry) int {
		if sorted == "updated" {
			return cmp.Or(a.p.updated.Compare(b.p.updated), cmp.Compare(a.p.number, b.p.number))
		}
		return cmp.Compare(a.p.number, b.p.number)
	})
	if direction == "desc" || direction == "" && sorted == "created" {
		slices.Reverse(all)
	}
	list := []object{}
	for _, e := range all {
		list = append(list, e.o)
	}
	return page(s, q, list, 30, 100), nil
}

func (q *call) pull() (*pull, error) {
	n, err := strconv.Atoi(q.r.PathValue("pull_number"))
	if p := q.repo.pullNumbered(n); err == nil && p != nil {
		q.repo.follow(p)
		return p, nil
	}
	return nil, errNotFound
}

func (s *Server) getPull(q *call) (any, error) {
	p, err := q.pull()
	if err != nil {
		return nil, err
	}
	return with(with(q.repo.describePull(p), object{
		"additions": 1, "deletions": 0, "changed_files": 1, "comments": len(q.repo.comments[p.number]), "commits": len(q.repo.pullCommits(p)), "review_comments": 0,
		"merged": false, "merged_by": nil, "maintainer_can_modify": false,
	}), p.mergeability()), nil
}

// pullCommits are those that the head has and the base has not, oldest first.
func (r *Repo) pullCommits(p *pull) []string {
	base, err := r.Tip(p.base)
	if err != nil {
		return nil
	}
	all := r.span(p.head, "^"+base)
	slices.Reverse(all)
	return all
}

// maxPullCommits is how many commits of a pull request are listed at most, by
// "List commits on a pull request".
const maxPullCommits = 250

func (s *Server) listPullCommits(q *call) (any, error) {
	p, err := q.pull()
	if err != nil {
		return nil, err
	}
	all := q.repo.pullCommits(p)
	return q.repo.commits(page(s, q, all[:min(len(all), maxPullCommits)], 30, 100)), nil
}
