package giteatest

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

type object = map[string]any

func (s *Server) routes() {
	const repo = "/repos/{owner}/{repo}"
	s.handle("GET "+repo, "repository", "", func(q *call) (int, any, error) { return http.StatusOK, q.repo.shown(q), nil })
	s.handle("GET "+repo+"/commits", "repository", "", (*call).commits)
	s.handle("GET "+repo+"/git/commits/{sha}", "repository", "", (*call).commit)
	s.handle("GET "+repo+"/branches/{branch...}", "repository", "", (*call).branch)
	s.handle("GET "+repo+"/pulls", "repository", "", (*call).listPulls)
	s.handle("GET "+repo+"/pulls/{number}", "repository", "", func(q *call) (int, any, error) {
		if p := q.pull(); p != nil {
			return http.StatusOK, p.shown(), nil
		}
		return 0, nil, errNotFound
	})
	s.handle("DELETE "+repo+"/issues/{number}/labels/{id}", "issue", "write", (*call).unlabel)
	s.handle("POST "+repo+"/statuses/{sha}", "repository", "write", (*call).status)
	s.handle("POST "+repo+"/issues/{number}/comments", "issue", "read", (*call).comment)
	s.handle("GET "+repo+"/collaborators/{login}/permission", "repository", "read", (*call).permission)
	s.handle("GET "+repo+"/hooks", "repository", "admin", func(q *call) (int, any, error) {
		shown := []object{}
		for _, h := range page(q, q.repo.hooks) {
			shown = append(shown, h.shown())
		}
		return http.StatusOK, shown, nil
	})
	s.handle("POST "+repo+"/hooks", "repository", "admin", (*call).createHook)
	s.handle("DELETE "+repo+"/hooks/{id}", "repository", "admin", (*call).removeHook)
	s.handle("POST "+repo+"/hooks/{id}/tests", "repository", "admin", (*call).testHook)
	s.handle("GET "+repo+"/branch_protections/{name}", "repository", "admin", (*call).rule)
	s.handle("POST "+repo+"/branch_protections", "repository", "admin", func(q *call) (int, any, error) {
		q.repo.rules = append(q.repo.rules, q.body)
		return http.StatusCreated, q.body, nil
	})
	s.handle("PATCH "+repo+"/branch_protections/{name}", "repository", "admin", func(q *call) (int, any, error) {
		status, out, err := q.rule()
		if err != nil {
			return status, out, err
		}
		rule := out.(object)
		for key, value := range q.body {
			if value != nil { // what is left out stays
				rule[key] = value
			}
		}
		return http.StatusOK, rule, nil
	})
	s.handle("GET /user", "user", "", func(q *call) (int, any, error) {
		if q.login == "" {
			return 0, nil, &faultError{status: http.StatusUnauthorized, message: "token is required"}
		}
		return http.StatusOK, user(q.login), nil
	})
}

func user(login string) object {
	return object{"id": len(login), "login": login, "username": login, "full_name": "", "email": login + "@example.test"}
}

func (r *Repo) shown(q *call) object {
	owner, name, _ := strings.Cut(r.fullName, "/")
	o := object{
		"id": r.id, "owner": user(owner), "name": name, "full_name": r.fullName, "private": r.Private, "empty": len(r.branches()) == 0,
		"html_url": r.web(), "clone_url": r.web() + ".git", "default_branch": "main",
	}
	if q != nil {
		o["permissions"] = object{"admin": q.may("admin"), "push": q.may("write"), "pull": q.may("read")}
	}
	return o
}

// branches are where the branches are, by short name.
func (r *Repo) branches() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(r.Git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")) {
		sha, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[strings.TrimPrefix(ref, "refs/heads/")] = sha
	}
	return all
}

// resolve is the commit that a name leads to, "" for none.
func (r *Repo) resolve(name string) string {
	if name == "" || strings.HasPrefix(name, "-") {
		return ""
	}
	for _, ref := range []string{name, "refs/heads/" + name} {
		if out, err := r.Try("", "rev-parse", "--verify", "--quiet", ref+"^{commit}"); err == nil {
			return strings.TrimSpace(out)
		}
	}
	return ""
}

