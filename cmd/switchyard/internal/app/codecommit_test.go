package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/build"
	"switchyard/internal/codecommittest"
)

const codeCommitSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  codecommit:
    region: us-east-2
    account: "123456789012"
    repositories: [app]
    eventbridge: {api_keys: [the key of the test]}
`

// codeCommitAPI is CodeCommit's API, whose credentials the environment has.
func codeCommitAPI(t *testing.T) *codecommittest.Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", codecommittest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", codecommittest.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	return codecommittest.New(t)
}

func codeCommitAt(api *codecommittest.Server) string {
	return strings.Replace(codeCommitSettings, "region:", "endpoint: "+api.URL+"\n    region:", 1)
}

// codeCommitEvent is a message of the decoder's tests.
func codeCommitEvent(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "webhook", "codecommit", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// post is what an API destination does.
func (s *service) post(t *testing.T, source, key string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+"/webhooks/"+source, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-Api-Key", key)
	return do(t, r)
}

func TestCodeCommitEventsStartExecutions(t *testing.T) {
	api := codeCommitAPI(t)
	api.Intercept(func(codecommittest.Call) error {
		return &codecommittest.FaultError{Code: "AccessDeniedException"} // what the events tell has to do
	})
	s := startWith(t, t.TempDir(), codeCommitAt(api)+`
