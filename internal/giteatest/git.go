package giteatest

import (
	"net/http"
	"slices"
	"strings"
)

// serveGit serves a repository over git's smart HTTP, to who may read it.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	user, password, _ := r.BasicAuth()
	s.mu.Lock()
	if to, was := s.moved[name]; was {
		s.mu.Unlock()
		http.Redirect(w, r, "/"+to+".git/"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
		return
	}
	repo, token := s.repos[name], s.tokens[password]
	if password == "" {
		token = s.tokens[user]
	}
	known := token.Text != ""
	allowed := repo != nil && (!repo.Private || known && repo.mode(token.Login) != "" && slices.ContainsFunc(token.Scopes, func(s string) bool { return strings.HasSuffix(s, ":repository") }))
	s.mu.Unlock()
	switch {
	case allowed && (known || password == ""):
		repo.Serve(w, r, rest)
	case known && repo == nil:
		http.NotFound(w, r)
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}
}
