package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
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
	github := newGitHub(t)
	before := github.repo.Chain("main", 1)[0]
	want := github.repo.Chain("main", 7)
	s := startWith(t, t.TempDir(), fmt.Sprintf(hostSettings, secret, fmt.Sprintf("token: of statuses, base_url: %q", github.URL)), instant)
	if status, text := s.deliver(t, "cut", cutPush(t, before, want)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var shas []string
	for _, e := range s.settled(t, 7) {
		shas = append(shas, e.SHA)
	}
	slices.Sort(shas)
	slices.Sort(want)
	if asked := github.Calls("GET /repos/acme/api/compare/"); len(asked) != 1 || !slices.Equal(shas, want) {
		t.Errorf("asked %v, %v ran, want %v", asked, shas, want)
	}
}

// Without access the commits that are there are started, and the reason names
// the key that would have given it.
func TestCutPushWithoutAccessSaysSo(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(hostSettings, secret, "provider: github"), instant)
	madeUp := make([]string, 7)
	for i := range madeUp {
		madeUp[i] = fmt.Sprintf("%040x", i+1)
	}
	if status, text := s.deliver(t, "cut", cutPush(t, strings.Repeat("9", 40), madeUp)); status != http.StatusAccepted {
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

// cutPush lists the newest two of the commits.
func cutPush(t *testing.T, before string, shas []string) []byte {
	t.Helper()
	type m map[string]any
	n := len(shas)
	body, err := json.Marshal(m{"ref": "refs/heads/main", "before": before, "after": shas[n-1], "total_commits": n,
		"commits":    []m{{"id": shas[n-1], "message": "the last"}, {"id": shas[n-2], "message": "the one before"}},
		"repository": m{"id": 1, "full_name": "acme/api", "clone_url": "https://git.example/acme/api.git"}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
