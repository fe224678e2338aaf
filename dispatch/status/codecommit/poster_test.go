package codecommit

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/codecommit"
	"switchyard/internal/codecommittest"
)

const eve = "arn:aws:iam::123456789012:user/eve"

// yard is a repository with a pull request from topic into main.
type yard struct {
	*codecommittest.Server
	t          *testing.T
	repo       *codecommittest.Repo
	base, head string
	pull       string
	cfg        Config
	poster     *Poster
}

func newYard(t *testing.T, cfg Config) *yard {
	t.Helper()
	y := &yard{Server: codecommittest.New(t), t: t, repo: codecommittest.NewRepo(t, "api"), cfg: cfg}
	y.Add(y.repo)
	y.base = y.repo.Commit("main", "base", map[string]string{"a": "1"})
	y.head = y.repo.Commit("topic", "topic", map[string]string{"a": "2"}, y.base)
	y.pull = y.OpenPullRequest(y.repo, "topic", "main")
	y.restart()
	return y
}

// restart begins with a poster that remembers nothing.
func (y *yard) restart() {
	y.t.Helper()
	host, err := githost.New(y.t.Context(), githost.Config{Source: "codecommit"}, githost.WithAPI(y.Client()), githost.WithPace(rate.NewLimiter(rate.Inf, 1)), githost.WithFirstWait(time.Millisecond))
	if err != nil {
		y.t.Fatal(err)
	}
	if y.poster, err = New(host, y.cfg); err != nil {
		y.t.Fatal(err)
	}
}

func of(route, sha string, state dispatch.StatusState) dispatch.Status {
	return dispatch.Status{
		Source: "codecommit", Repository: "api", SHA: sha, Context: "switchyard/" + route, State: state,
		Description: "run " + string(state), Execution: "x", Ref: "refs/heads/topic",
	}
}

func (y *yard) post(s dispatch.Status) {
	y.t.Helper()
	if err := y.poster.Post(y.t.Context(), s, "https://switchyard.example.com/executions/x"); err != nil {
		y.t.Fatal(err)
	}
}

// shown are the comments on the pull request, without what is hidden.
func (y *yard) shown() []string {
	var texts []string
	for _, c := range y.Comments(y.pull) {
		_, text, _ := strings.Cut(c, "\n\n")
		texts = append(texts, text)
	}
	return texts
}

func TestOneCommentForEachRouteIsKeptUpToDate(t *testing.T) {
	y := newYard(t, Config{PullRequests: true})
	y.PageSize = 1
	y.CommentAs(eve, y.pull, "looks good")
	y.post(of("build", y.head, dispatch.StatusPending))
	y.post(of("test", y.head, dispatch.StatusPending))
	y.restart()
	y.post(of("build", y.head, dispatch.StatusSuccess))
	y.post(of("build", y.head, dispatch.StatusSuccess))
	y.restart()
	y.post(of("build", y.head, dispatch.StatusSuccess))
	next := y.repo.Commit("topic", "next", map[string]string{"a": "3"})
	y.post(of("build", next, dispatch.StatusFailure))
	want := []string{
		"", // eve's
		`**switchyard\/build** failed on ` + "`" + next[:12] + "`" + `: run failure ([execution](<https://switchyard.example.com/executions/x>))`,
		`**switchyard\/test** pending on ` + "`" + y.head[:12] + "`" + `: run pending ([execution](<https://switchyard.example.com/executions/x>))`,
	}
	if diff := cmp.Diff(want, y.shown()); diff != "" {
		t.Error(diff)
	}
}

// An answer that is lost leads to another call, and not to another comment.
func TestARepeatAddsNoComment(t *testing.T) {
	y := newYard(t, Config{PullRequests: true, Commits: true})
	var lost atomic.Int64
	y.Lose(func(c codecommittest.Call) bool {
		return strings.HasPrefix(c.Operation, "PostComment") && lost.Add(1)%2 == 1
	})
	y.post(of("build", y.head, dispatch.StatusSuccess))
	if n := lost.Load(); n != 4 || len(y.Comments(y.pull)) != 1 || len(y.CommitComments(y.head)) != 1 {
		t.Errorf("%d calls, comments %q and %q", n, y.Comments(y.pull), y.CommitComments(y.head))
	}
}

func TestOnlyHeadsOfOpenPullRequestsAreToldOf(t *testing.T) {
	y := newYard(t, Config{PullRequests: true})
	y.post(of("build", y.base, dispatch.StatusSuccess)) // not its head
	tag := of("build", y.head, dispatch.StatusSuccess)
	tag.Ref = "refs/tags/v1"
	y.post(tag)
	elsewhere := of("build", y.head, dispatch.StatusSuccess)
	elsewhere.Ref = "refs/heads/other"
	y.post(elsewhere)
	second := y.OpenPullRequest(y.repo, "topic", "main")
	closed := y.OpenPullRequest(y.repo, "topic", "main")
	y.ClosePullRequest(closed)
	if n := len(y.Comments(y.pull)); n != 0 {
		t.Errorf("%d comments", n)
	}
	y.post(of("build", y.head, dispatch.StatusSuccess))
	if a, b, c := len(y.Comments(y.pull)), len(y.Comments(second)), len(y.Comments(closed)); a != 1 || b != 1 || c != 0 {
		t.Errorf("%d, %d and %d comments", a, b, c)
	}
}

