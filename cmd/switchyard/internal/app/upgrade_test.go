package app_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/asl/store"
	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/githubtest"
)

// upgradeWant is what testdata/upgrade/make.go noted when it killed the service
// whose data it kept.
type upgradeWant struct {
	Deliveries []struct {
		ID, Event string
		Body      json.RawMessage
		Status    int
		Answer    json.RawMessage
	}
	Executions []struct {
		ID, SHA, Route, Environment string
		State                       dispatch.State
		Attempt                     int
		StartedAt                   int64 `json:"started_at"`
		StoppedAt                   int64 `json:"stopped_at"`
	}
	Pending  []struct{ ID string }
	Statuses []struct{ SHA, State string }
	Engine   []struct {
		Name   string
		Status store.Status
	}
}

func upgradeFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "upgrade", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readUpgrade(t *testing.T) (want upgradeWant) {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(upgradeFile(t, "want.json.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&want); err != nil {
		t.Fatal(err)
	}
	return want
}

// unpackUpgrade puts the old service's data into dir.
func unpackUpgrade(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(strings.NewReader(upgradeFile(t, "data.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, head.Name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// answered are the executions of an answer to a delivery.
func answered(t *testing.T, text []byte) []string {
	t.Helper()
	var a struct{ Executions []string }
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a.Executions
}

// unhashed is an execution's name without the hash of its identity: repository,
// commit and route, and -r2 and so on for a later attempt.
func unhashed(id string) string { return idHash.ReplaceAllString(id, "") }

var idHash = regexp.MustCompile(`-[0-9a-f]{16}\b`)

func unhashedAll(ids []string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = unhashed(id)
	}
	return names
}

// The unfinished work that an older release was killed over is there, as much
// of each kind as it was.
func TestUpgradeFindsTheUnfinishedWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	unpackUpgrade(t, dir)
	want := readUpgrade(t)
	j, err := journal.Open(filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	states := map[dispatch.State]int64{}
	for _, x := range want.Executions {
		states[x.State]++
	}
	depth, err := j.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wantDepth := (dispatch.Depth{Deliveries: int64(len(want.Pending)), Waiting: states[dispatch.StateWaiting], Ready: states[dispatch.StateReady],
		Running: states[dispatch.StateRunning], Statuses: int64(len(want.Statuses))}); depth != wantDepth {
		t.Errorf("unfinished %+v, want %+v", depth, wantDepth)
	}
	page, err := j.Executions(t.Context(), dispatch.ExecutionFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range page.Executions {
		states[x.State]--
	}
	for state, n := range states {
		if n != 0 {
			t.Errorf("%d executions that were %s are not", n, state)
		}
	}
	due, _, err := j.Due(t.Context(), time.Now(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range want.Executions {
		if x.State == dispatch.StateReady && !slices.ContainsFunc(due, func(e dispatch.Execution) bool { return e.ID == x.ID && len(e.Input) > 0 }) {
			t.Errorf("%s was ready and is not due", x.ID)
		}
	}
}

// answerMadeUp answers about the commits of the old journal, which git never
// made: their statuses are taken, and every head is one commit after its base.
func answerMadeUp(c githubtest.Call) *githubtest.Answer {
	answer := &githubtest.Answer{Status: http.StatusNotFound, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"message": "Not Found"}`}
	if _, head, ok := strings.Cut(c.Path, "..."); ok {
		answer.Status, answer.Body = http.StatusOK, fmt.Sprintf(`{"total_commits": 1, "commits": [{"sha": %q, "commit": {"message": "of the host"}}]}`, head)
	} else if strings.HasPrefix(c.String(), "POST /repos/acme/api/statuses/") {
		answer.Status, answer.Body = http.StatusCreated, "{}"
	}
	return answer
}

// A service on the data of an older release, which was killed in the middle of
// its work, finishes all of it, changes nothing that was finished, and runs no
// commit again, whoever tells of it once more.
func TestUpgradeFinishesWhatWasBegunAndRunsNothingAgain(t *testing.T) {
	dir := t.TempDir()
	unpackUpgrade(t, filepath.Join(dir, "data"))
	want := readUpgrade(t)
	github := newGitHub(t)
	github.Intercept(answerMadeUp)
	if err := os.WriteFile(filepath.Join(dir, "gone.asl.json"), []byte(upgradeFile(t, "gone.asl.json")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, dir, strings.ReplaceAll(upgradeFile(t, "switchyard.yaml"), "GITHUB", github.URL), upgradeFile(t, "test.asl.json"))
	idle := func() {
		t.Helper()
		eventually(t, "all work is done", func() bool {
			depth, err := s.Dispatcher().Depth(t.Context())
			return err == nil && depth == dispatch.Depth{}
		})
	}
	idle()
	all := func() map[string]dispatch.Execution {
		t.Helper()
		page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		byID, known := map[string]dispatch.Execution{}, map[string]string{}
		for _, x := range page.Executions {
			byID[x.ID] = x
			key := fmt.Sprint(x.Route, x.SHA, x.Environment, x.Attempt)
			if first := known[key]; first != "" {
				t.Errorf("%s and %s are the same commit, route, environment and attempt", first, x.ID)
			}
			known[key] = x.ID
		}
		return byID
	}
	got := all()
	for _, x := range want.Executions {
		is := got[x.ID]
		if is.SHA != x.SHA || is.Route != x.Route || is.Attempt != x.Attempt {
			t.Errorf("%s of %s on %s is now %+v", x.ID, x.SHA, x.Route, is)
		}
		switch {
		case x.State.Finished() && (is.State != x.State || is.StoppedAt.UnixMilli() != x.StoppedAt):
			t.Errorf("%s was %s at %d, is %s at %v", x.ID, x.State, x.StoppedAt, is.State, is.StoppedAt)
		case x.State == dispatch.StateRunning && is.StartedAt.UnixMilli() != x.StartedAt:
			t.Errorf("%s ran since %d, says %v", x.ID, x.StartedAt, is.StartedAt)
		case !x.State.Finished() && is.State != dispatch.StateSucceeded:
			t.Errorf("%s was %s and has become %s: %s %s", x.ID, x.State, is.State, is.Error, is.Cause)
		}
	}
	// What was not expanded yet has got names with the environment in them.
	there := map[string]bool{}
	for id := range got {
		there[unhashed(id)] = true
	}
	for _, d := range want.Deliveries {
		for _, id := range unhashedAll(answered(t, d.Answer)) {
			if !there[id] {
				t.Errorf("delivery %s was answered with %s, which is not there", d.ID, id)
			}
		}
	}
	for _, p := range want.Statuses {
		if len(github.Calls("POST /repos/acme/api/statuses/"+p.SHA)) == 0 {
			t.Errorf("the status of %s (%s) was not posted", p.SHA, p.State)
		}
	}
	for _, again := range []string{"", "-again"} {
		for _, d := range want.Deliveries {
			status, text := do(t, s.delivery(t, d.Event, d.ID+again, d.Body))
			if status != d.Status {
				t.Errorf("delivery %s%s: %d %s, the old service said %d", d.ID, again, status, text, d.Status)
			}
			if ids := answered(t, []byte(text)); !slices.Equal(unhashedAll(ids), unhashedAll(answered(t, d.Answer))) {
				t.Errorf("delivery %s%s is answered with %v, was with %s", d.ID, again, ids, d.Answer)
			}
		}
		idle()
		if n := len(all()); n != len(got) {
			t.Errorf("deliveries that came again (ID%s) made %d executions of %d", again, n, len(got))
		}
	}
	s.stop()
	e, err := store.Open(t.Context(), filepath.Join(dir, "data", "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, x := range want.Engine {
		is, err := e.Execution(t.Context(), "test", x.Name)
		switch {
		case err != nil:
			t.Errorf("the engine's execution %s: %v", x.Name, err)
		case is.Status == store.Running:
			t.Errorf("the engine's execution %s still runs", x.Name)
		case x.Status != store.Running && is.Status != x.Status:
			t.Errorf("the engine's execution %s was %v, is %v", x.Name, x.Status, is.Status)
		}
	}
	asked, err := e.Executions(t.Context(), store.Query{Machine: "test", Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	for _, x := range got {
		if !x.StartedAt.IsZero() {
			started++
		}
	}
	if len(asked) != started {
		t.Errorf("the engine has %d executions, %d were started", len(asked), started)
	}
}