// commits lists newest first, fifty a page at most.
func (q *call) commits() (int, any, error) {
	query := q.r.URL.Query()
	if len(q.repo.branches()) == 0 {
		return 0, nil, &faultError{status: http.StatusConflict, message: "Git Repository is empty."}
	}
	head := q.repo.resolve(query.Get("sha"))
	if head == "" {
		return 0, nil, &faultError{status: http.StatusNotFound, null: true}
	}
	args := []string{"rev-list", head}
	if not := query.Get("not"); not != "" {
		if not = q.repo.resolve(not); not == "" {
			return 0, nil, &faultError{status: http.StatusInternalServerError}
		}
		args = append(args, "--not", not)
	}
	shown := []object{}
	shas := page(q, strings.Fields(q.repo.Git(args...)))
	q.repo.describe(shas...)
	for _, sha := range shas {
		shown = append(shown, q.repo.commit(sha, query.Get("files") != "false"))
	}
	return http.StatusOK, shown, nil
}

func (q *call) commit() (int, any, error) {
	sha := q.repo.resolve(q.r.PathValue("sha"))
	if sha == "" {
		return 0, nil, &faultError{status: http.StatusNotFound, message: "commit doesn't exist: " + q.r.PathValue("sha")}
	}
	return http.StatusOK, q.repo.commit(sha, true), nil
}

// commit is one as the API shows it.
func (r *Repo) commit(sha string, files bool) object {
	c := r.describe(sha)[0]
	who := object{"name": c.name, "email": c.email, "date": rfc(c.unix)}
	api := r.s.URL + "/api/v1/repos/" + r.fullName + "/git/commits/"
	parents := []object{}
	for _, p := range c.parents {
		parents = append(parents, object{"url": api + p, "sha": p, "created": "0001-01-01T00:00:00Z"})
	}
	o := object{
		"url": api + sha, "sha": sha, "created": rfc(c.unix), "html_url": r.web() + "/commit/" + sha, "author": nil, "committer": nil, "parents": parents, "files": nil, "stats": nil,
		"commit": object{"url": api + sha, "author": who, "committer": who, "message": c.message, "verification": nil},
	}
	if login, known := strings.CutSuffix(c.email, "@example.test"); known {
		o["author"] = user(login)
	}
	if files {
		list := []object{}
		for _, f := range c.changes {
			list = append(list, object{"filename": f.path, "status": f.status})
		}
		o["files"] = list
	}
	return o
}

// described is what git says of a commit.
type described struct {
	name, email, unix, message string
	parents                    []string
	changes                    []change
}

// change is one file of a commit, against its first parent.
type change struct{ status, path string }

// describe asks git for commits, of each once.
func (r *Repo) describe(shas ...string) []described {
	var ask strings.Builder
	for _, sha := range shas {
		if _, known := r.known[sha]; !known {
			ask.WriteString(sha + "\n")
		}
	}
	if ask.Len() > 0 {
		out := r.Feed(ask.String(), "log", "--stdin", "--no-walk=unsorted", "-z", "--format=%x01%H%x00%an%x00%ae%x00%ct%x00%P%x00%B%x02", "--name-status", "--no-renames", "-m", "--first-parent")
		for _, record := range strings.Split(out, "\x01")[1:] {
			text, list, _ := strings.Cut(record, "\x02")
			f := strings.SplitN(text, "\x00", 6)
			c := described{name: f[1], email: f[2], unix: f[3], parents: strings.Fields(f[4]), message: f[5]}
			list = strings.Trim(list, "\x00\n")
			for at := strings.Split(list, "\x00"); len(at) > 1; at = at[2:] {
				status := map[string]string{"A": "added", "D": "removed"}[at[0]]
				c.changes = append(c.changes, change{cmp.Or(status, "modified"), at[1]})
			}
			r.known[f[0]] = c
		}
	}
	all := make([]described, len(shas))
	for i, sha := range shas {
		all[i] = r.known[sha]
	}
	return all
}

func (q *call) branch() (int, any, error) {
	name := unescaped(q.r.PathValue("branch"))
	sha, there := q.repo.branches()[name]
	if !there {
		return 0, nil, errNotFound
	}
	o := object{"name": name, "commit": object{"id": sha}, "protected": false, "enable_status_check": false, "status_check_contexts": []string{}, "effective_branch_protection_name": ""}
	for _, rule := range q.repo.rules {
		if rule["rule_name"] == name {
			o["protected"], o["effective_branch_protection_name"] = true, name
			o["enable_status_check"], o["status_check_contexts"] = rule["enable_status_check"], rule["status_check_contexts"]
		}
	}
	return http.StatusOK, o, nil
}

