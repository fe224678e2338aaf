package bitbuckettest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// dataCenterOperations are what is called of Bitbucket Data Center's API, by the
// paths of its description.
var dataCenterOperations = map[string]operation{
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}":                            dcRepository,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/default-branch":             dcDefaultBranch,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/tags/{name...}":             dcTag,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits":                    dcCommits,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits/{commitId}":         dcCommit,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits/{commitId}/changes": dcChanges,
	"POST /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits/{commitId}/builds": dcStatus,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests":              dcPulls,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/{pullRequestId}": func(q *call) (any, error) {
		p, err := q.pull()
		if err != nil {
			return nil, err
		}
		return p.dataCenter(), nil
	},
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/{pullRequestId}/commits":   dcPullCommits,
	"POST /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/{pullRequestId}/comments": dcComment,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks":                                dcHooks,
	"POST /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks":                               dcCreateHook,
	"POST /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks/test":                          dcTestHook,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks/{webhookId}":                    dcHook,
	"DELETE /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks/{webhookId}":                 dcRemoveHook,
	"GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/webhooks/{webhookId}/latest":             dcLatest,
	"GET /api/latest/users": dcUsers,
	"GET /required-builds/latest/projects/{projectKey}/repos/{repositorySlug}/conditions":     dcConditions,
	"POST /required-builds/latest/projects/{projectKey}/repos/{repositorySlug}/condition":     dcCreateCondition,
	"PUT /required-builds/latest/projects/{projectKey}/repos/{repositorySlug}/condition/{id}": dcUpdateCondition,
}

// dcPage cuts a page out of a list.
func dcPage[T any](q *call, all []T) (any, error) {
	number := func(name string, otherwise int) (int, error) {
		text := q.r.URL.Query().Get(name)
		if text == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, &AnswerError{Status: http.StatusBadRequest, Message: name + " is not a number", Exception: "com.atlassian.bitbucket.rest.exception.ParameterException"}
		}
		return n, nil
	}
	start, err := number("start", 0)
	if err != nil {
		return nil, err
	}
	limit, err := number("limit", 25)
	if err != nil {
		return nil, err
	}
	if q.s.PageSize > 0 {
		limit = min(limit, q.s.PageSize)
	}
	start = min(start, len(all))
	end := min(start+min(limit, 1000), len(all))
	out := object{"start": start, "limit": limit, "size": end - start, "values": append([]T{}, all[start:end]...), "isLastPage": end == len(all), "nextPageStart": nil}
	if end < len(all) {
		out["nextPageStart"] = end
	}
	return out, nil
}

func (r *Repo) dataCenter() object {
	project := object{"key": r.Owner, "id": 12, "name": r.Owner, "type": "NORMAL"}
	if strings.HasPrefix(r.Owner, "~") {
		project["type"] = "PERSONAL"
	}
	return object{
		"slug": r.Name, "id": r.id, "name": r.Name, "scmId": "git", "state": "AVAILABLE", "project": project,
		"links": object{
			"clone": []object{{"href": "ssh://git@bitbucket.example.test:7999/" + strings.ToLower(r.FullName()) + ".git", "name": "ssh"}, {"href": r.s.web + "/scm/" + strings.ToLower(r.FullName()) + ".git", "name": "http"}},
			"self":  []object{{"href": r.s.web + "/projects/" + r.Owner + "/repos/" + r.Name + "/browse"}},
		},
	}
}

func dcRepository(q *call) (any, error) { return q.repo.dataCenter(), nil }

func dcDefaultBranch(q *call) (any, error) {
	tip, err := q.repo.Tip("main")
	if err != nil {
		return nil, &AnswerError{Status: http.StatusNotFound, Message: "no default branch", Exception: "com.atlassian.bitbucket.repository.NoDefaultBranchException"}
	}
	return object{"id": "refs/heads/main", "displayId": "main", "type": "BRANCH", "latestCommit": tip}, nil
}

func dcTag(q *call) (any, error) {
	ref := "refs/tags/" + q.r.PathValue("name")
	out, err := q.repo.Try("", "rev-parse", "--verify", "--quiet", ref)
	if err != nil {
		return nil, &AnswerError{Status: http.StatusNotFound, Message: "Tag does not exist", Exception: "com.atlassian.bitbucket.repository.NoSuchTagException"}
	}
	own := strings.TrimSpace(out)
	commit := strings.TrimSpace(q.repo.Git("rev-parse", ref+"^{commit}"))
	tag := object{"id": ref, "displayId": q.r.PathValue("name"), "type": "TAG", "latestCommit": commit, "hash": nil}
	if own != commit {
		tag["hash"] = own
	}
	return tag, nil
}

