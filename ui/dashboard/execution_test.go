package dashboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/ui/dashboard"
)

func (j *books) Execution(_ context.Context, id string) (dispatch.Execution, error) {
	for _, x := range j.executions {
		if x.ID == id {
			return x, nil
		}
	}
	return dispatch.Execution{}, dispatch.ErrNotFound
}

func (j *books) History(_ context.Context, id string, q dispatch.HistoryQuery) (page dispatch.HistoryPage, err error) {
	page.StartedAt = start
	for i := range j.history {
		e := j.history[i]
		if q.NewestFirst {
			e = j.history[len(j.history)-1-i]
		}
		if q.After != 0 && (q.NewestFirst == (e.ID >= q.After)) {
			continue
		}
		if len(page.Events) == q.Limit {
			page.Next = page.Events[len(page.Events)-1].ID
			break
		}
		page.Events = append(page.Events, e)
	}
	return page, nil
}

func (j *books) Definition(context.Context, string) (string, error) { return j.definition, nil }
func (j *books) Approvals(context.Context, dispatch.ApprovalFilter) ([]dispatch.Approval, error) {
	return j.approvals, nil
}

func (j *books) Stop(_ context.Context, id, by string) error {
	j.did = append(j.did, "stop "+id+" by "+by)
	return j.fails
}

func (j *books) Rerun(_ context.Context, id, by string) (string, error) {
	j.did = append(j.did, "rerun "+id+" by "+by)
	return id + "-r2", j.fails
}

func (j *books) Redrive(_ context.Context, id string) (dispatch.RedriveKind, error) {
	j.did = append(j.did, "redrive "+id)
	return dispatch.RedriveContinue, j.fails
}

func (j *books) Replay(_ context.Context, id string) (event.Receipt, error) {
	j.did = append(j.did, "replay "+id)
	return event.Receipt{}, j.fails
}

func (j *books) Decide(_ context.Context, d dispatch.Decision) (dispatch.Approval, error) {
	j.did = append(j.did, fmt.Sprintf("decide %s %s approve=%v commit=%s by %s (%s): %s", d.Execution, d.Approval, d.Approve, d.SHA, d.By, d.Way, d.Reason))
	return dispatch.Approval{}, j.fails
}

const definition = `{"StartAt": "Build", "States": {"Build": {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync", "Next": "Deploy"},
	"Deploy": {"Type": "Wait", "Seconds": 60, "End": true}}}`

// happened is one event of a history, a second after the one before it.
func happened(id int64, kind, state, details string) dispatch.HistoryEvent {
	return dispatch.HistoryEvent{ID: id, Previous: id - 1, Type: kind, State: state, At: start.Add(time.Duration(id) * time.Second), Details: json.RawMessage(details)}
}

func running(x *dispatch.Execution) {
	x.State, x.ARN, x.StartedAt = dispatch.StateRunning, "arn:aws:states:eu-west-1:1:execution:m:api-7", start
}