func (q *call) rule() (int, any, error) {
	for _, rule := range q.repo.rules {
		if rule["rule_name"] == unescaped(q.r.PathValue("name")) {
			return http.StatusOK, rule, nil
		}
	}
	return 0, nil, errNotFound
}

// status takes anything for a state, and a name in the place of a commit's ID.
func (q *call) status() (int, any, error) {
	sha := q.repo.resolve(unescaped(q.r.PathValue("sha")))
	if sha == "" {
		return 0, nil, &faultError{status: http.StatusInternalServerError}
	}
	text := func(key string) string { s, _ := q.body[key].(string); return s }
	q.repo.statuses = append(q.repo.statuses, Status{sha, text("state"), text("context"), text("description"), text("target_url")})
	return http.StatusCreated, object{"id": len(q.repo.statuses), "status": text("state"), "target_url": text("target_url"), "description": text("description"), "context": text("context"), "creator": user(q.login)}, nil
}

func (q *call) comment() (int, any, error) {
	p := q.pull()
	if p == nil {
		return 0, nil, errNotFound
	}
	text, _ := q.body["body"].(string)
	q.repo.comments = append(q.repo.comments, Comment{p.Number, q.login, text})
	return http.StatusCreated, object{"id": len(q.repo.comments), "body": text, "user": user(q.login)}, nil
}

// pull is the one that the path names, nil for none.
func (q *call) pull() *Pull {
	number := atoi(q.r.PathValue("number"), 0)
	if number < 1 || number > len(q.repo.pulls) {
		return nil
	}
	return q.repo.pulls[number-1]
}

func (q *call) unlabel() (int, any, error) {
	p, id := q.pull(), atoi(q.r.PathValue("id"), 0)
	if p == nil || id < 1 || id > len(q.repo.labels) || !slices.Contains(p.labels, q.repo.labels[id-1]) {
		return 0, nil, errNotFound
	}
	p.labels = slices.DeleteFunc(p.labels, func(l string) bool { return l == q.repo.labels[id-1] })
	p.touch()
	return http.StatusNoContent, nil, nil
}

var people = regexp.MustCompile(`^[a-z]+$`)

// permission is told to who administers the repository. Users are those of tokens
// and those with access.
func (q *call) permission() (int, any, error) {
	login := q.r.PathValue("login")
	if !q.may("admin") && login != q.login {
		return 0, nil, &faultError{status: http.StatusForbidden, message: "Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own"}
	}
	_, known := q.repo.access[login]
	for _, token := range q.s.tokens {
		known = known || token.Login == login
	}
	if !known || !people.MatchString(login) {
		return 0, nil, &faultError{status: http.StatusNotFound, message: "user does not exist [uid: 0, name: " + login + "]"}
	}
	mode := q.repo.mode(login)
	if mode == "" {
		mode = "none"
	}
	return http.StatusOK, object{"permission": mode, "role_name": mode, "user": user(login)}, nil
}

func (q *call) createHook() (int, any, error) {
	config, _ := q.body["config"].(object)
	events, _ := q.body["events"].([]any)
	text := func(key string) string { s, _ := config[key].(string); return s }
	if q.body["type"] != "gitea" || text("url") == "" || text("content_type") != "json" {
		return 0, nil, &faultError{status: http.StatusUnprocessableEntity, message: "Invalid hook type"}
	}
	q.s.lastID++
	h := &hook{id: q.s.lastID, url: text("url"), secret: text("secret"), active: q.body["active"] == true}
	for _, e := range events {
		name, _ := e.(string)
		h.events = append(h.events, name)
	}
	q.repo.hooks = append(q.repo.hooks, h)
	return http.StatusCreated, h.shown(), nil
}

func (q *call) hook() (*hook, int) {
	id := atoi(q.r.PathValue("id"), 0)
	at := slices.IndexFunc(q.repo.hooks, func(h *hook) bool { return h.id == id })
	if at < 0 {
		return nil, at
	}
	return q.repo.hooks[at], at
}

func (q *call) removeHook() (int, any, error) {
	_, at := q.hook()
	if at < 0 {
		return 0, nil, errNotFound
	}
	q.repo.hooks = slices.Delete(q.repo.hooks, at, at+1)
	return http.StatusNoContent, nil, nil
}
