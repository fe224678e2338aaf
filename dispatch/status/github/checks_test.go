package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
	"switchyard/internal/githubtest"
)

// checkRig is a repository on which an App that may write checks is installed.
type checkRig struct {
	*githubtest.Server
	repo *githubtest.Repo
	app  *githubtest.App
	sha  string
	// details are what there is to each execution.
	details status.Details
	problem error
	asked   int
	poster  *Poster
}

func newCheckRig(t *testing.T, permissions map[string]string) *checkRig {
	t.Helper()
	s := githubtest.New(t)
	r := &checkRig{Server: s, repo: s.AddRepo("acme/api")}
	r.sha = r.repo.Chain("main", 1)[0]
	r.app = s.AddApp(permissions)
	r.app.Install("acme")
	r.restart(t)
	return r
}

// restart forgets what the poster remembers.
func (r *checkRig) restart(t *testing.T) {
	t.Helper()
	host, err := githost.New(githost.Config{BaseURL: githubtest.BaseURL, App: &githost.App{ID: r.app.ID, PrivateKey: r.app.PrivateKey}}, githost.WithTransport(r.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	if r.poster, err = New(host, Config{}, WithDetails(func(context.Context, dispatch.Status) (status.Details, error) {
		r.asked++
		return r.details, r.problem
	})); err != nil {
		t.Fatal(err)
	}
}

var writeChecks = map[string]string{"checks": "write", "contents": "read"}

func (r *checkRig) status(execution string, state dispatch.StatusState, text string) dispatch.Status {
	return dispatch.Status{Source: "github", Repository: "acme/api", SHA: r.sha, Context: "switchyard/build", State: state, Description: text, Execution: execution, WantedAt: time.Now()}
}

func (r *checkRig) post(t *testing.T, s dispatch.Status) {
	t.Helper()
	if err := r.poster.Post(t.Context(), s, "https://yard.test/executions/"+s.Execution); err != nil {
		t.Fatal(err)
	}
}

func TestAnExecutionIsOneCheckRun(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		r := newCheckRig(t, writeChecks)
		for _, s := range []dispatch.Status{r.status("x1", dispatch.StatusPending, "Queued"), r.status("x1", dispatch.StatusPending, "Running"), r.status("x1", dispatch.StatusSuccess, "Succeeded after 3s"), r.status("x1", dispatch.StatusSuccess, "Succeeded after 3s")} {
			r.post(t, s)
			if restarts {
				r.restart(t)
			}
		}
		want := []githubtest.CheckRun{{
			SHA: r.sha, Name: "switchyard/build", Status: "completed", Conclusion: "success", Title: "Succeeded after 3s", External: "x1",
			Summary: "**Succeeded after 3s**\n\n[Execution x1](<https://yard.test/executions/x1>)\n", DetailsURL: "https://yard.test/executions/x1",
		}}
		got := r.repo.CheckRuns(r.sha)
		for i := range got {
			got[i].ID = 0
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("restarts %v: %s", restarts, diff)
		}
		if r.asked != 2 || len(r.repo.Statuses(r.sha)) != 0 {
			t.Errorf("details were asked for %d times, and there are %d statuses", r.asked, len(r.repo.Statuses(r.sha)))
		}
	}
}

// Another attempt, and one that goes on from where it ended, has a check run of its
// own: the annotations of the first stay with it.
func TestWhatRunsAgainIsAnotherCheckRun(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	r.details.Annotations = some(3)
	for _, s := range []dispatch.Status{
		r.status("x1", dispatch.StatusFailure, "Failed"), r.status("x1", dispatch.StatusPending, "Queued to go on"), r.status("x1", dispatch.StatusSuccess, "Succeeded"),
		r.status("x1-2", dispatch.StatusPending, "Queued again"), r.status("x1-2", dispatch.StatusFailure, "Failed again"),
	} {
		r.post(t, s)
	}
	var got []string
	for _, c := range r.repo.CheckRuns(r.sha) {
		got = append(got, fmt.Sprint(c.External, " ", c.Conclusion, " ", len(c.Annotations)))
	}
	if diff := cmp.Diff([]string{"x1 failure 3", "x1 success 3", "x1-2 failure 3"}, got); diff != "" {
		t.Error(diff)
	}
}

func some(n int) (all []status.Annotation) {
	for i := range n {
		all = append(all, status.Annotation{Path: "a.go", Line: i + 1, EndLine: i + 1, Column: 3, Level: status.Failure, Title: "T", Message: fmt.Sprint("m", i)})
	}
	return all
}

func TestAnnotationsGoInPages(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	r.details.Annotations = some(120)
	r.post(t, r.status("x1", dispatch.StatusFailure, "Failed"))
	c := r.repo.CheckRuns(r.sha)[0]
	if len(c.Annotations) != 120 || len(r.Calls("POST /repos/acme/api/check-runs")) != 1 || len(r.Calls("PATCH ")) != 2 {
		t.Errorf("%d annotations in %d calls", len(c.Annotations), 1+len(r.Calls("PATCH ")))
	}
	if want := (githubtest.Annotation{Path: "a.go", Level: "failure", Title: "T", Message: "m119", Line: 120, EndLine: 120, Column: 3}); c.Annotations[119] != want {
		t.Errorf("%+v", c.Annotations[119])
	}
}

// Each of the calls fails once without effect, and once with it and an answer that
// is lost: what is there is not told twice.
func TestAnnotationsAfterACallThatFails(t *testing.T) {
	for nth := range 3 {
		for _, applied := range []bool{false, true} {
			r := newCheckRig(t, writeChecks)
			r.details.Annotations = some(120)
			writes := 0
			here := func(c githubtest.Call) bool {
				if !strings.Contains(c.Path, "/check-runs") || c.Method == http.MethodGet {
					return false
				}
				writes++
				return writes == nth+1
			}
			if applied {
				r.Lose(here)
			} else {
				r.Intercept(func(c githubtest.Call) *githubtest.Answer {
					if here(c) {
						return &githubtest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Retry-After": "0"}, Body: `{"message":"You have exceeded a secondary rate limit"}`}
					}
					return nil
				})
			}
			s := r.status("x1", dispatch.StatusFailure, "Failed")
			if err := r.poster.Post(t.Context(), s, ""); err == nil || errors.As(err, new(*dispatch.PermanentError)) || errors.As(err, new(*status.RefusedError)) {
				t.Fatalf("%v", err)
			}
			r.Intercept(nil)
			r.Lose(nil)
			r.restart(t)
			r.post(t, s)
			runs := r.repo.CheckRuns(r.sha)
			if len(runs) != 1 || len(runs[0].Annotations) != 120 || runs[0].Annotations[119].Message != "m119" {
				t.Errorf("call %d, applied %v: %d check runs, the first with %d annotations", nth, applied, len(runs), len(runs[0].Annotations))
			}
		}
	}
}

// An App that may only write statuses writes those, and checks once it may.
func TestAppWithoutChecksWritesStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCheckRig(t, map[string]string{"statuses": "write"})
		r.post(t, r.status("x1", dispatch.StatusPending, "Running"))
		r.post(t, r.status("x1", dispatch.StatusSuccess, "Succeeded"))
		if got := r.repo.Statuses(r.sha)["switchyard/build"]; got.State != "success" || len(r.repo.CheckRuns(r.sha)) != 0 {
			t.Errorf("%+v", got)
		}
		if n := len(r.Calls("GET /repos/acme/api/commits")); n != 1 {
			t.Errorf("checks were tried %d times", n)
		}
		r.app.Permissions = writeChecks
		time.Sleep(2 * time.Hour)
		r.post(t, r.status("x2", dispatch.StatusSuccess, "Succeeded"))
		if n := len(r.repo.CheckRuns(r.sha)); n != 1 {
			t.Errorf("%d check runs", n)
		}
		r.app.Permissions = map[string]string{"contents": "read"}
		r.app.Install("acme")
		time.Sleep(2 * time.Hour)
		for range 2 { // the token of before is gone
			if err := r.poster.Post(t.Context(), r.status("x3", dispatch.StatusSuccess, "Succeeded"), ""); err == nil {
				t.Error("told without any permission")
			}
		}
		if err := r.poster.Post(t.Context(), r.status("x3", dispatch.StatusSuccess, "Succeeded"), ""); !errors.As(err, new(*status.RefusedError)) {
			t.Errorf("without any permission: %T %v", err, err)
		}
	})
}

