package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// Commands are asked for in comments at GitHub, and answered there: all commits of
// a pull request run, who may write has them run again, and a stranger is told
// nothing.
func TestCommandsInComments(t *testing.T) {
	gh := githubtest.New(t)
	api := gh.Start()
	repo := gh.AddRepo("acme/api")
	base := repo.Commit("main", "base", map[string]string{"a": "1"})
	one := repo.Commit("topic", "one", map[string]string{"a": "2"}, base)
	head := repo.Commit("topic", "two", map[string]string{"a": "3"})
	repo.Allow("ada", "write")
	repo.Allow("eve", "read")
	number := repo.OpenPull("topic", "main")
	s := startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], token: %q, base_url: %q}
state_machines: {test: {definition: test.asl.json}}
routes:
  - {name: reviews, on: [pull_request], state_machine: test, environment: "pr-{{ .PullRequest }}"}
engine: {embedded: {}}
`, secret, githubtest.AnyToken, api+"api/v3"), `{"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "Broken"}}}`)
	repository := map[string]any{"id": 1, "full_name": "acme/api"}
	post := func(kind, id string, body map[string]any) {
		t.Helper()
		body["repository"] = repository
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := do(t, s.delivery(t, kind, id, text)); status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", id, status, answer)
		}
	}
	post("pull_request", "p1", map[string]any{"action": "opened", "number": number, "sender": map[string]any{"login": "ada"}, "pull_request": map[string]any{
		"commits": 2, "user": map[string]any{"login": "ada"},
		"head": map[string]any{"ref": "topic", "sha": head, "repo": repository},
		"base": map[string]any{"ref": "main", "sha": base, "repo": repository},
	}})
	bySHA := func(want map[string]int) func() bool {
		return func() bool {
			page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateFailed}})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, x := range page.Executions {
				got[x.SHA]++
			}
			return len(got) == len(want) && got[one] == want[one] && got[head] == want[head]
		}
	}
	eventually(t, "both commits of the pull request have run", bySHA(map[string]int{one: 1, head: 1}))

	comment := func(id, by, text string) {
		t.Helper()
		post("issue_comment", id, map[string]any{"action": "created", "sender": map[string]any{"login": by, "type": "User"},
			"issue":   map[string]any{"number": number, "pull_request": map[string]any{}},
			"comment": map[string]any{"id": 1000 + int(id[1]-'0'), "body": text, "user": map[string]any{"login": by, "type": "User"}}})
	}
	comment("c1", "eve", "/switchyard rerun")
	comment("c2", "ada", "Once more:\n\n/switchyard rerun\n")
	comment("c2", "ada", "Once more:\n\n/switchyard rerun\n")
	eventually(t, "the head has run again", bySHA(map[string]int{one: 1, head: 2}))
	comment("c3", "ada", "/switchyard explain")
	eventually(t, "both are answered", func() bool { return len(repo.Comments(number)) == 2 })
	said := repo.Comments(number)
	if !strings.HasPrefix(said[0], "Running again:\n- `") || !strings.Contains(said[0], "-r2`: `rerun of ") || !strings.HasPrefix(said[1], "Commit `"+head[:12]+"`:\n- `") || !strings.Contains(said[1], "Broken") {
		t.Errorf("%q", said)
	}
	d, err := s.client.Delivery(t.Context(), "github:comment-acme/api-1001")
	if err != nil || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Reason, `"eve" may not write to acme/api`) {
		t.Errorf("%+v, %v", d, err)
	}
}