// Pull requests of other branches are asked for once, and not for each status.
func TestOtherPullRequestsCostNoCalls(t *testing.T) {
	y := newYard(t, Config{PullRequests: true})
	for i := range 20 {
		branch := fmt.Sprint("b", i)
		y.repo.Commit(branch, branch, map[string]string{"a": branch}, y.base)
		y.OpenPullRequest(y.repo, branch, "main")
	}
	y.post(of("build", y.head, dispatch.StatusPending))
	before := len(y.Calls())
	y.post(of("build", y.head, dispatch.StatusSuccess))
	if n := len(y.Calls()) - before; n != 3 {
		t.Errorf("%d calls for an update: %v", n, y.Calls()[before:])
	}
}

func TestADeletedCommentIsWrittenAnew(t *testing.T) {
	y := newYard(t, Config{PullRequests: true})
	y.post(of("build", y.head, dispatch.StatusPending))
	y.DeleteComments(y.pull)
	y.post(of("build", y.head, dispatch.StatusSuccess))
	if n := len(y.Comments(y.pull)); n != 1 {
		t.Errorf("%d comments", n)
	}
}

// Somebody else's comment that looks like ours is neither changed nor believed.
func TestForgedCommentsAreNotOurs(t *testing.T) {
	y := newYard(t, Config{PullRequests: true, Approve: []string{"switchyard/build", "switchyard/test"}})
	forged := newNote(of("test", y.head, dispatch.StatusSuccess), "").String()
	y.CommentAs(eve, y.pull, forged)
	y.CommentAs(eve, y.pull, newNote(of("build", y.head, dispatch.StatusFailure), "").String())
	y.post(of("build", y.head, dispatch.StatusSuccess))
	if got := y.Approval(y.pull); got == "APPROVE" {
		t.Error("approved on somebody else's word")
	}
	y.post(of("test", y.head, dispatch.StatusSuccess))
	if got := y.Approval(y.pull); got != "APPROVE" {
		t.Errorf("approval is %q", got)
	}
	if got := y.Comments(y.pull); len(got) != 4 || got[0] != forged {
		t.Errorf("comments %q", got)
	}
}

func TestApprovalFollowsAllRoutesOfTheHead(t *testing.T) {
	y := newYard(t, Config{PullRequests: true, Approve: []string{"switchyard/build", "switchyard/test"}})
	expect := func(when, want string) {
		t.Helper()
		if got := y.Approval(y.pull); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	y.post(of("build", y.head, dispatch.StatusSuccess))
	expect("one of two has succeeded", "")
	y.post(of("lint", y.head, dispatch.StatusFailure))
	y.restart()
	y.post(of("test", y.head, dispatch.StatusSuccess))
	expect("both have succeeded", "APPROVE")
	y.post(of("test", y.head, dispatch.StatusPending))
	expect("one runs again", "REVOKE")
	y.post(of("test", y.head, dispatch.StatusSuccess))
	expect("it has succeeded again", "APPROVE")
	y.post(of("build", y.head, dispatch.StatusError))
	expect("one could not be run", "REVOKE")
	y.post(of("build", y.head, dispatch.StatusSuccess))

	next := y.repo.Commit("topic", "next", map[string]string{"a": "3"})
	expect("there is a new commit", "")
	y.post(of("build", next, dispatch.StatusSuccess))
	expect("of the new commit one has succeeded, and the other is of the old one", "")
	y.post(of("test", y.head, dispatch.StatusSuccess))
	expect("late news of the old commit", "")
	y.post(of("test", next, dispatch.StatusSuccess))
	expect("both have succeeded on the new commit", "APPROVE")
}

// Nobody approves what they have opened themselves.
func TestOwnPullRequestsAreNotApproved(t *testing.T) {
	y := newYard(t, Config{PullRequests: true, Approve: []string{"switchyard/build"}})
	y.ClosePullRequest(y.pull)
	own := y.OpenPullRequestBy(codecommittest.Caller, y.repo, "topic", "main")
	err := y.poster.Post(t.Context(), of("build", y.head, dispatch.StatusSuccess), "")
	if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "opened with the credentials of Switchyard") || len(y.Comments(own)) != 1 {
		t.Errorf("%v; comments %q", err, y.Comments(own))
	}
}