func TestExecutionShowsWhatHappens(t *testing.T) {
	s := open(t, &books{
		executions: []dispatch.Execution{execution(7, running, func(x *dispatch.Execution) {
			x.PullRequest, x.Input = 12, json.RawMessage(`{"commit": {"url": "https://git.example/acme/api/commit/7"}}`)
		})},
		definition: definition,
		history: []dispatch.HistoryEvent{
			happened(1, "ExecutionStarted", "", ""), happened(2, "TaskStateEntered", "Build", `{"name":"Build","input":"{\"n\":1}"}`), happened(3, "TaskScheduled", "Build", `{"resource":"startBuild.sync","resourceType":"codebuild"}`),
			happened(4, "TaskSucceeded", "Build", ""), happened(5, "TaskStateExited", "Build", `{"name":"Build","output":"{}"}`), happened(6, "WaitStateEntered", "Deploy", ""),
		},
	}, dashboard.WithLogs(func(_ context.Context, id string, w io.Writer) error {
		_, err := io.WriteString(w, "log of "+id+"\x1b[31m")
		return err
	}),
		dashboard.WithPullLink(func(source, repository string, n int) string {
			return fmt.Sprintf("https://git.example/%s/pull/%d", repository, n)
		}))
	s.signIn()
	text := s.page("/executions/api-7")
	for _, want := range []string{
		`data-live="/live?execution=api-7"`, `href="https://git.example/acme/api/commit/7"`, `href="https://git.example/acme/api/pull/12"`,
		`class="state type-task is-succeeded" data-state="Build"`, `class="state type-wait is-waiting" data-state="Deploy"`,
		`<details id="event-2"><summary>details</summary>`, "&#34;n&#34;: 1", "log of api-7\\x1b[31m", ">Stop<", "codebuild startBuild.sync",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if found := inline.FindString(text); found != "" {
		t.Errorf("the page has %q", found)
	}
}

func TestEventsArePaged(t *testing.T) {
	j := &books{executions: []dispatch.Execution{execution(7, running)}, definition: definition}
	for id := range int64(130) {
		j.history = append(j.history, happened(id+1, "TaskSubmitted", "Build", ""))
	}
	s := open(t, j)
	s.signIn()
	seen := 0
	pages := 0
	for path := "/executions/api-7"; path != ""; pages++ {
		text := s.page(path)
		_, rows, _ := strings.Cut(text, `<section id="events">`)
		seen += strings.Count(rows, "<td>TaskSubmitted</td>")
		path = ""
		if m := olderOf.FindStringSubmatch(rows); m != nil {
			path = strings.TrimSuffix(m[1], "#events")
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if seen != 130 || pages != 3 {
		t.Errorf("%d events on %d pages", seen, pages)
	}
}

func TestLogThatCannotBeReadLeavesThePage(t *testing.T) {
	for name, row := range map[string]struct {
		logs dashboard.Logs
		want string
	}{
		"fails": {func(context.Context, string, io.Writer) error { return errors.New("secret detail") }, "The log cannot be read now"},
		"long": {func(_ context.Context, _ string, w io.Writer) error {
			_, err := io.WriteString(w, strings.Repeat("x", 100_000)+"the end")
			return err
		}, "the end</pre>"},
	} {
		s := open(t, &books{executions: []dispatch.Execution{execution(7, running)}, definition: definition}, dashboard.WithLogs(row.logs))
		s.signIn()
		if text := s.page("/executions/api-7"); !strings.Contains(text, row.want) || strings.Contains(text, "secret detail") || len(text) > 90_000 {
			t.Errorf("%s: %d bytes: %.2000s", name, len(text), text)
		}
	}
}

func TestExecutionsThatAreNotThere(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{execution(7, running, func(x *dispatch.Execution) { x.Input = json.RawMessage(`{"commit": {"url": "javascript:alert(1)"}}`) })}, definition: `{"StartAt": "Nowhere"}`})
	s.signIn()
	if resp, _ := s.get("/executions/none"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown: %s", resp.Status)
	}
	if text := s.page("/executions/api-7"); !strings.Contains(text, "The definition cannot be drawn") || strings.Contains(text, `href="javascript`) {
		t.Error(text)
	}
}

func TestActsAreForOperators(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{execution(7, running), execution(6, func(x *dispatch.Execution) { x.State, x.ARN = dispatch.StateFailed, "arn:x" })},
		definition: definition, approvals: []dispatch.Approval{{ID: "a1", Title: "Deploy?", SHA: "00000007", State: dispatch.ApprovalWaiting}}})
	address, _, err := s.board.SignInLink(sha256.Sum256([]byte(token)), "vera", "viewer")
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(address, "link=")
	s.post("/sign-in", url.Values{"link": {secret}})
	text := s.page("/executions/api-7")
	if strings.Contains(text, ">Stop<") || strings.Contains(text, "Approve") {
		t.Error("a viewer is offered what they may not do")
	}
	if resp, _ := s.post("/executions/api-7/stop", url.Values{"form": {s.formKey(text)}}); resp.StatusCode != http.StatusForbidden || s.did != nil {
		t.Errorf("a viewer stops it: %s, %v", resp.Status, s.did)
	}
	s.client = s.browser()
	s.signIn()
	text = s.page("/executions/api-7")
	if !strings.Contains(text, ">Stop<") || !strings.Contains(text, "Approve") || !strings.Contains(s.page("/executions/api-6"), "Go on from where it ended") {
		t.Error("an operator is not offered what they may do")
	}
	if resp, _ := s.post("/executions/api-7/stop", url.Values{}); resp.StatusCode != http.StatusForbidden || s.did != nil {
		t.Errorf("without the form's key: %s, %v", resp.Status, s.did)
	}
	form := url.Values{"form": {s.formKey(text)}, "approval": {"a1"}, "commit": {"00000007"}, "reason": {" fine "}}
	for path, to := range map[string]string{
		"/executions/api-7/stop": "/executions/api-7", "/executions/api-6/rerun": "/executions/api-6-r2", "/executions/api-6/redrive": "/executions/api-6",
		"/executions/api-7/approve": "/executions/api-7", "/executions/api-7/reject": "/executions/api-7",
	} {
		s.did = nil
		resp, text := s.post(path, form)
		want := map[string]string{"stop": "stop api-7 by ada", "rerun": "rerun api-6 by ada", "redrive": "redrive api-6",
			"approve": "decide api-7 a1 approve=true commit=00000007 by ada (page): fine", "reject": "decide api-7 a1 approve=false commit=00000007 by ada (page): fine"}[path[strings.LastIndex(path, "/")+1:]]
		if d := cmp.Diff([]string{want}, s.did); d != "" || resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != to {
			t.Errorf("%s: %s to %s %s %s", path, resp.Status, resp.Header.Get("Location"), d, text)
		}
	}
	if resp, _ := s.post("/executions/api-7/delete", form); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an act there is not: %s", resp.Status)
	}
	for name, row := range map[string]struct {
		err    error
		status int
	}{
		"ended":           {fmt.Errorf("stop api-7: %w", dispatch.ErrFinished), 409},
		"refused":         {&dispatch.RefusedError{Reason: "it is your own"}, 409},
		"gone":            {dispatch.ErrNotFound, 404},
		"not confirmed":   {&dispatch.UnavailableError{Err: errors.New("secret detail")}, 503},
		"a fault of ours": {errors.New("secret detail"), 503},
	} {
		s.fails = row.err
		if resp, text := s.post("/executions/api-7/stop", form); resp.StatusCode != row.status || strings.Contains(text, "secret detail") {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		}
	}
}

