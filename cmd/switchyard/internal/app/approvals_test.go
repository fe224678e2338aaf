package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
	"switchyard/internal/githubtest"
	"switchyard/webhook"
)

// deployBuild says what it deploys, in whose name.
const deployBuild = `version: 0.2
phases: {build: {commands: ['echo "$CODEBUILD_RESOLVED_SOURCE_VERSION goes to $ENVIRONMENT, approved by $APPROVED_BY"']}}
`

// approvalRig is a repository at GitHub whose commits wait for people, by the
// pipeline that ships, on the embedded engine.
type approvalRig struct {
	*service
	repo     *githubtest.Repo
	settings string
}

func newApprovalRig(t *testing.T) *approvalRig {
	t.Helper()
	gh := githubtest.New(t)
	api := gh.Start()
	r := &approvalRig{repo: gh.AddRepo("acme/api")}
	r.repo.Allow("ada", "write")
	r.repo.Allow("eve", "read")
	hub := gh.AddApp(map[string]string{"checks": "write", "contents": "read"})
	hub.Install("acme")
	r.settings = fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], app: {id: %d, private_key: %q}, base_url: %q}
state_machines: {approval: {definition: test.asl.json}}
routes:
  - {name: deploy, branches: [main], state_machine: approval, environment: production, input: {approval: {title: Deploy it}}}
  - name: escalate
    branches: [slow]
    state_machine: approval
    environment: staging
    input: {approval: {title: Deploy it, approvers: [ada], seconds: 1, escalate_to: [olga]}}
engine: {embedded: {projects: {deploy: {repository: %q}}}}
`, secret, hub.ID, hub.PrivateKey, api+"api/v3", r.repo.Dir)
	r.service = startWith(t, t.TempDir(), r.settings, string(pipelines.Approval))
	hub.SetHook("http://"+r.Addr().String()+"/webhooks/github", secret)
	return r
}

// push makes a commit and waits until its execution asks.
func (r *approvalRig) push(t *testing.T, branch string) (sha string) {
	t.Helper()
	sha = r.repo.Commit(branch, "Charge the right currency", map[string]string{"buildspec.yml": deployBuild, "branch": branch})
	if d := r.repo.Push(branch)[0]; d.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", d.StatusCode, d.Status)
	}
	return sha
}

// waiting waits for the approval of a commit that has a title.
func (r *approvalRig) waiting(t *testing.T, sha, title string) (a dispatch.Approval) {
	t.Helper()
	eventually(t, "an execution asks", func() bool {
		all, err := r.client.Approvals(t.Context(), dispatch.ApprovalFilter{Waiting: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, a = range all {
			if a.SHA == sha && a.Title == title {
				return true
			}
		}
		return false
	})
	return a
}

func (r *approvalRig) ended(t *testing.T, id string) (x dispatch.Execution) {
	t.Helper()
	eventually(t, "the execution has ended", func() bool {
		var err error
		if x, err = r.client.Execution(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return x.State.Finished()
	})
	return x
}

// From a push to a deployment that a person lets go on by the button of the check.
func TestAButtonApprovesADeployment(t *testing.T) {
	r := newApprovalRig(t)
	sha := r.push(t, "main")
	a := r.waiting(t, sha, "Deploy it")
	if a.Environment != "production" || a.ExpiresAt.Sub(a.AskedAt).Hours() != 4 || a.Message != "Charge the right currency" {
		t.Errorf("%+v", a)
	}
	var run githubtest.CheckRun
	eventually(t, "the check asks for action", func() bool {
		for _, run = range r.repo.CheckRuns(sha) {
			if run.Conclusion == "action_required" {
				return true
			}
		}
		return false
	})
	if d := cmp.Diff([]string{"approve:" + a.ID[:12], "reject:" + a.ID[:12]}, run.Actions); d != "" || run.Title != "Waits for approval: Deploy it" {
		t.Errorf("%s, %s", run.Title, d)
	}
	for _, login := range []string{"eve", "ada"} {
		if d := r.repo.RequestAction(run.ID, run.Actions[0], login); d.StatusCode != http.StatusAccepted {
			t.Fatalf("%d %s", d.StatusCode, d.Status)
		}
	}
	x := r.ended(t, a.Execution)
	var log strings.Builder
	if err := r.client.Log(t.Context(), a.Execution, &log); err != nil {
		t.Fatal(err)
	}
	if x.State != dispatch.StateSucceeded || !strings.Contains(log.String(), sha+" goes to production, approved by ada") {
		t.Errorf("%s %s %s\n%s", x.State, x.Error, x.Cause, log.String())
	}
	eventually(t, "the check succeeds", func() bool {
		runs := r.repo.CheckRuns(sha)
		return runs[len(runs)-1].Conclusion == "success"
	})
	all, err := r.client.Approvals(t.Context(), dispatch.ApprovalFilter{Execution: a.Execution})
	if err != nil || len(all) != 1 || all[0].State != dispatch.ApprovalApproved || all[0].DecidedBy != "ada" || all[0].Way != dispatch.ByButton || all[0].ToldAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}

// Nobody answers, those to whom it is escalated reject it, and nobody else can.
func TestAnUnansweredApprovalIsEscalated(t *testing.T) {
	r := newApprovalRig(t)
	a := r.waiting(t, r.push(t, "slow"), "Deploy it (escalated)")
	d := dispatch.Decision{Execution: a.Execution, By: "ada", Approve: true, SHA: a.SHA}
	if _, err := r.client.Decide(t.Context(), d); err == nil || !strings.Contains(err.Error(), "not one of those who are asked: olga") {
		t.Errorf("%v", err)
	}
	d.By, d.Approve, d.SHA, d.Reason = "olga", false, "0000000", "not today"
	if _, err := r.client.Decide(t.Context(), d); err == nil || !strings.Contains(err.Error(), "this is about commit 0000000") {
		t.Errorf("%v", err)
	}
	d.SHA = a.SHA[:8]
	if _, err := r.client.Decide(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if x := r.ended(t, a.Execution); x.State != dispatch.StateFailed || x.Error != dispatch.ErrorRejected || x.Cause != "rejected by olga: not today" {
		t.Errorf("%s %s: %s", x.State, x.Error, x.Cause)
	}
	all, err := r.client.Approvals(t.Context(), dispatch.ApprovalFilter{Execution: a.Execution})
	if err != nil || len(all) != 2 || all[1].State != dispatch.ApprovalExpired || all[0].State != dispatch.ApprovalRejected || all[0].Way != dispatch.ByCommandLine {
		t.Errorf("%+v, %v", all, err)
	}
}

var formField = regexp.MustCompile(`name="(form|commit)" value="([^"]*)"`)