func TestDetailsAreShownAsTheyAre(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	r.details = status.Details{
		Tests: &status.Tests{Total: 30, Failed: 22, Skipped: 1, Failures: []status.TestFailure{{Name: "a|b <img src=x>", Message: "![x](https://evil.test) @ada\nnext"}}},
		Log:   "\x1b[31mstart\n```\n# not a title\n````\nend\n",
	}
	r.post(t, r.status("x1", dispatch.StatusFailure, "Failed: *all*"))
	c := r.repo.CheckRuns(r.sha)[0]
	want := "**Failed\\: \\*all\\***\n\n30 tests, 22 failed, 1 skipped.\n\n- **a\\|b \\<img src\\=x\\>**: \\!\\[x\\]\\(https\\:\\/\\/evil\\.test\\) \\@\u200bada next\n- and 21 more\n\n[Execution x1](<https://yard.test/executions/x1>)\n"
	if diff := cmp.Diff(want, c.Summary); diff != "" {
		t.Error(diff)
	}
	if want := "`````text\n\\x1b[31mstart\n```\n# not a title\n````\nend\n`````"; c.Text != want {
		t.Errorf("%q", c.Text)
	}
}

func TestDetailsAreCutToWhatGitHubTakes(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	for name, log := range map[string]string{"lines": strings.Repeat("日本\n", 100_000), "a line": strings.Repeat("x", 1<<20), "backticks": strings.Repeat("`", 1<<17) + "\nend", "bytes": strings.Repeat("\xff", 1<<17)} {
		r.details = status.Details{Log: log, Tests: &status.Tests{Failed: 20}}
		for range 20 {
			r.details.Tests.Failures = append(r.details.Tests.Failures, status.TestFailure{Name: strings.Repeat("*", 5000), Message: strings.Repeat("ü", 5000)})
		}
		r.post(t, r.status("x-"+name, dispatch.StatusFailure, "Failed"))
		runs := r.repo.CheckRuns(r.sha)
		if c := runs[len(runs)-1]; len(c.Text) > 65_535 || len(c.Text) < 50_000 || len(c.Summary) > 65_535 {
			t.Errorf("%s: a text of %d bytes, a summary of %d", name, len(c.Text), len(c.Summary))
		}
	}
}