// Texts of strangers are text on an execution's page, in its picture too.
func TestExecutionShowsHostileTextAsText(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u202e\x1b[31m"
	quoted, _ := json.Marshal(hostile)
	text := func() string {
		s := open(t, &books{
			executions: []dispatch.Execution{execution(7, running, func(x *dispatch.Execution) {
				x.Ref, x.Title, x.Author, x.Repository, x.SHA, x.Route, x.Environment, x.StateMachine = hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile
				x.Reason, x.WaitsFor, x.LastError, x.Error, x.Cause, x.HeadRepository, x.StopReason = hostile, hostile, hostile, hostile, hostile, hostile, hostile
				x.Input, x.Output = json.RawMessage(`{"a":`+string(quoted)+`}`), json.RawMessage(quoted)
			})},
			definition: `{"StartAt": ` + string(quoted) + `, "States": {` + string(quoted) + `: {"Type": "Pass", "Comment": ` + string(quoted) + `, "End": true}}}`,
			history:    []dispatch.HistoryEvent{happened(1, "ExecutionStarted", "", `{"input":`+string(quoted)+`}`), happened(2, "PassStateEntered", hostile, `{"name":`+string(quoted)+`}`), happened(3, hostile, hostile, `{"error":`+string(quoted)+`,"cause":`+string(quoted)+`}`)},
			approvals:  []dispatch.Approval{{ID: "a", Title: hostile, SHA: "00000007", AskedBy: hostile, State: dispatch.ApprovalWaiting, Reason: hostile, Environment: hostile}},
		}, dashboard.WithLogs(func(_ context.Context, _ string, w io.Writer) error { _, err := io.WriteString(w, hostile); return err }))
		s.signIn()
		return s.page("/executions/api-7")
	}()
	for _, bad := range []string{"<script>alert", "<img src=x", "\x1b"} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("the page holds %q: %q", bad, text[max(0, at-100):at+50])
		}
	}
	if !strings.Contains(text, `data-state="&#34;`) {
		t.Error("the picture does not show the state")
	}
}
