package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchyard/internal/event"
)

const teardownSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources: {github: {secrets: [%q]}}
state_machines: {test: {definition: test.asl.json}}
routes:
  - {name: set-up, branches: ["**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
  - {name: tear-down, on: [delete], branches: ["**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
`

// Gitea tells of a deleted branch without its last commit: that is where the
// last push left the branch.
func TestBranchDeletedAtGiteaIsTornDown(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(teardownSettings, secret), instant)
	gitea := func(kind, id string, body map[string]any) (int, string) {
		body["repository"] = map[string]any{"id": 1, "full_name": "acme/api", "clone_url": "https://git.example/acme/api.git"}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := s.delivery(t, kind, id, text)
		r.Header.Set("X-Gitea-Event", kind)
		return do(t, r)
	}
	pushed := func(id, branch, before string, n int) {
		t.Helper()
		sha := fmt.Sprintf("%040x", n)
		status, text := gitea("push", id, map[string]any{"ref": "refs/heads/" + branch, "before": before, "after": sha, "total_commits": 1,
			"commits": []any{map[string]any{"id": sha, "message": "m", "added": []string{"a.go"}}}})
		if status != http.StatusAccepted {
			t.Fatalf("push: %d %s", status, text)
		}
	}
	deleted := func(id, branch string) (int, string) {
		return gitea("delete", id, map[string]any{"ref": branch, "ref_type": "branch", "pusher_type": "user"})
	}
	zeros := strings.Repeat("0", 40)
	pushed("p1", "topic", zeros, 1)
	pushed("p2", "topic", fmt.Sprintf("%040x", 1), 2)
	pushed("p3", "other", zeros, 3)
	s.settled(t, 3)
	if status, text := deleted("d1", "topic"); status != http.StatusAccepted || !strings.Contains(text, "tear-down") {
		t.Errorf("the deletion: %d %s", status, text)
	}
	found := 0
	for _, e := range s.settled(t, 4) {
		if e.Kind == event.Delete {
			found++
			if e.Route != "tear-down" || e.SHA != fmt.Sprintf("%040x", 2) || e.Environment != "dev-topic" {
				t.Errorf("%s of %s in %s", e.Route, e.SHA, e.Environment)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d teardowns", found)
	}
	// Gone is gone, also for a webhook that tells of it once more, and a branch
	// that nobody knows was nowhere.
	for id, branch := range map[string]string{"d2": "topic", "d3": "unknown"} {
		if status, text := deleted(id, branch); status != http.StatusOK || !strings.Contains(text, "names no commit") {
			t.Errorf("%s: %d %s", branch, status, text)
		}
	}
	// A branch that is pushed and deleted at once is torn down too, after it
	// was set up.
	pushed("p4", "short", zeros, 4)
	if status, text := deleted("d4", "short"); status/100 != 2 {
		t.Errorf("%d %s", status, text)
	}
	s.settled(t, 6)
}