engine: {embedded: {functions: {echo: {exec: [cat]}}}}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, on: [push, pull_request], tags: ["**"], branches: ["**"], state_machine: test}]
`, machine)
	const key = "the key of the test"
	if status, body := s.post(t, "codecommit", "another key", codeCommitEvent(t, "reference-updated.json")); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, body)
	}
	for _, row := range []struct {
		name        string
		status, new int
	}{
		{"reference-updated.json", 202, 1}, {"reference-updated.json", 202, 0},
		{"trigger-several-refs.json", 202, 2}, // a branch and a tag at the same commit are one
		{"pr-created.json", 202, 1}, {"pr-approved.json", 200, 0}, {"trigger-test.json", 200, 0}, {"pr-comment.json", 200, 0},
	} {
		status, body := s.post(t, "codecommit", key, codeCommitEvent(t, row.name))
		if status != row.status || status == 202 && !strings.Contains(body, fmt.Sprintf(`"new":%d`, row.new)) {
			t.Errorf("%s: %d %s", row.name, status, body)
		}
	}
	d, err := s.Dispatcher().Delivery(t.Context(), "codecommit:d9889834-9eb8-5fd3-b618-fb7e3ca40284")
	if err != nil || d.Event.Repository.CloneURL != "https://git-codecommit.us-east-2.amazonaws.com/v1/repos/app" {
		t.Errorf("%+v, %v", d.Event, err)
	}
	for i, ref := range []string{"refs/heads/multi-a", "refs/heads/multi-b", "refs/tags/multi-tag"} {
		d, err := s.Dispatcher().Delivery(t.Context(), fmt.Sprintf("codecommit:e6b447da-fa1b-5264-8afb-673e7a1ee7a1.%d", i+1))
		if err != nil || d.Event.Ref != ref {
			t.Errorf("%s: %+v, %v", ref, d.Event, err)
		}
	}
}

// referenceUpdated is the event of a push to the repository app.
func referenceUpdated(id, branch, before, after string) []byte {
	return fmt.Appendf(nil, `{"version":"0","id":%q,"detail-type":"CodeCommit Repository State Change","source":"aws.codecommit","account":"123456789012","region":"us-east-2",
		"detail":{"event":"referenceUpdated","repositoryName":"app","referenceType":"branch","referenceName":%q,"referenceFullName":"refs/heads/%[2]s","commitId":%q,"oldCommitId":%q}}`, id, branch, after, before)
}

// An event names the tip of a branch, and every commit below it runs, in git's
// order, also where the API cannot be asked until after a restart.
func TestEachCommitOfACodeCommitPushRuns(t *testing.T) {
	api := codeCommitAPI(t)
	repo := codecommittest.NewRepo(t, "app")
	api.Add(repo)
	before := repo.Commit("main", "base", map[string]string{"docs/a": "1"})
	repo.Commit("main", "one", map[string]string{"src/a": "1"})
	repo.Commit("topic", "side", map[string]string{"src/b": "1"}, before)
	side := repo.Commit("topic", "documentation", map[string]string{"docs/a": "2"})
	two := repo.Commit("main", "two", map[string]string{"src/a": "2"})
	repo.Commit("main", "merge", map[string]string{"src/b": "1"}, two, side)
	after := repo.Commit("main", "three", map[string]string{"src/a": "", "src/c": "2"})

	settings := codeCommitAt(api) + `
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, branches: [main], paths: ["src/**"], state_machine: test}]
`
	dir := t.TempDir()
	api.Intercept(func(codecommittest.Call) error {
		return &codecommittest.FaultError{Code: "InternalFailure", Status: 500}
	})
	s := startWith(t, dir, settings, instant)
	if status, body := s.post(t, "codecommit", "the key of the test", referenceUpdated("d1", "main", before, after)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	s.stop()

	failing := 0
	api.Intercept(func(c codecommittest.Call) error {
		if failing++; failing == 4 || failing == 9 {
			return &codecommittest.FaultError{Code: "ThrottlingException", XML: failing == 9}
		}
		return nil
	})
	s = startWith(t, dir, settings, instant)
	ran := s.settled(t, 5)
	var got []string
	for i := len(ran) - 1; i >= 0; i-- { // the newest is first
		got = append(got, ran[i].SHA)
	}
	var want []string
	for sha := range strings.FieldsSeq(repo.Git("rev-list", "--topo-order", "--reverse", after, "^"+before)) {
		if sha != side {
			want = append(want, sha)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if failing < 9 {
		t.Errorf("only %d calls were made", failing)
	}
}

// An execution ends in a comment, and in an approval: of a pull request too that
// is opened later, and starts nothing more.
func TestCodeCommitPullRequestsAreToldOfResults(t *testing.T) {
	api := codeCommitAPI(t)
	repo := codecommittest.NewRepo(t, "app")
	api.Add(repo)
	base := repo.Commit("main", "base", map[string]string{"a": "1"})
	head := repo.Commit("topic", "topic", map[string]string{"a": "2"}, base)
	s := startWith(t, t.TempDir(), strings.Replace(codeCommitAt(api), "region:", "comments: [pull_requests, commits]\n    approve: [all]\n    region:", 1)+`
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, on: [push, pull_request], branches: [topic], state_machine: test}]
`, instant)
	if status, body := s.post(t, "codecommit", "the key of the test", referenceUpdated("d1", "topic", base, head)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	s.settled(t, 1)
	eventually(t, "the comment on the commit", func() bool {
		of := api.CommitComments(head)
		return len(of) == 1 && strings.Contains(of[0], "succeeded on")
	})
	// The pull request is opened once all is over.
	pull := api.OpenPullRequest(repo, "topic", "main")
	event := fmt.Appendf(nil, `{"version":"0","id":"p1","detail-type":"CodeCommit Pull Request State Change","source":"aws.codecommit","account":"123456789012","region":"us-east-2",
		"detail":{"event":"pullRequestCreated","pullRequestId":%q,"pullRequestStatus":"Open","repositoryNames":["app"],"sourceReference":"refs/heads/topic","destinationReference":"refs/heads/main",
		"sourceCommit":%q,"destinationCommit":%q,"isMerged":"False","title":"A change","revisionId":"r","author":"arn:aws:iam::123456789012:user/ada","callerUserArn":"arn:aws:iam::123456789012:user/ada"}}`, pull, head, base)
	if status, body := s.post(t, "codecommit", "the key of the test", event); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	s.settled(t, 1)
	eventually(t, "the pull request to be approved", func() bool { return api.Approval(pull) == "APPROVE" })
	eventually(t, "the comments", func() bool {
		on, of := api.Comments(pull), api.CommitComments(head)
		return len(on) == 1 && len(of) == 1 && strings.Contains(on[0], "succeeded on") && strings.Contains(of[0], "succeeded on")
	})
}

// What signs in to a CodeCommit repository is made for it alone.
func TestCodeCommitRepositoriesHavePasswordsOfTheirOwn(t *testing.T) {
	s := startWith(t, t.TempDir(), codeCommitAt(codeCommitAPI(t))+`
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, state_machine: test}]
`, instant)
	const base = "https://git-codecommit.us-east-2.amazonaws.com/v1/repos/"
	signatures := map[string]bool{}
	for clone, want := range map[string]bool{
		base + "app": true, base + "other.one": true, "https://GIT-codecommit.us-east-2.amazonaws.com:443/v1/repos/app": true,
		base: false, base + ".": false, base + "..": false, base + "app/x": false, base + "a%2Fb": false, base + "app?x": false, base + "app#x": false,
		strings.Replace(base, "https", "http", 1) + "app": false, strings.Replace(base, "us-east-2", "us-east-1", 1) + "app": false,
		strings.Replace(base, "https://", "https://ada@", 1) + "app": false, strings.Replace(base, ".com/", ".com:8443/", 1) + "app": false,
		"https://git-codecommit.us-east-2.amazonaws.com.evil/v1/repos/app": false, "https://git-codecommit.us-east-2.amazonaws.com/v2/repos/app": false,
	} {
		c, err := s.Access().Credentials(t.Context(), build.Fetch{URL: clone, Named: true})
		ok := c.Password != ""
		if err != nil || ok != want || ok && (c.User != codecommittest.AccessKey || !regexp.MustCompile(`^\d{8}T\d{6}Z[0-9a-f]{64}$`).MatchString(c.Password)) {
			t.Errorf("%s: %q %q %v", clone, c.User, c.Password, err)
		}
		if s.Access().Configured(clone) != want {
			t.Errorf("%s is configured: %v", clone, !want)
		}
		if ok {
			signatures[strings.SplitN(c.Password, "Z", 2)[1]] = true
		}
	}
	if len(signatures) != 3 {
		t.Errorf("%d signatures of 3 URLs", len(signatures))
	}
	for name, want := range map[string]bool{"app": true, "App": false, "other": false, "": false} {
		c, err := s.Access().Credentials(t.Context(), build.Fetch{URL: base + "app", Source: "codecommit", Repository: name})
		if err != nil || (c.Password != "") != want || (c.Note == "") != want {
			t.Errorf("for an execution about %q: %+v, %v", name, c, err)
		}
	}
}
