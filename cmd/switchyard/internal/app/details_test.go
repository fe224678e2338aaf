package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/githubtest"
)

// failingBuild complains as tools do, and reports a test that failed.
const failingBuild = `version: 0.2
phases:
  build:
    commands:
      - |
        echo "$CODEBUILD_SRC_DIR/src/io.c:3:10: error: none.h: No such file"
        echo "src/main.go:14:7: undefined: frobnicate"
        mkdir out
        echo '<testsuite><testcase name="adds" classname="sums" file="sums.py" line="7"><failure message="3 is not 4"/></testcase><testcase name="b"/></testsuite>' > out/junit.xml
        exit 1
reports:
  unit: {files: ["out/*.xml"]}
`

// As an App, a failed build is a check run that says which lines are at fault, from
// a push that GitHub delivers to a check that GitHub shows.
func TestAFailedBuildAnnotatesItsLines(t *testing.T) {
	gh := githubtest.New(t)
	api := gh.Start()
	repo := gh.AddRepo("acme/api")
	sha := repo.Commit("feature/a", "bad", map[string]string{"buildspec.yml": failingBuild})
	repo.Allow("ada", "write")
	app := gh.AddApp(map[string]string{"checks": "write", "contents": "read"})
	app.Install("acme")
	s := startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], app: {id: %d, private_key: %q}, base_url: %q}
state_machines: {test: {definition: test.asl.json}}
routes:
  - {name: all, on: [push], state_machine: test}
engine: {embedded: {projects: {local: {repository: %q}}}}
`, secret, app.ID, app.PrivateKey, api+"api/v3", repo.Dir), buildOf(repo.Dir))
	app.SetHook("http://"+s.Addr().String()+"/webhooks/github", secret)
	if d := repo.Push("feature/a")[0]; d.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", d.StatusCode, d.Status)
	}
	var run githubtest.CheckRun
	eventually(t, "the check run has ended", func() bool {
		for _, run = range repo.CheckRuns(sha) {
			return run.Status == "completed"
		}
		return false
	})
	want := []githubtest.Annotation{
		{Path: "src/io.c", Level: "failure", Message: "none.h: No such file", Line: 3, EndLine: 3, Column: 10},
		{Path: "src/main.go", Level: "failure", Message: "undefined: frobnicate", Line: 14, EndLine: 14, Column: 7},
		{Path: "sums.py", Level: "failure", Title: "sums: adds", Message: "3 is not 4", Line: 7, EndLine: 7},
	}
	if diff := cmp.Diff(want, run.Annotations); diff != "" {
		t.Errorf("%s\n%+v", diff, run)
	}
	if run.Name != "switchyard/all" || run.Conclusion != "failure" || !strings.Contains(run.Summary, "2 tests, 1 failed") || !strings.Contains(run.Text, "undefined: frobnicate") || !strings.HasPrefix(run.DetailsURL, "http://"+s.Addr().String()+"/executions/") || !strings.Contains(run.DetailsURL, run.External) {
		t.Errorf("%+v", run)
	}
	// Somebody who may write asks for it again on GitHub's page: another attempt has
	// a check run of its own. A stranger asks in vain.
	if d := repo.Rerequest(run.ID, "eve"); d.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", d.StatusCode, d.Status)
	}
	if d := repo.Rerequest(run.ID, "ada"); d.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", d.StatusCode, d.Status)
	}
	eventually(t, "the second attempt has ended", func() bool {
		all := repo.CheckRuns(sha)
		return len(all) > 1 && all[1].Status == "completed"
	})
	if all := repo.CheckRuns(sha); len(all) != 2 || all[1].External == run.External || all[1].Conclusion != "failure" || len(all[1].Annotations) != 3 {
		t.Errorf("%+v", all)
	}
}
