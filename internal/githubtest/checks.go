package githubtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAnnotations is how many a call may have, by "Create a check run".
const maxAnnotations = 50

type checkRun struct {
	id, suite   int64
	app         *App
	fields      object // as they were sent
	output      object
	annotations []object
	repo        *Repo
}

// CheckRun is a check run as a test reads it.
type CheckRun struct {
	ID                                         int64
	SHA, Name, Status, Conclusion              string
	Title, Summary, Text, DetailsURL, External string
	Annotations                                []Annotation
	// Actions are the identifiers of the buttons.
	Actions []string
}

// Annotation is one of a check run.
type Annotation struct {
	Path, Level, Title, Message string
	Line, EndLine, Column       int
}

// CheckRuns returns the check runs of a commit in the order in which they were
// made.
func (r *Repo) CheckRuns(sha string) []CheckRun {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var all []CheckRun
	for _, c := range r.checks {
		if c.fields["head_sha"] != sha {
			continue
		}
		run := CheckRun{
			ID: c.id, SHA: sha, Name: text(c.fields, "name"), Status: text(c.fields, "status"), Conclusion: text(c.fields, "conclusion"),
			Title: text(c.output, "title"), Summary: text(c.output, "summary"), Text: text(c.output, "text"), DetailsURL: text(c.fields, "details_url"), External: text(c.fields, "external_id"),
		}
		for _, a := range c.annotations {
			run.Annotations = append(run.Annotations, Annotation{Path: text(a, "path"), Level: text(a, "annotation_level"), Title: text(a, "title"), Message: text(a, "message"), Line: integer(a, "start_line"), EndLine: integer(a, "end_line"), Column: integer(a, "start_column")})
		}
		actions, _ := c.fields["actions"].([]any)
		for _, a := range actions {
			run.Actions = append(run.Actions, text(a.(object), "identifier"))
		}
		all = append(all, run)
	}
	return all
}

func integer(o object, key string) int {
	n, _ := o[key].(json.Number)
	i, _ := strconv.Atoi(n.String())
	return i
}

func (s *Server) createCheck(q *call) (any, error) {
	sha := text(q.body, "head_sha")
	if resolved, err := q.repo.resolve(sha); err != nil || resolved != sha {
		return nil, &FaultError{Status: http.StatusUnprocessableEntity, Message: "No commit found for SHA: " + sha}
	}
	c := &checkRun{id: s.id(), app: q.who.app, repo: q.repo, fields: object{"status": "queued"}, output: object{}}
	for _, other := range q.repo.checks {
		if other.app == c.app && other.fields["head_sha"] == sha {
			c.suite = other.suite
		}
	}
	if c.suite == 0 {
		c.suite = s.id()
	}
	if err := c.update(q.body); err != nil {
		return nil, err
	}
	q.repo.checks = append(q.repo.checks, c)
	q.status = http.StatusCreated
	return c.describe(), nil
}

// update takes the members of a body; annotations come in addition to those that
// are there.
func (c *checkRun) update(body object) error {
	output, _ := body["output"].(object)
	annotations, _ := output["annotations"].([]any)
	for _, a := range annotations {
		a, ok := a.(object)
		switch {
		case !ok || integer(a, "start_line") < 1 || integer(a, "end_line") < integer(a, "start_line"):
			return invalid("start_line and end_line are not lines")
		case a["start_column"] != nil && integer(a, "start_line") != integer(a, "end_line"):
			return invalid("start_column is only for annotations of one line")
		case len(text(a, "message")) > 64<<10 || len(text(a, "raw_details")) > 64<<10:
			return invalid("message is too long (maximum is 64 KB)")
		case len(text(a, "title")) > 255:
			return invalid("title is too long (maximum is 255 characters)")
		}
	}
	if len(annotations) > maxAnnotations {
		return invalid("No more than 50 annotations are permitted")
	}
	if text(body, "conclusion") != "" && body["status"] == nil {
		c.fields["status"] = "completed"
	}
	if text(body, "status") == "completed" && text(body, "conclusion") == "" {
		return invalid("conclusion is missing")
	}
	for k, v := range body {
		if k != "output" {
			c.fields[k] = v
		}
	}
	if status := text(body, "status"); status != "" && status != "completed" {
		delete(c.fields, "conclusion") // it runs again
		delete(c.fields, "completed_at")
	}
	for k, v := range output {
		if k != "annotations" {
			c.output[k] = v
		}
	}
	for _, a := range annotations {
		c.annotations = append(c.annotations, a.(object))
	}
	return nil
}

func (c *checkRun) describe() object {
	s, url := c.repo.s, c.repo.url()+"/check-runs/"+strconv.FormatInt(c.id, 10)
	html := c.repo.html() + "/runs/" + strconv.FormatInt(c.id, 10)
	field := func(key string) any { return c.fields[key] }
	return object{
		"id": c.id, "node_id": "x", "head_sha": field("head_sha"), "name": field("name"), "url": url, "html_url": html, "details_url": cmp.Or(text(c.fields, "details_url"), html), "external_id": field("external_id"),
		"status": field("status"), "conclusion": field("conclusion"), "started_at": field("started_at"), "completed_at": field("completed_at"),
		"check_suite": object{"id": c.suite}, "pull_requests": []object{},
		"output": object{"title": c.output["title"], "summary": c.output["summary"], "text": c.output["text"], "annotations_count": len(c.annotations), "annotations_url": url + "/annotations"},
		"app":    s.describeApp(c.app),
	}
}

