package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Allow gives somebody a permission: admin, write, read, or maintain or triage,
// which the API tells as the role beside the permission that it includes.
func (r *Repo) Allow(login, permission string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.people[login] = permission
}

// Profile is what somebody shows of themselves on their page; empty is not shown.
type Profile struct{ Name, Email string }

// Show has somebody show more than their login.
func (s *Server) Show(login string, p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profiles[login] = p
}

// nobody is the login of a user who does not exist.
const nobody = "nobody"

func (s *Server) getPerson(q *call) (any, error) {
	login := q.r.PathValue("username")
	if login == nobody {
		return nil, errNotFound
	}
	return s.profile(login), nil
}

func (s *Server) getPermission(q *call) (any, error) {
	login := q.r.PathValue("username")
	role := q.repo.people[login]
	permission := role
	switch role {
	case "":
		if login == nobody {
			return nil, errNotFound
		}
		permission, role = "none", "none"
	case "maintain":
		permission = "write"
	case "triage":
		permission = "read"
	}
	return object{"permission": permission, "role_name": role, "user": with(s.user(login), object{"role_name": role})}, nil
}

// maxComment is how long a comment can be, in characters, as GitHub's error says.
const maxComment = 65536

// Comments are the texts of the comments below an issue or a pull request.
func (r *Repo) Comments(number int) []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var all []string
	for _, c := range r.comments[number] {
		all = append(all, text(c, "body"))
	}
	return all
}

func (s *Server) createComment(q *call) (any, error) {
	n, err := strconv.Atoi(q.r.PathValue("issue_number"))
	if err != nil || q.repo.pullNumbered(n) == nil {
		return nil, errNotFound
	}
	body := text(q.body, "body")
	switch {
	case body == "":
		return nil, invalid("body cannot be blank")
	case utf8.RuneCountInString(body) > maxComment:
		return nil, invalid("body is too long (maximum is 65536 characters)")
	}
	now := stamp(time.Now())
	url := q.repo.url() + "/issues/comments/" + strconv.FormatInt(s.id(), 10)
	c := object{
		"id": s.lastID, "node_id": "x", "url": url, "html_url": url, "issue_url": q.repo.url() + "/issues/" + strconv.Itoa(n), "user": s.user(q.who.login),
		"created_at": now, "updated_at": now, "body": body, "author_association": "COLLABORATOR",
	}
	q.repo.comments[n] = append(q.repo.comments[n], c)
	q.status = http.StatusCreated
	return c, nil
}

func (s *Server) listComments(q *call) (any, error) {
	n, err := strconv.Atoi(q.r.PathValue("issue_number"))
	if err != nil || q.repo.pullNumbered(n) == nil {
		return nil, errNotFound
	}
	return page(s, q, q.repo.comments[n], 30, 100), nil
}
