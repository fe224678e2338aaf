package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/dispatch"
)

// TestAnExecutionOfALostJournalIsFoundAgain has the embedded engine hold an
// execution that the journal knows nothing of, and hears of its commit again in
// another way, so that the rest of the input differs.
func TestAnExecutionOfALostJournalIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(fmt.Sprintf(settings, secret), `branches: ["hotfix/**"]`, `on: [push, pull_request], branches: ["hotfix/**"]`, 1)
	s := startWith(t, dir, text, machine)
	body := push("hotfix/a", "one")
	s.deliver(t, "d1", body)
	first := s.settled(t, 1)[0]
	s.stop()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "data", "journal.db"+suffix)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	s = startWith(t, dir, text, machine)
	type m map[string]any
	repository := m{"id": 1, "full_name": "acme/api", "name": "api", "clone_url": "https://git.example/acme/api.git", "owner": m{"login": "acme"}}
	pr, err := json.Marshal(m{"action": "opened", "number": 7, "repository": repository, "sender": m{"login": "ada"}, "pull_request": m{
		"number": 7, "title": "A fix", "user": m{"login": "ada"},
		"head": m{"ref": "hotfix/a", "sha": first.SHA, "repo": repository}, "base": m{"ref": "main", "sha": strings.Repeat("1", 40), "repo": repository},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := do(t, s.delivery(t, "pull_request", "d2", pr)); status != http.StatusAccepted || !strings.Contains(answer, first.ID) {
		t.Fatalf("%d %s", status, answer)
	}
	x := s.settled(t, 1)[0]
	if x.ID != first.ID || x.State != dispatch.StateSucceeded || x.ARN != first.ARN || !x.StartedAt.Equal(first.StartedAt) || x.Kind != "pull_request" {
		t.Errorf("%+v\nis not the execution that the engine holds:\n%+v", x, first)
	}
}
