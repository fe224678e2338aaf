package bitbuckettest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// cloudOperations are what is called of Bitbucket Cloud's API, by the paths of its
// description.
var cloudOperations = map[string]operation{
	"GET /repositories/{workspace}/{repo_slug}":                 cloudRepository,
	"GET /repositories/{workspace}/{repo_slug}/commits":         cloudCommits,
	"GET /repositories/{workspace}/{repo_slug}/commit/{commit}": cloudCommit,
	"GET /repositories/{workspace}/{repo_slug}/diffstat/{spec}": cloudDiffstat,
	"GET /repositories/{workspace}/{repo_slug}/pullrequests":    cloudPulls,
	"GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}": func(q *call) (any, error) {
		p, err := q.pull()
		if err != nil {
			return nil, err
		}
		return p.cloud(), nil
	},
	"GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/commits":   cloudPullCommits,
	"POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments": cloudComment,
	"GET /repositories/{workspace}/{repo_slug}/hooks":                                    cloudHooks,
	"POST /repositories/{workspace}/{repo_slug}/hooks":                                   cloudCreateHook,
	"DELETE /repositories/{workspace}/{repo_slug}/hooks/{uid}":                           cloudRemoveHook,
	"POST /repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build":          cloudStatus,
	"GET /workspaces/{workspace}/permissions/repositories/{repo_slug}":                   cloudPermissions,
}

// cloudPage cuts a page out of a list, and names the next as the API does: by a URL
// that nobody could have made up.
func cloudPage[T any](q *call, all []T, usual, most int) (any, error) {
	values := q.r.URL.Query()
	at := 0
	if cursor := values.Get("ctx"); cursor != "" {
		known, ok := q.s.cursors[cursor]
		if !ok {
			return nil, &AnswerError{Status: http.StatusBadRequest, Message: "Invalid page"}
		}
		at, _ = strconv.Atoi(values.Get("page"))
		values = known
	} else if values.Has("page") {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "page is of links that the API made"}
	}
	size := usual
	if text := values.Get("pagelen"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return nil, &AnswerError{Status: http.StatusBadRequest, Message: "Invalid pagelen"}
		}
		size = n
	}
	if q.s.PageSize > 0 {
		size = min(size, q.s.PageSize)
	}
	at = min(max(at, 0), len(all))
	end := min(at+size, len(all))
	out := object{"pagelen": size, "values": append([]T{}, all[at:end]...)}
	if end < len(all) {
		cursor := fmt.Sprintf("c%d", q.s.id())
		q.s.cursors[cursor] = values
		out["next"] = q.s.api + strings.TrimPrefix(q.r.URL.EscapedPath(), "/2.0") + "?" + url.Values{"ctx": {cursor}, "page": {strconv.Itoa(end)}}.Encode()
	}
	return out, nil
}

// parameters are those of the first page, also on a later one.
func (q *call) parameters() url.Values {
	values := q.r.URL.Query()
	if known, ok := q.s.cursors[values.Get("ctx")]; ok {
		return known
	}
	return values
}

func (r *Repo) cloudRepository() object {
	return object{
		"type": "repository", "full_name": r.FullName(), "name": r.Name, "uuid": r.uuid,
		"links": object{"html": object{"href": r.s.web + "/" + r.FullName()}},
	}
}

func cloudRepository(q *call) (any, error) {
	out := q.repo.cloudRepository()
	out["mainbranch"] = nil
	if _, err := q.repo.Tip("main"); err == nil {
		out["mainbranch"] = object{"type": "branch", "name": "main"}
	}
	return out, nil
}

// nickname is whom the host takes an author for.
func nickname(email string) string { name, _, _ := strings.Cut(email, "@"); return name }