func dcCommitsOf(all []record) []object {
	list := []object{}
	for _, c := range all {
		parents := []object{}
		for p := range strings.FieldsSeq(c.parents) {
			parents = append(parents, object{"id": p, "displayId": p[:11]})
		}
		who := object{"name": nickname(c.email), "emailAddress": c.email}
		list = append(list, object{
			"id": c.sha, "displayId": c.sha[:11], "author": who, "authorTimestamp": c.unix * 1000, "committer": who, "committerTimestamp": c.unix * 1000,
			"message": strings.TrimRight(c.message, "\n"), "parents": parents,
		})
	}
	return list
}

func noCommit(revision string) error {
	return &AnswerError{Status: http.StatusNotFound, Message: "Commit '" + revision + "' does not exist in repository", Exception: "com.atlassian.bitbucket.commit.NoSuchCommitException"}
}

func dcCommits(q *call) (any, error) {
	p := q.r.URL.Query()
	args := []string{}
	for key, prefix := range map[string]string{"until": "", "since": "^"} {
		if revision := p.Get(key); revision != "" {
			sha, ok := q.repo.resolve(revision)
			if !ok {
				return nil, noCommit(revision)
			}
			args = append(args, prefix+sha)
		}
	}
	return dcPage(q, dcCommitsOf(q.repo.log(args...)))
}

func dcCommit(q *call) (any, error) {
	sha, ok := q.repo.resolve(q.r.PathValue("commitId"))
	if !ok {
		return nil, noCommit(q.r.PathValue("commitId"))
	}
	return dcCommitsOf(q.repo.log("-1", sha))[0], nil
}

func dcChanges(q *call) (any, error) {
	sha, ok := q.repo.resolve(q.r.PathValue("commitId"))
	if !ok {
		return nil, noCommit(q.r.PathValue("commitId"))
	}
	all := []object{}
	for _, f := range q.repo.changed(sha) {
		parts := strings.Split(f[1], "/")
		all = append(all, object{
			"type": map[string]string{"A": "ADD", "D": "DELETE"}[f[0]] + map[bool]string{true: "MODIFY"}[f[0] != "A" && f[0] != "D"],
			"path": object{"components": parts, "name": parts[len(parts)-1], "parent": strings.Join(parts[:len(parts)-1], "/"), "toString": f[1]},
		})
	}
	return dcPage(q, all)
}

func dcStatus(q *call) (any, error) {
	sha := q.r.PathValue("commitId")
	if _, ok := q.repo.resolve(sha); !ok {
		return nil, noCommit(sha)
	}
	if err := checkStatus(q.body, []string{"INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED", "UNKNOWN"}, map[string]int{"key": 255, "name": 255, "description": 255, "url": 450}); err != nil {
		return nil, err
	}
	if ref, _ := q.body["ref"].(string); ref != "" && !strings.HasPrefix(ref, "refs/") {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "ref must be a full ref", Exception: "com.atlassian.bitbucket.rest.exception.ParameterException"}
	}
	q.repo.put(sha, q.body)
	return nil, nil
}

func dcPulls(q *call) (any, error) {
	all := []object{}
	for _, p := range q.repo.pulls {
		if p.state == q.r.URL.Query().Get("state") {
			all = append(all, p.dataCenter())
		}
	}
	return dcPage(q, all)
}

func dcPullCommits(q *call) (any, error) {
	p, err := q.pull()
	if err != nil {
		return nil, err
	}
	return dcPage(q, dcCommitsOf(p.commits()))
}

func dcComment(q *call) (any, error) {
	if _, err := q.pull(); err != nil {
		return nil, err
	}
	text, _ := q.body["text"].(string)
	if text == "" {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "text is missing"}
	}
	made := object{"id": q.s.id(), "text": text}
	q.repo.comments = append(q.repo.comments, made)
	q.status = http.StatusCreated
	return made, nil
}