func TestDetailsThatCannotBeRead(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	r.problem = errors.New("the log is gone")
	r.post(t, r.status("x1", dispatch.StatusFailure, "Failed"))
	if c := r.repo.CheckRuns(r.sha)[0]; c.Conclusion != "failure" || !strings.Contains(c.Text, "the log is gone") {
		t.Errorf("%+v", c)
	}
}

// While an execution waits for a person its check run requires action, with buttons
// for that; another run follows once it goes on.
func TestChecksAskForApproval(t *testing.T) {
	r := newCheckRig(t, writeChecks)
	r.post(t, r.status("x", dispatch.StatusPending, "Running"))
	waits := r.status("x", dispatch.StatusPending, "Waits for approval: Deploy")
	waits.Approval = dispatch.ApprovalID("first")
	r.post(t, waits)
	r.post(t, waits) // again, because the first report was lost
	runs := r.repo.CheckRuns(r.sha)
	if len(runs) != 1 || runs[0].Status != "completed" || runs[0].Conclusion != "action_required" || runs[0].External != "x" {
		t.Fatalf("%+v", runs)
	}
	if d := cmp.Diff(buttonsFor(waits.Approval), runs[0].Actions); d != "" {
		t.Error(d)
	}
	// Another question of the same title has buttons of its own.
	waits.Approval = dispatch.ApprovalID("second")
	r.post(t, waits)
	if runs = r.repo.CheckRuns(r.sha); len(runs) != 1 {
		t.Fatalf("%+v", runs)
	}
	if d := cmp.Diff(buttonsFor(waits.Approval), runs[0].Actions); d != "" {
		t.Error(d)
	}
	r.post(t, r.status("x", dispatch.StatusPending, "Running"))
	r.post(t, r.status("x", dispatch.StatusSuccess, "Succeeded"))
	runs = r.repo.CheckRuns(r.sha)
	if len(runs) != 2 || runs[1].Conclusion != "success" || len(runs[1].Actions) != 0 {
		t.Errorf("%+v", runs)
	}
	if r.asked != 1 {
		t.Errorf("details were asked for %d times, and are of what has ended", r.asked)
	}
}

func buttonsFor(approval string) []string {
	return []string{"approve:" + approval[:12], "reject:" + approval[:12]}
}