func (r *Repo) cloudCommits(all []record) []object {
	list := []object{}
	for _, c := range all {
		parents := []object{}
		for p := range strings.FieldsSeq(c.parents) {
			parents = append(parents, object{"type": "commit", "hash": p})
		}
		list = append(list, object{
			"type": "commit", "hash": c.sha, "date": c.date, "message": c.message, "parents": parents,
			"author": object{"type": "author", "raw": c.name + " <" + c.email + ">", "user": object{"nickname": nickname(c.email), "display_name": c.name}},
			"links":  object{"html": object{"href": r.s.web + "/" + r.FullName() + "/commits/" + c.sha}},
		})
	}
	return list
}

func cloudCommits(q *call) (any, error) {
	p := q.parameters()
	args := []string{}
	for _, key := range []string{"include", "exclude"} {
		for _, revision := range p[key] {
			sha, ok := q.repo.resolve(revision)
			if !ok {
				return nil, &AnswerError{Status: http.StatusNotFound, Message: "Commit not found: " + revision}
			}
			args = append(args, map[string]string{"include": "", "exclude": "^"}[key]+sha)
		}
	}
	if len(p["include"]) == 0 {
		args = append(args, "--all")
	}
	return cloudPage(q, q.repo.cloudCommits(q.repo.log(args...)), 30, 100)
}

func cloudCommit(q *call) (any, error) {
	sha, ok := q.repo.resolve(q.r.PathValue("commit"))
	if !ok {
		return nil, &AnswerError{Status: http.StatusNotFound, Message: "Commit not found"}
	}
	return q.repo.cloudCommits(q.repo.log("-1", sha))[0], nil
}

func cloudDiffstat(q *call) (any, error) {
	sha, ok := q.repo.resolve(q.r.PathValue("spec"))
	if !ok {
		return nil, &AnswerError{Status: http.StatusNotFound, Message: "Commit not found"}
	}
	all := []object{}
	for _, f := range q.repo.changed(sha) {
		file := object{"type": "commit_file", "path": f[1]}
		change := object{"type": "diffstat", "status": "modified", "old": file, "new": file}
		switch f[0] {
		case "A":
			change["status"], change["old"] = "added", nil
		case "D":
			change["status"], change["new"] = "removed", nil
		}
		all = append(all, change)
	}
	return cloudPage(q, all, 500, 5000)
}

func cloudPulls(q *call) (any, error) {
	state := q.parameters().Get("state")
	var open []*Pull
	for _, p := range q.repo.pulls {
		if state == "" && p.state == "OPEN" || p.state == state {
			open = append(open, p)
		}
	}
	if q.parameters().Get("sort") == "-updated_on" {
		slices.SortStableFunc(open, func(a, b *Pull) int { return b.version - a.version })
	}
	all := []object{}
	for _, p := range open {
		all = append(all, p.cloud())
	}
	out, err := cloudPage(q, all, 10, 50)
	if page, ok := out.(object); ok {
		page["size"] = len(all)
	}
	return out, err
}

func (q *call) pull() (*Pull, error) {
	for _, p := range q.repo.pulls {
		if strconv.Itoa(p.Number) == q.r.PathValue("pull_request_id")+q.r.PathValue("pullRequestId") {
			return p, nil
		}
	}
	return nil, &AnswerError{Status: http.StatusNotFound, Message: "No such pull request", Exception: "com.atlassian.bitbucket.pull.NoSuchPullRequestException"}
}

func cloudPullCommits(q *call) (any, error) {
	p, err := q.pull()
	if err != nil {
		return nil, err
	}
	return cloudPage(q, q.repo.cloudCommits(p.commits()), 30, 100)
}

func cloudComment(q *call) (any, error) {
	if _, err := q.pull(); err != nil {
		return nil, err
	}
	content, _ := q.body["content"].(object)
	text, _ := content["raw"].(string)
	if text == "" {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "content.raw: This field is required"}
	}
	made := object{"id": q.s.id(), "text": text}
	q.repo.comments = append(q.repo.comments, made)
	q.status = http.StatusCreated
	return object{"type": "pullrequest_comment", "id": made["id"], "content": object{"raw": text}}, nil
}

