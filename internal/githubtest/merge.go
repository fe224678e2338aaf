package githubtest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// TryMerge has the host try to merge a pull request, which GitHub does some time after
// it or its base has moved ("Get a pull request"): until then mergeable is null, or
// what it was for the head of before. It returns the commit of the merge, "" where
// there is a conflict.
func (r *Repo) TryMerge(number int) string {
	r.s.t.Helper()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	p := r.pulls[number-1]
	r.follow(p)
	base, err := r.Tip(p.base)
	if err != nil {
		r.s.t.Fatal(err)
	}
	p.tried, p.merge = true, ""
	tree, err := r.Try("", "merge-tree", "--write-tree", base, p.head)
	if err != nil {
		return ""
	}
	sha := r.Git("-c", "user.name=GitHub", "-c", "user.email=noreply@github.com", "commit-tree", strings.TrimSpace(tree), "-p", base, "-p", p.head, "-m", "Merge "+p.head+" into "+base)
	p.merge = strings.TrimSpace(sha)
	r.Git("update-ref", "refs/pull/"+strconv.Itoa(number)+"/merge", p.merge)
	return p.merge
}

// mergeability is what the API tells of the last try.
func (p *pull) mergeability() object {
	switch {
	case !p.tried:
		return object{"mergeable": nil, "mergeable_state": "unknown", "rebaseable": nil}
	case p.merge == "":
		return object{"mergeable": false, "mergeable_state": "dirty", "rebaseable": false}
	}
	return object{"mergeable": true, "mergeable_state": "clean", "rebaseable": true, "merge_commit_sha": p.merge}
}

// Label gives a pull request labels. No event is told of it.
func (r *Repo) Label(number int, labels ...string) {
	r.change(number, func(p *pull) { p.labels = append(p.labels, labels...) })
}

// Labels are those that a pull request has.
func (r *Repo) Labels(number int) []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.pulls[number-1].labels)
}

func (r *Repo) describeLabels(p *pull) []object {
	all := []object{}
	for i, name := range p.labels {
		all = append(all, object{"id": int64(i + 1), "node_id": "x", "url": r.url() + "/labels/" + name, "name": name, "description": "", "color": "ededed", "default": false})
	}
	return all
}

func (s *Server) removeLabel(q *call) (any, error) {
	n, err := strconv.Atoi(q.r.PathValue("issue_number"))
	p := q.repo.pullNumbered(n)
	if err != nil || p == nil {
		return nil, errNotFound
	}
	at := slices.Index(p.labels, q.r.PathValue("name"))
	if at < 0 {
		return nil, &FaultError{Status: 404, Message: "Label does not exist"}
	}
	p.labels, p.updated = slices.Delete(p.labels, at, at+1), time.Now()
	return q.repo.describeLabels(p), nil
}
