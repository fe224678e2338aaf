package githubtest

import (
	"net/http"
	"strconv"
	"strings"
)

// Rename gives a repository another full name, owner/name. Calls that use the former
// one are sent on to where its number leads, as GitHub does ("Best practices for using
// the REST API": follow redirects): 301 for reading, 307 for anything else.
func (r *Repo) Rename(fullName string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	former := key(r.FullName())
	r.Owner, r.Name, _ = strings.Cut(fullName, "/")
	delete(r.s.repos, former)
	r.s.repos[key(fullName)] = r
	r.s.renamed[former] = r
}

// sentOn answers a call of a repository's former name, and has one that names it by its
// number served under its name.
func (s *Server) sentOn(w http.ResponseWriter, r *http.Request) (next *http.Request, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	parts := strings.SplitN(path, "/", 4)
	if rest, numbered := strings.CutPrefix(path, "repositories/"); numbered {
		number, rest, _ := strings.Cut(rest, "/")
		for _, repo := range s.repos {
			if strconv.FormatInt(repo.ID, 10) == number {
				return at(r, "/repos/"+repo.FullName()+"/"+rest), false
			}
		}
		return r, false
	}
	if len(parts) < 3 || parts[0] != "repos" {
		return r, false
	}
	repo := s.renamed[key(parts[1]+"/"+parts[2])]
	if repo == nil {
		return r, false
	}
	status := http.StatusTemporaryRedirect
	if r.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	rest := strings.Join(parts[3:], "")
	http.Redirect(w, r, s.base+"repositories/"+strconv.FormatInt(repo.ID, 10)+"/"+rest, status)
	return nil, true
}

func at(r *http.Request, escaped string) *http.Request {
	next := r.Clone(r.Context())
	escaped = strings.TrimSuffix(escaped, "/")
	if u, err := r.URL.Parse(escaped); err == nil {
		next.URL.Path, next.URL.RawPath = u.Path, u.RawPath
	}
	return next
}
