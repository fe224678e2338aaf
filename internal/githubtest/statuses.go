package githubtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxStatuses is how many one commit and context can have, by "Create a commit
// status".
const MaxStatuses = 1000

// StatusText is a commit status as a test reads it.
type StatusText struct{ SHA, Context, State, Description, URL string }

// posted is a status and its commit.
type posted struct {
	sha    string
	status object
}

// Statuses returns the newest status of each context of a commit, by context.
func (r *Repo) Statuses(sha string) map[string]StatusText {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	found := map[string]StatusText{}
	for _, o := range r.statuses[sha] {
		found[text(o, "context")] = statusText(sha, o)
	}
	return found
}

// AddStatuses gives a commit n statuses of a context that nobody reads.
func (r *Repo) AddStatuses(sha, context string, n int) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for range n {
		r.statuses[sha] = append(r.statuses[sha], object{"context": context, "state": "pending"})
	}
}

// AllStatuses returns every status that was posted to the repository, oldest
// first.
func (r *Repo) AllStatuses() []StatusText {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	all := make([]StatusText, len(r.posted))
	for i, p := range r.posted {
		all[i] = statusText(p.sha, p.status)
	}
	return all
}

func statusText(sha string, o object) StatusText {
	return StatusText{sha, text(o, "context"), text(o, "state"), text(o, "description"), text(o, "target_url")}
}

func text(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

func (s *Server) createStatus(q *call) (any, error) {
	sha := q.r.PathValue("sha")
	if resolved, err := q.repo.resolve(sha); err != nil || resolved != sha {
		return nil, &FaultError{Status: http.StatusUnprocessableEntity, Message: "No commit found for SHA: " + sha}
	}
	context := text(q.body, "context")
	if context == "" {
		context = "default"
	}
	state, description, target := text(q.body, "state"), text(q.body, "description"), text(q.body, "target_url")
	switch {
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, state):
		return nil, invalid("state is not included in the list")
	case utf8.RuneCountInString(description) > 140:
		return nil, invalid("description is too long (maximum is 140 characters)")
	case target != "" && !strings.HasPrefix(target, "http://") && !strings.HasPrefix(target, "https://"):
		return nil, invalid("target_url must use http(s) scheme")
	case q.repo.countStatuses(sha, context) >= MaxStatuses:
		return nil, invalid("This SHA and context has reached the maximum number of statuses.")
	}
	now := stamp(time.Now())
	o := object{
		"id": s.id(), "node_id": "x", "url": q.repo.url() + "/statuses/" + sha, "avatar_url": s.web, "state": state, "context": context, "description": orNil(description), "target_url": orNil(target),
		"created_at": now, "updated_at": now, "creator": s.user(q.who.login),
	}
	q.repo.statuses[sha] = append(q.repo.statuses[sha], o)
	q.repo.posted = append(q.repo.posted, posted{sha, o})
	q.status = http.StatusCreated
	return o, nil
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (r *Repo) countStatuses(sha, context string) int {
	n := 0
	for _, o := range r.statuses[sha] {
		if o["context"] == context {
			n++
		}
	}
	return n
}

func (s *Server) listStatuses(q *call) (any, error) {
	sha, err := q.repo.resolve(q.r.PathValue("ref"))
	if err != nil {
		return nil, errNotFound
	}
	all := slices.Clone(q.repo.statuses[sha])
	slices.Reverse(all)
	return page(s, q, all, 30, 100), nil
}

func (s *Server) combinedStatus(q *call) (any, error) {
	sha, err := q.repo.resolve(q.r.PathValue("ref"))
	if err != nil {
		return nil, errNotFound
	}
	newest := map[string]object{}
	for _, o := range q.repo.statuses[sha] {
		simple := object{}
		for k, v := range o {
			if k != "creator" {
				simple[k] = v
			}
		}
		newest[text(o, "context")] = simple
	}
	state, all := "success", []object{}
	for _, context := range keys(newest) {
		all = append(all, newest[context])
		switch newest[context]["state"] {
		case "error", "failure":
			state = "failure"
		case "pending":
			if state == "success" {
				state = "pending"
			}
		}
	}
	if len(all) == 0 {
		state = "pending"
	}
	return object{
		"state": state, "sha": sha, "total_count": len(all), "statuses": page(s, q, all, 30, 100), "repository": q.repo.brief(),
		"commit_url": q.repo.url() + "/commits/" + sha, "url": q.repo.url() + "/commits/" + sha + "/status",
	}, nil
}