func (q *call) check() (*checkRun, error) {
	for _, c := range q.repo.checks {
		if strconv.FormatInt(c.id, 10) == q.r.PathValue("check_run_id") {
			return c, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) updateCheck(q *call) (any, error) {
	c, err := q.check()
	if err != nil {
		return nil, err
	}
	if c.app != q.who.app {
		return nil, &FaultError{Status: http.StatusForbidden, Message: "Invalid app_id: the check run belongs to another app"}
	}
	if err := c.update(q.body); err != nil {
		return nil, err
	}
	return c.describe(), nil
}

func (s *Server) getCheck(q *call) (any, error) {
	c, err := q.check()
	if err != nil {
		return nil, err
	}
	return c.describe(), nil
}

func (s *Server) listChecks(q *call) (any, error) {
	sha, err := q.repo.resolve(q.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	query, latest := q.r.URL.Query(), q.r.URL.Query().Get("filter") != "all"
	var all []object
	seen := map[string]bool{}
	for _, c := range slices.Backward(q.repo.checks) {
		name := text(c.fields, "name")
		if c.fields["head_sha"] != sha || query.Get("check_name") != "" && query.Get("check_name") != name || query.Get("app_id") != "" && query.Get("app_id") != strconv.FormatInt(c.app.ID, 10) {
			continue
		}
		if latest && seen[strconv.FormatInt(c.app.ID, 10)+name] {
			continue
		}
		seen[strconv.FormatInt(c.app.ID, 10)+name] = true
		all = append(all, c.describe())
	}
	list := page(s, q, all, 30, 100)
	if list == nil {
		list = []object{}
	}
	return object{"total_count": len(all), "check_runs": list}, nil
}

func (s *Server) listAnnotations(q *call) (any, error) {
	c, err := q.check()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, a := range c.annotations {
		all = append(all, object{
			"path": a["path"], "blob_href": c.repo.url(), "start_line": a["start_line"], "end_line": a["end_line"], "start_column": a["start_column"], "end_column": a["end_column"],
			"annotation_level": a["annotation_level"], "title": a["title"], "message": a["message"], "raw_details": a["raw_details"],
		})
	}
	return page(s, q, all, 30, 100), nil
}

// Rerequest has somebody ask for a check run again on GitHub's page, RerequestAll
// for all of a commit, and RequestAction push a check run's button. The App's
// webhook is told.
func (r *Repo) Rerequest(id int64, login string) *Delivery {
	return r.tellOfCheck("check_run", "rerequested", login, func(c *checkRun) bool { return c.id == id }, nil)
}

// RequestAction pushes the button of a check run.
func (r *Repo) RequestAction(id int64, identifier, login string) *Delivery {
	return r.tellOfCheck("check_run", "requested_action", login, func(c *checkRun) bool { return c.id == id }, object{"requested_action": object{"identifier": identifier}})
}

// RerequestAll asks for all check runs of a commit again.
func (r *Repo) RerequestAll(sha, login string) *Delivery {
	return r.tellOfCheck("check_suite", "rerequested", login, func(c *checkRun) bool { return c.fields["head_sha"] == sha }, nil)
}

func (r *Repo) tellOfCheck(event, action, login string, which func(*checkRun) bool, more object) *Delivery {
	s := r.s
	s.t.Helper()
	s.mu.Lock()
	at := slices.IndexFunc(r.checks, which)
	if at < 0 {
		s.mu.Unlock()
		s.t.Fatalf("there is no such check run in %s", r.FullName())
	}
	c := r.checks[at]
	suite := object{
		"id": c.suite, "head_sha": c.fields["head_sha"], "head_branch": r.branchOf(text(c.fields, "head_sha")), "status": c.fields["status"], "conclusion": c.fields["conclusion"],
		"url": r.url() + "/check-suites/1", "app": s.describeApp(c.app), "pull_requests": []object{}, "created_at": stamp(time.Now()), "updated_at": stamp(time.Now()),
	}
	payload := with(object{"action": action, "repository": r.whole(), "sender": s.user(login)}, more)
	if event == "check_suite" {
		payload["check_suite"] = suite
	} else {
		run := c.describe()
		run["check_suite"] = suite
		payload["check_run"] = run
	}
	h := c.app.hook
	s.mu.Unlock()
	if h == nil {
		s.t.Fatalf("the app %s has no webhook", c.app.Slug)
	}
	return s.emit(h, r, event, action, payload)
}

// branchOf is a branch that has the commit as its tip, nil where none has.
func (r *Repo) branchOf(sha string) any {
	for name := range strings.FieldsSeq(r.Git("for-each-ref", "--points-at", sha, "--format=%(refname:lstrip=2)", "refs/heads")) {
		return name
	}
	return nil
}
