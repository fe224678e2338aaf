package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// runsSuites is a buildspec whose suite shaky fails at its first attempt, and whose
// suite unit fails in the cell that the file broken names.
const runsSuites = `version: 0.2
phases:
  build:
    commands:
      - printf '<testsuite><testcase name="%s on %s"/></testsuite>' "$SUITE" "$DB" > junit.xml
      - test "$SUITE" != shaky -o "$ATTEMPT" -gt 1
      - test "$SUITE-$DB" != "unit-$(cat broken)"
reports: {junit: {files: [junit.xml]}}
`

// From a signed push to one status for each commit, with real builds: two suites on
// two databases, one of them flaky.
func TestSuitesOfACommitHaveOneStatus(t *testing.T) {
	gh := githubtest.New(t)
	api := gh.Start()
	repo := gh.AddRepo("acme/api")
	good := repo.Commit("main", "good", map[string]string{"buildspec.yml": runsSuites, "broken": "none"})
	bad := repo.Commit("main", "bad", map[string]string{"buildspec.yml": runsSuites, "broken": "sqlite"})
	// A source of GitHub's kind never has builds clone from this machine.
	suites := strings.Replace(string(pipelines.Suites), "{% $states.input.source.clone_url ? $states.input.source.clone_url : '' %}", repo.Dir, 1)
	hub := gh.AddApp(map[string]string{"checks": "write", "contents": "read"})
	hub.Install("acme")
	s := startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], app: {id: %d, private_key: %q}, base_url: %q}
state_machines: {suites: {definition: test.asl.json}}
routes:
  - {name: tests, on: [push], state_machine: suites, input: {tests: {suites: [unit, shaky], matrix: {DB: [postgres, sqlite]}}}}
engine: {embedded: {projects: {test: {repository: %q}}}}
`, secret, hub.ID, hub.PrivateKey, api+"api/v3", repo.Dir), suites)
	hub.SetHook("http://"+s.Addr().String()+"/webhooks/github", secret)
	if d := repo.Push("main")[0]; d.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", d.StatusCode, d.Status)
	}
	for _, e := range s.settled(t, 2) {
		x, err := s.client.Execution(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if x.SHA == bad {
			want := "1 of 4 failed: unit DB=sqlite: "
			if x.State != dispatch.StateFailed || x.Error != "Switchyard.TestsFailed" || !strings.HasPrefix(x.Cause, want) || !strings.HasSuffix(x.Cause, "; shaky DB=postgres (flaky); shaky DB=sqlite (flaky)") {
				t.Errorf("%s %s: %s", x.State, x.Error, x.Cause)
			}
			continue
		}
		var out struct {
			Commit                string
			Passed, Flaky, Failed int
			Suites                []struct {
				Suite, Status string
				Matrix        map[string]string
				Tries         []struct{ Error, Build string }
			}
		}
		if err := json.Unmarshal(x.Output, &out); err != nil {
			t.Fatalf("%v: %s %s %s", err, x.State, x.Error, x.Cause)
		}
		var told []string
		for _, suite := range out.Suites {
			told = append(told, fmt.Sprintf("%s on %s: %s in %d", suite.Suite, suite.Matrix["DB"], suite.Status, len(suite.Tries)))
		}
		want := []string{"unit on postgres: passed in 1", "unit on sqlite: passed in 1", "shaky on postgres: flaky in 2", "shaky on sqlite: flaky in 2"}
		if d := gocmp.Diff(want, told); d != "" || out.Commit != good || out.Passed != 2 || out.Flaky != 2 || out.Failed != 0 {
			t.Errorf("%s (-want +got):\n%s", x.Output, d)
		}
	}
	for sha, conclusion := range map[string]string{good: "success", bad: "failure"} {
		var runs []githubtest.CheckRun
		eventually(t, "the commit is told", func() bool {
			runs = repo.CheckRuns(sha)
			return len(runs) > 0 && runs[0].Status == "completed"
		})
		if len(runs) != 1 || runs[0].Conclusion != conclusion || !strings.Contains(runs[0].Summary, "tests") {
			t.Errorf("%s has the checks %+v", sha, runs)
		}
	}
}
