package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"switchyard/dispatch"
)

const hostSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], %s}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, branches: ["**"], state_machine: test}]
status: {per_minute: 1000, per_hour: 1000}
`

// A list that was cut is completed through the host's API before anything of it
// is started.
func TestCutPushIsCompletedThroughTheHost(t *testing.T) {
	var asked atomic.Int64
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/repos/acme/api/compare/") {
			w.WriteHeader(http.StatusCreated) // statuses
			fmt.Fprint(w, "{}")
			return
		}
		asked.Add(1)
		type m map[string]any
		var commits []m
		for n := 1; n <= 7; n++ {
			commits = append(commits, m{"sha": fmt.Sprintf("%040x", n), "commit": m{"message": fmt.Sprint("commit ", n)}})
		}
		json.NewEncoder(w).Encode(m{"total_commits": 7, "commits": commits})
	}))
	defer host.Close()
	s := startWith(t, t.TempDir(), fmt.Sprintf(hostSettings, secret, fmt.Sprintf("token: t, base_url: %q", host.URL)), instant)
	if status, text := s.deliver(t, "cut", cutPush(t)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var shas []string
	for _, e := range s.settled(t, 7) {
		shas = append(shas, e.SHA)
	}
	slices.Sort(shas)
	if asked.Load() != 1 || shas[0] != fmt.Sprintf("%040x", 1) || shas[6] != fmt.Sprintf("%040x", 7) {
		t.Errorf("asked %d times, %v ran", asked.Load(), shas)
	}
}

// Without access the commits that are there are started, and the reason names
// the key that would have given it.
func TestCutPushWithoutAccessSaysSo(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(hostSettings, secret, "provider: github"), instant)
	if status, text := s.deliver(t, "cut", cutPush(t)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	if got := s.settled(t, 2); len(got) != 2 {
		t.Errorf("%d ran, want the two that are listed", len(got))
	}
	delivery, err := s.client.Delivery(t.Context(), dispatch.DeliveryID("github", "cut"))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(delivery); !strings.Contains(text, "sources.github.token") {
		t.Errorf("the delivery does not say what is missing: %s", text)
	}
}

// cutPush lists the newest two of seven commits.
func cutPush(t *testing.T) []byte {
	t.Helper()
	type m map[string]any
	body, err := json.Marshal(m{"ref": "refs/heads/main", "before": strings.Repeat("9", 40), "after": fmt.Sprintf("%040x", 7), "total_commits": 7,
		"commits":    []m{{"id": fmt.Sprintf("%040x", 7), "message": "commit 7"}, {"id": fmt.Sprintf("%040x", 6), "message": "commit 6"}},
		"repository": m{"id": 1, "full_name": "acme/api", "clone_url": "https://git.example/acme/api.git"}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