// What waits survives a restart, and a link that was sent decides it: by the form on
// its page, for whoever it was made.
func TestALinkApprovesAfterARestart(t *testing.T) {
	r := newApprovalRig(t)
	a := r.waiting(t, r.push(t, "main"), "Deploy it")
	r.stop()
	r.service = startWith(t, r.dir, r.settings, string(pipelines.Approval))
	made, err := r.client.ApprovalLink(t.Context(), a.Execution, "", "Grace H.", 0)
	if err != nil {
		t.Fatal(err)
	}
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, made.Link, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, page := do(t, get)
	form := url.Values{"decision": {"approve"}}
	for _, m := range formField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	if status != http.StatusOK || form.Get("commit") != a.SHA || !strings.Contains(page, "Grace H.") {
		t.Fatalf("%d\n%s", status, page)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, made.Link, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status, page := do(t, post); status != http.StatusOK || !strings.Contains(page, "approved by Grace H. (signed link)") {
		t.Errorf("%d\n%s", status, page)
	}
	if x := r.ended(t, a.Execution); x.State != dispatch.StateSucceeded {
		t.Errorf("%s %s: %s", x.State, x.Error, x.Cause)
	}
	history, err := r.client.History(t.Context(), a.Execution, dispatch.HistoryQuery{Data: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	hidden := false
	for _, e := range history.Events {
		hidden = hidden || strings.Contains(string(e.Details), `\"token\":\"(hidden)\"`)
	}
	if !hidden {
		t.Error("the history does not hide the token")
	}
}

// On AWS EventBridge brings the question.
func TestQuestionsFromEventBridge(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret), `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": true}}}`)
	if status, text := s.deliver(t, "d1", push("feature/a", "one")); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var x dispatch.Execution
	eventually(t, "the execution runs", func() bool {
		page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateRunning}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Executions) == 1 {
			x = page.Executions[0]
		}
		return x.ARN != ""
	})
	question := func(detail string) string {
		return `{"version":"0","id":"e1","detail-type":"Approval requested","source":"switchyard","time":"2026-11-26T10:00:00Z","resources":["` + x.ARN + `"],"detail":` + detail + `}`
	}
	var ignored *webhook.Ignored
	for says, text := range map[string]string{
		"detail.token is missing": question(`{"title":"Deploy"}`),
		"asks for commit":         question(`{"token":"t","commit":"0000000"}`),
		"not known here":          question(`{"token":"t","execution":"` + x.ARN + `x"}`),
	} {
		err := app.Told(s.App, text)
		if err == nil || !strings.Contains(err.Error(), says) || errors.As(err, &ignored) != (says == "not known here") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for range 2 { // a queue may bring it twice
		if err := app.Told(s.App, question(`{"token":"t","title":"Deploy"}`)); !errors.As(err, &ignored) || !strings.Contains(err.Error(), "recorded") {
			t.Errorf("%v", err)
		}
	}
	all, err := s.client.Approvals(t.Context(), dispatch.ApprovalFilter{Waiting: true})
	if err != nil || len(all) != 1 || all[0].Execution != x.ID || all[0].AskedBy != "ada" {
		t.Errorf("%+v, %v", all, err)
	}
	if status, text := s.get(t, "/api/v1/approvals"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, text)
	}
}