// shownHook is a webhook without its secret.
func shownHook(h object) object {
	shown := object{}
	for k, v := range h {
		if k != "secret" && k != "configuration" && k != "last" {
			shown[k] = v
		}
	}
	return shown
}

func cloudHooks(q *call) (any, error) {
	all := []object{}
	for _, h := range q.repo.hooks {
		all = append(all, shownHook(h))
	}
	return cloudPage(q, all, 10, 100)
}

func cloudCreateHook(q *call) (any, error) {
	events, _ := q.body["events"].([]any)
	if q.body["url"] == nil || len(events) == 0 || q.body["description"] == nil {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "url, events and description are required"}
	}
	for _, e := range events {
		if !slices.Contains(cloudEvents, e.(string)) {
			return nil, &AnswerError{Status: http.StatusBadRequest, Message: fmt.Sprintf("events: %v is no event", e)}
		}
	}
	q.body["uuid"] = q.s.uuid()
	q.repo.hooks = append(q.repo.hooks, q.body)
	q.status = http.StatusCreated
	return shownHook(q.body), nil
}

// cloudEvents are those of "Event payloads" that concern commits and pull requests.
var cloudEvents = []string{
	"repo:push", "repo:fork", "repo:updated", "repo:commit_status_created", "repo:commit_status_updated",
	"pullrequest:created", "pullrequest:updated", "pullrequest:fulfilled", "pullrequest:rejected",
	"pullrequest:comment_created", "pullrequest:approved", "pullrequest:unapproved",
}

func cloudRemoveHook(q *call) (any, error) {
	for i, h := range q.repo.hooks {
		if h["uuid"] == q.r.PathValue("uid") {
			q.repo.hooks = slices.Delete(q.repo.hooks, i, i+1)
			return nil, nil
		}
	}
	return nil, &AnswerError{Status: http.StatusNotFound, Message: "No such webhook"}
}

func cloudPermissions(q *call) (any, error) {
	if q.parameters().Get("q") != `permission>"read"` {
		q.s.t.Errorf("permissions are asked for by %q", q.r.URL.RawQuery)
	}
	all := []object{}
	for _, w := range q.repo.writers {
		if w["permission"] != "read" {
			all = append(all, object{"type": "repository_permission", "permission": w["permission"], "user": w["user"]})
		}
	}
	return cloudPage(q, all, 10, 100)
}

// cloudStatus takes a build status, with the limits that the API names when it
// refuses one.
func cloudStatus(q *call) (any, error) {
	sha, ok := q.repo.resolve(q.r.PathValue("commit"))
	if !ok {
		return nil, &AnswerError{Status: http.StatusNotFound, Message: "Commit not found"}
	}
	if err := checkStatus(q.body, []string{"INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"}, map[string]int{"key": 40, "name": 255, "description": 255, "url": 1024}); err != nil {
		return nil, err
	}
	q.repo.put(sha, q.body)
	q.status = http.StatusCreated
	return q.body, nil
}

// checkStatus refuses a build status with a member that the API does not document,
// or that is too long.
func checkStatus(body object, states []string, most map[string]int) error {
	bad := func(format string, args ...any) error {
		return &AnswerError{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
	}
	for member, value := range body {
		text, _ := value.(string)
		switch n, known := most[member]; {
		case member == "state" && slices.Contains(states, text):
		case member == "refname" || member == "ref" || member == "parent":
		case !known:
			return bad("%s: %v is not taken", member, value)
		case len([]rune(text)) > n:
			return bad("%s: Ensure this value has at most %d characters (it has %d).", member, n, len([]rune(text)))
		}
	}
	for _, member := range []string{"key", "state", "url"} {
		if text, _ := body[member].(string); text == "" {
			return bad("%s: This field is required.", member)
		}
	}
	if u, err := url.Parse(body["url"].(string)); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return bad("url: Enter a valid URL.")
	}
	return nil
}