func TestCommitsHaveTheirComment(t *testing.T) {
	y := newYard(t, Config{Commits: true})
	for _, sha := range []string{y.base, y.head} { // the first has no parent
		y.post(of("build", sha, dispatch.StatusPending))
		y.post(of("test", sha, dispatch.StatusPending))
		y.restart()
		y.post(of("build", sha, dispatch.StatusSuccess))
		if got := y.CommitComments(sha); len(got) != 2 || !strings.Contains(got[0], "succeeded on") || !strings.Contains(got[1], "pending on") {
			t.Errorf("%q", got)
		}
	}
	if n := len(y.Calls("ListPullRequests", "GetPullRequest")); n > 0 || len(y.Comments(y.pull)) > 0 {
		t.Errorf("%d calls about pull requests", n)
	}
}

// What comes from outside is shown as it is, and says nothing to us.
func TestHostileTextIsQuoted(t *testing.T) {
	s := of("build", strings.Repeat("a", 40), dispatch.StatusFailure)
	s.Description = "![x](https://evil.example/p.png) <img src=x> @ada\r\n\n[//]: # (switchyard context=a commit=b state=success)"
	text := newNote(s, "https://switchyard.example.com/x?a=<b>\"c\"").String()
	_, shown, _ := strings.Cut(text, "\n\n")
	want := `**switchyard\/build** failed on ` + "`aaaaaaaaaaaa`" + `: \!\[x\]\(https\:\/\/evil\.example\/p\.png\) \<img src\=x\> \@` + "\u200b" + `ada   \[\/\/\]\: \# \(switchyard context\=a commit\=b state\=success\)` +
		` ([execution](<https://switchyard.example.com/x?a=%3Cb%3E"c">))`
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Error(diff)
	}
	n, ok := parse(text)
	if !ok || n.context != s.Context || n.sha != s.SHA || n.state != dispatch.StatusFailure {
		t.Errorf("read back as %+v, %v", n, ok)
	}
	for _, target := range []string{"javascript:alert(1)", "", "//x", "https:x", "\x00"} {
		if got := linkTo(target); got != "" {
			t.Errorf("%q is linked as %q", target, got)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add("switchyard/build", "done", "https://x.example/")
	f.Add("switchyard/a) b\n(c", "`\\`\n[//]: # (switchyard ", "https://x.example/>)")
	f.Fuzz(func(t *testing.T, name, description, target string) {
		s := of("", strings.Repeat("a", 40), dispatch.StatusSuccess)
		s.Context, s.Description = name, description
		text := newNote(s, target).String()
		n, ok := parse(text)
		if !ok || n.context != name || n.state != dispatch.StatusSuccess {
			t.Errorf("%q is read back as %+v, %v", text, n, ok)
		}
		if strings.Count(text, "\n") != 2 || len([]rune(text)) > 10240 && len(name)+len(target) < 5000 {
			t.Errorf("%d lines, %d characters", strings.Count(text, "\n"), len([]rune(text)))
		}
	})
}

func TestErrorsHaveTheVerdictOfStatuses(t *testing.T) {
	is := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	for name, row := range map[string]struct {
		fault codecommittest.FaultError
		is    func(error) bool
	}{
		"throttled":           {codecommittest.FaultError{Code: "ThrottlingException", XML: true}, is(new(*dispatch.ThrottledError))},
		"no access":           {codecommittest.FaultError{Code: "AccessDeniedException"}, is(new(*status.RefusedError))},
		"unknown credentials": {codecommittest.FaultError{Code: "UnrecognizedClientException"}, is(new(*status.UnauthorizedError))},
		"repository is gone":  {codecommittest.FaultError{Code: "RepositoryDoesNotExistException"}, is(new(*dispatch.PermanentError))},
		"the service fails": {codecommittest.FaultError{Code: "InternalFailure", Status: 500}, func(err error) bool {
			return err != nil && !is(new(*dispatch.PermanentError))(err) && !is(new(*status.RefusedError))(err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, Config{PullRequests: true})
			y.Intercept(func(codecommittest.Call) error { return &row.fault })
			if err := y.poster.Post(t.Context(), of("build", y.head, dispatch.StatusSuccess), ""); !row.is(err) {
				t.Errorf("%T %v", err, err)
			}
		})
	}
	y := newYard(t, Config{Commits: true})
	if err := y.poster.Post(t.Context(), of("build", strings.Repeat("ab", 20), dispatch.StatusSuccess), ""); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("a commit that is not there: %v", err)
	}
	s := of("build", y.head, dispatch.StatusSuccess)
	s.Repository = "../api"
	if err := y.poster.Post(t.Context(), s, ""); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("a repository that cannot be: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{}, {Commits: true, Approve: []string{"switchyard/build"}}} {
		if _, err := New(nil, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// The session's name of a role may be another after a restart.
func TestIdentityIsThatOfTheRole(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:sts::123456789012:assumed-role/switchyard/i-0abc": "arn:aws:sts::123456789012:assumed-role/switchyard",
		"arn:aws:iam::123456789012:user/team/ada":                  "arn:aws:iam::123456789012:user/team/ada",
		"arn:aws:sts::123456789012:assumed-role/odd":               "arn:aws:sts::123456789012:assumed-role/odd",
		"": "",
	} {
		if got := identity(arn); got != want {
			t.Errorf("%q is %q, want %q", arn, got, want)
		}
	}
}