func dcHooks(q *call) (any, error) {
	all := []object{}
	for _, h := range q.repo.hooks {
		all = append(all, shownHook(h))
	}
	return dcPage(q, all)
}

func dcCreateHook(q *call) (any, error) {
	events, _ := q.body["events"].([]any)
	if q.body["url"] == nil || q.body["name"] == nil || len(events) == 0 {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "name, url and events are required"}
	}
	if c, ok := q.body["configuration"].(object); ok {
		q.body["secret"] = c["secret"]
	}
	q.body["id"] = q.s.id()
	q.repo.hooks = append(q.repo.hooks, q.body)
	q.status = http.StatusCreated
	return shownHook(q.body), nil
}

func (q *call) hook() (int, error) {
	for i, h := range q.repo.hooks {
		if fmt.Sprint(h["id"]) == q.r.PathValue("webhookId") {
			return i, nil
		}
	}
	return 0, &AnswerError{Status: http.StatusNotFound, Message: "No such webhook", Exception: "com.atlassian.bitbucket.webhook.NoSuchWebhookException"}
}

func dcHook(q *call) (any, error) {
	i, err := q.hook()
	if err != nil {
		return nil, err
	}
	return shownHook(q.repo.hooks[i]), nil
}

func dcRemoveHook(q *call) (any, error) {
	i, err := q.hook()
	if err != nil {
		return nil, err
	}
	q.repo.hooks = slices.Delete(q.repo.hooks, i, i+1)
	return nil, nil
}

// dcTestHook sends a ping, which is not signed. Who serves has the lock, so the
// receiver must not call back.
func dcTestHook(q *call) (any, error) {
	if q.r.URL.Query().Get("url") == "" {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "url is missing"}
	}
	d := &Delivery{Event: "diagnostics:ping", Body: []byte(`{"test": true}`), header: q.s.header("diagnostics:ping")}
	d.send(q.s.Receiver)
	return object{"request": object{"url": q.r.URL.Query().Get("url")}, "response": object{"statusCode": d.Status}}, nil
}

func dcLatest(q *call) (any, error) {
	i, err := q.hook()
	if err != nil {
		return nil, err
	}
	last, _ := q.repo.hooks[i]["last"].(object)
	if last == nil {
		return nil, nil
	}
	return object{"id": 1, "event": "repo:refs_changed", "result": last}, nil
}

func dcUsers(q *call) (any, error) {
	p := q.r.URL.Query()
	if p.Get("permission.1") != "REPO_WRITE" {
		q.s.t.Errorf("users are asked for by %q", q.r.URL.RawQuery)
	}
	r := q.s.repos[strings.ToLower(p.Get("permission.1.projectKey")+"/"+p.Get("permission.1.repositorySlug"))]
	if r == nil {
		return nil, &AnswerError{Status: http.StatusBadRequest, Message: "the permission filter names no repository", Exception: "com.atlassian.bitbucket.rest.exception.ParameterException"}
	}
	all := []object{}
	for _, w := range r.writers {
		if name := w["name"].(string); w["permission"] != "read" && strings.Contains(name, p.Get("filter")) {
			all = append(all, object{"name": name, "displayName": name, "active": true, "slug": name, "type": "NORMAL"})
		}
	}
	return dcPage(q, all)
}

func dcConditions(q *call) (any, error) { return dcPage(q, q.repo.required) }

func (q *call) condition() error {
	keys, _ := q.body["buildParentKeys"].([]any)
	if of, ok := q.body["refMatcher"].(object); !ok || of["id"] == nil || of["type"] == nil || len(keys) == 0 {
		return &AnswerError{Status: http.StatusBadRequest, Message: "buildParentKeys and refMatcher are required"}
	}
	return nil
}

func dcCreateCondition(q *call) (any, error) {
	if err := q.condition(); err != nil {
		return nil, err
	}
	q.body["id"] = q.s.id()
	q.repo.required = append(q.repo.required, q.body)
	return q.body, nil
}

func dcUpdateCondition(q *call) (any, error) {
	if err := q.condition(); err != nil {
		return nil, err
	}
	for i, c := range q.repo.required {
		if fmt.Sprint(c["id"]) == q.r.PathValue("id") {
			q.body["id"] = c["id"]
			q.repo.required[i] = q.body
			return q.body, nil
		}
	}
	return nil, &AnswerError{Status: http.StatusNotFound, Message: "No such condition"}
}
