package githubtest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/internal/gittest"
)

// Repo is a repository.
type Repo struct {
	*gittest.Repo
	Owner, Name string
	ID          int64

	s *Server
	// The rest is the server's, under its lock.
	defaultBranch string
	people        map[string]string // permission by login
	protected     map[string]*protection
	rules         map[string][]string // contexts that a ruleset requires, by branch
	pulls         []*pull
	hooks         []*hook
	statuses      map[string][]object // by commit, oldest first
	posted        []posted            // the same in one row
	checks        []*checkRun
	comments      map[int][]object
	// logins are who GitHub takes an author to be, by email.
	logins map[string]string
	known  map[string]bool // commits that are there, by ID
	spans  map[string][]string
	heads  map[string]string // of branches, as hooks were last told
}

func key(fullName string) string { return strings.ToLower(fullName) }

// FullName is owner/name.
func (r *Repo) FullName() string { return r.Owner + "/" + r.Name }

// AddRepo makes an empty repository, by its full name.
func (s *Server) AddRepo(fullName string) *Repo {
	s.t.Helper()
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok {
		s.t.Fatalf("%q is not owner/name", fullName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repo{
		Repo: gittest.New(s.t), Owner: owner, Name: name, ID: s.id(), s: s, defaultBranch: "main",
		people: map[string]string{owner: "admin"}, protected: map[string]*protection{}, rules: map[string][]string{},
		statuses: map[string][]object{}, comments: map[int][]object{},
		logins: map[string]string{gittest.AuthorEmail: "ada"}, heads: map[string]string{}, known: map[string]bool{}, spans: map[string][]string{},
	}
	s.repos[key(fullName)] = r
	return r
}

// Login says who GitHub takes the author with this email for; nobody, if it is
// empty. Ada's is ada.
func (r *Repo) Login(email, login string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.logins[email] = login
}

// Remove deletes a repository.
func (s *Server) Remove(r *Repo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, key(r.FullName()))
}

// stamp is a time as the API writes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// links are members that only lead to another place of the API.
func links(base, names string) object {
	o := object{}
	for name := range strings.FieldsSeq(names) {
		o[name+"_url"] = base + "/" + strings.ReplaceAll(name, "_", "/")
	}
	return o
}

// with adds members to an object.
func with(o, more object) object {
	maps.Copy(o, more)
	return o
}

func (s *Server) user(login string) object {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	base := s.base + "users/" + login
	return with(links(base, "avatar events followers following gists organizations received_events repos starred subscriptions"), object{
		"id": 1, "node_id": "x", "login": login, "gravatar_id": "", "html_url": s.web + "/" + login, "site_admin": false, "type": kind, "url": base,
	})
}

func (s *Server) getUser(q *call) (any, error) {
	if q.who.token.installation != nil {
		return nil, &FaultError{Status: http.StatusForbidden, Message: "Resource not accessible by integration"}
	}
	return s.profile(q.who.login), nil
}

// profile is what the API tells of one person.
func (s *Server) profile(login string) object {
	shown := s.profiles[login]
	orNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	return with(s.user(login), object{
		"bio": nil, "blog": nil, "company": nil, "email": orNull(shown.Email), "followers": 0, "following": 0, "hireable": nil, "location": nil, "name": orNull(shown.Name),
		"public_gists": 0, "public_repos": 0, "created_at": stamp(gittest.Epoch), "updated_at": stamp(gittest.Epoch),
	})
}

func (r *Repo) url() string { return r.s.base + "repos/" + r.FullName() }

func (r *Repo) html() string { return r.s.web + "/" + r.FullName() }

// brief is a repository as it stands in other answers.
func (r *Repo) brief() object {
	return with(links(r.url(), "archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees"), object{
		"id": r.ID, "node_id": "x", "name": r.Name, "full_name": r.FullName(), "owner": r.s.user(r.Owner), "private": true, "html_url": r.html(), "description": nil, "fork": false, "url": r.url(),
	})
}

// whole is all that the API tells of a repository.
func (r *Repo) whole() object {
	return with(r.brief(), object{
		"clone_url": r.html() + ".git", "git_url": r.html() + ".git", "ssh_url": "git@github.test:" + r.FullName() + ".git", "svn_url": r.html(), "default_branch": r.defaultBranch,
		"forks": 0, "forks_count": 0, "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": true, "has_discussions": false, "homepage": nil, "language": nil,
		"archived": false, "disabled": false, "mirror_url": nil, "open_issues": 0, "open_issues_count": 0, "license": nil, "size": 1, "stargazers_count": 0,
		"watchers": 0, "watchers_count": 0, "created_at": stamp(gittest.Epoch), "updated_at": stamp(gittest.Epoch), "pushed_at": stamp(gittest.Epoch),
	})
}

func (s *Server) getRepository(q *call) (any, error) {
	return with(q.repo.whole(), object{"network_count": 0, "subscribers_count": 0}), nil
}

// page cuts a list as a query asks for it, and writes the Link header. usual and
// most are the sizes that the API documents.
func page[T any](s *Server, q *call, list []T, usual, most int) []T {
	query := q.r.URL.Query()
	size, err := strconv.Atoi(query.Get("per_page"))
	if err != nil || size < 1 {
		size = usual
	}
	size = min(size, most)
	number, err := strconv.Atoi(query.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	last := max((len(list)+size-1)/size, 1)
	var parts []string
	at := func(rel string, n int) {
		query.Set("page", strconv.Itoa(n))
		parts = append(parts, "<"+s.link(q.r, query)+`>; rel="`+rel+`"`)
	}
	if number > 1 {
		at("prev", number-1)
	}
	if number < last {
		at("next", number+1)
		at("last", last)
	}
	if number > 1 {
		at("first", 1)
	}
	if len(parts) > 0 {
		q.header.Set("Link", strings.Join(parts, ", "))
	}
	from := min((number-1)*size, len(list))
	return slices.Clone(list[from:min(from+size, len(list))])
}

// link is the URL of the same call with another query.
func (s *Server) link(r *http.Request, query url.Values) string {
	return strings.TrimSuffix(s.base, "/") + r.URL.EscapedPath() + "?" + query.Encode()
}

// serveGit serves Git over HTTP to who signs in with a token that may read or, to
// push, write the contents.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	_, password, ok := r.BasicAuth()
	s.mu.Lock()
	repo, token := s.repos[key(name)], s.tokens[password]
	s.mu.Unlock()
	needs := "contents=read"
	if strings.Contains(rest, "receive-pack") || r.URL.Query().Get("service") == "git-receive-pack" {
		needs = "contents=write"
	}
	switch {
	case !ok || token == nil || !token.Expires.IsZero() && !time.Now().Before(token.Expires):
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		w.WriteHeader(http.StatusUnauthorized)
	case repo == nil || !token.reaches(repo):
		w.WriteHeader(http.StatusNotFound)
	case !token.may(needs):
		w.WriteHeader(http.StatusForbidden)
	default:
		repo.Serve(w, r, rest)
	}
}
