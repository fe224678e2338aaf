package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"switchyard/audit"
	"switchyard/dispatch"
	"switchyard/internal/gittest"
)

// audited asks the service for an audit.
func (s *service) audited(t *testing.T, q url.Values) (findings []audit.Finding, summaries []audit.Summary) {
	t.Helper()
	answer, err := s.client.Audit(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	done := false
	for lines := bufio.NewScanner(answer); lines.Scan(); {
		var l audit.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Error != "" {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if l.Finding != nil {
			findings = append(findings, *l.Finding)
		}
		if l.Summary != nil {
			summaries = append(summaries, *l.Summary)
		}
		done = l.Done
	}
	if !done {
		t.Fatal("the audit did not end")
	}
	return findings, summaries
}

// bySHA counts the executions of each commit.
func (s *service) bySHA(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	f := dispatch.ExecutionFilter{Limit: 1000}
	for {
		page, err := s.client.Executions(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Executions {
			counts[page.Executions[i].SHA]++
		}
		if f.Before = page.Next; f.Before == 0 {
			return counts
		}
	}
}

// once waits until exactly these commits have exactly one execution each.
func (s *service) once(t *testing.T, shas ...string) {
	t.Helper()
	want := map[string]int{}
	for _, sha := range shas {
		want[sha] = 1
	}
	var got map[string]int
	for range 300 {
		if got = s.bySHA(t); maps.Equal(got, want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("executions by commit: %v, expected %v", got, want)
}

// Commits that were pushed while the service was down, or whose deliveries were
// lost, are found when it starts and on demand, and none is started twice.
func TestAuditsFindWhatNoDeliveryTold(t *testing.T) {
	repo := gittest.New(t)
	base := repo.Chain("main", 2)
	text := fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources: {git: {secrets: [%q], repositories: {acme/api: %q}}}
engine: {embedded: {functions: {echo: {exec: [cat]}}}}
state_machines: {test: {definition: test.asl.json}}
audit: {grace: 0s}
routes: [{name: all, branches: ["**"], state_machine: test}]
`, secret, repo.Dir)
	dir := t.TempDir()
	s := startWith(t, dir, text, machine)
	// The first audit takes what there is as known; the service makes it when it
	// starts, and so may this one be the second.
	if findings, summaries := s.audited(t, nil); len(findings) != 0 || len(summaries) != 1 || summaries[0].Branches != 1 || summaries[0].Error != "" {
		t.Errorf("%+v %+v", findings, summaries)
	}
	s.once(t)
	s.stop()

	down := repo.Chain("main", 3)
	repo.Git("branch", "feature/x", base[1])
	down = append(down, repo.Chain("feature/x", 2)...)
	s = startWith(t, dir, text, machine)
	s.once(t, down...)

	lost := repo.Chain("main", 2)
	findings, _ := s.audited(t, url.Values{"branch": {"main"}})
	var missing []string
	for _, f := range findings {
		missing = append(missing, f.SHA)
		if f.Verdict != audit.Missing || f.Route != "all" || f.Ref != "refs/heads/main" || f.Execution == "" || f.Author != gittest.AuthorName {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(missing, lost) {
		t.Errorf("missing %v, expected %v", missing, lost)
	}
	s.once(t, down...)
	if findings, _ = s.audited(t, url.Values{"heal": {"true"}}); len(findings) != 2 || findings[0].Verdict != audit.Healed {
		t.Errorf("%+v", findings)
	}
	s.once(t, append(down, lost...)...)
	if findings, _ = s.audited(t, url.Values{"since": {gittest.Epoch.Add(2 * time.Minute).Format(time.RFC3339)}}); len(findings) != 0 {
		t.Errorf("after healing: %+v", findings)
	}
	for _, q := range []url.Values{{"sinse": {"7d"}}, {"since": {"yesterday"}}, {"heal": {"yes"}}, {"branch": {""}}} {
		if _, err := s.client.Audit(t.Context(), q); err == nil {
			t.Errorf("%v was taken", q)
		} else {
			t.Log(err)
		}
	}
}
