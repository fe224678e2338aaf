package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
)

// Two configs that share nothing a reload can change.
const (
	earlier = `
server: {listen: "127.0.0.1:0", api_tokens: [the-earlier-api-token]}
data_dir: data
sources:
  github: {secrets: [the earlier secret], token: earlier-token, base_url: "http://127.0.0.1:1/api/v3", clone_base: "https://127.0.0.1:1"}
state_machines: {one: {definition: one.asl.json}, two: {definition: two.asl.json}, three: {definition: three.asl.json}}
routes:
  - {name: earlier, branches: ["feature/**"], state_machine: one, environment: earlier}
status: {per_minute: 1, per_hour: 1}
`
	later = `
server: {listen: "127.0.0.1:0", api_tokens: [the-later-api-token]}
data_dir: data
sources:
  github: {secrets: [the later secret], token: later-token, base_url: "http://127.0.0.1:1/api/v3", clone_base: "https://127.0.0.1:1"}
state_machines: {one: {definition: one.asl.json}, two: {definition: two.asl.json}, three: {definition: three.asl.json}, four: {definition: four.asl.json}}
routes:
  - {name: later, branches: ["release/**"], state_machine: four, environment: later}
status: {per_minute: 1, per_hour: 1}
`
)

// definition is of a state machine that says what it is.
func definition(says string) string {
	return fmt.Sprintf(`{"StartAt": "Say", "States": {"Say": {"Type": "Pass", "Result": %q, "End": true}}}`, says)
}

// configOf writes a config with its state machines and reads it.
func configOf(t *testing.T, dir, settings, says string) *config.Config {
	t.Helper()
	for _, name := range []string{"one", "two", "three", "four"} {
		if err := os.WriteFile(filepath.Join(dir, name+".asl.json"), []byte(definition(name+" "+says)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, dir, settings, machine)
}

// serves reports in what s does not serve the config that says so.
func serves(t *testing.T, s *service, says string) (wrong []string) {
	t.Helper()
	other := map[string]string{"earlier": "later", "later": "earlier"}[says]
	branch := map[string]string{"earlier": "feature/x", "later": "release/x"}
	for _, row := range []struct {
		what, secret, branch string
		want                 int
	}{
		{"its branch with its secret", says, branch[says], http.StatusAccepted},
		{"the other's branch with its secret", says, branch[other], http.StatusOK},
		{"the other's secret", other, branch[says], http.StatusUnauthorized},
	} {
		if got := s.deliverAs(t, "the "+row.secret+" secret", "d-"+says+row.branch, push(row.branch, "sha-"+says)); got != row.want {
			wrong = append(wrong, fmt.Sprintf("%s answers %d", row.what, got))
		}
	}
	for token, want := range map[string]bool{"the-" + says + "-api-token": true, "the-" + other + "-api-token": false} {
		_, err := api.NewClient("http://"+s.Addr().String(), token).Executions(t.Context(), dispatch.ExecutionFilter{})
		if (err == nil) != want {
			wrong = append(wrong, fmt.Sprintf("%s: %v", token, err))
		}
	}
	if token := s.token(t, "https://127.0.0.1:1/acme/api.git"); token != says+"-token" {
		wrong = append(wrong, "builds fetch with "+token)
	}
	return wrong
}

// deliverAs signs with a secret. It may be called from any goroutine.
func (s *service) deliverAs(t *testing.T, secret, id string, body []byte) int {
	t.Helper()
	req := s.delivery(t, "push", id, body)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (s *service) revisions(t *testing.T) map[string]string {
	t.Helper()
	all, err := s.Revisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever step of a reload fails, the old config serves on, in everything; and
// once the fault is gone, the same reload works.
func TestReloadThatFailsLeavesTheOldConfigServing(t *testing.T) {
	dir := t.TempDir()
	configOf(t, dir, earlier, "earlier")
	s := startWith(t, dir, earlier, machine)
	before := s.revisions(t)
	cfg := configOf(t, dir, later, "later")
	check := func(t *testing.T) {
		t.Helper()
		for _, wrong := range serves(t, s, "earlier") {
			t.Error(wrong)
		}
		if now := s.revisions(t); !maps.Equal(before, now) {
			t.Errorf("state machines before %v\nand now %v", before, now)
		}
	}
	check(t)
	for _, step := range s.ReloadSteps() {
		t.Run(step, func(t *testing.T) {
			mend := s.BreakReload(step)
			defer mend()
			if err := s.Reload(t.Context(), cfg); !errors.Is(err, app.ErrBroken) {
				t.Fatalf("reload: %v", err)
			}
			check(t)
		})
	}
	for name, text := range map[string]string{"one": "{", "three": `{"StartAt": "Nowhere", "States": {}}`, "four": ""} {
		t.Run("definition of "+name+" refused", func(t *testing.T) {
			path := filepath.Join(dir, name+".asl.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Reload(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
				t.Fatalf("reload: %v", err)
			}
			check(t)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := s.Reload(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "state_machines."+name+".definition") {
				t.Fatalf("reload without the file: %v", err)
			}
			check(t)
			configOf(t, dir, later, "later")
		})
	}
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range serves(t, s, "later") {
		t.Error(wrong)
	}
	for name, at := range s.revisions(t) {
		if at == before[name] || !strings.HasSuffix(at, definition(name+" later")) {
			t.Errorf("%s is at %s", name, at)
		}
	}
}

// A delivery that comes while the config is replaced, again and again, is taken
// under one of the two, and runs as one of the two says.
func TestDeliveriesDuringReloadsSeeOneConfigOrTheOther(t *testing.T) {
	dir := t.TempDir()
	// Both take the same branch with the same secret; state machines, routes
	// and environments are each its own.
	shared := func(text string) string {
		return strings.NewReplacer("the later secret", "the earlier secret", "release/**", "feature/**", "the-later-api-token", "the-earlier-api-token").Replace(text)
	}
	configs := []*config.Config{configOf(t, dir, shared(later), "same"), configOf(t, dir, earlier, "same")}
	s := startWith(t, dir, earlier, machine)
	s.client = api.NewClient("http://"+s.Addr().String(), "the-earlier-api-token")
	const n = 60
	var senders sync.WaitGroup
	for sender := range 3 {
		senders.Go(func() {
			for i := range n / 3 {
				id := fmt.Sprintf("%d-%d", sender, i)
				if code := s.deliverAs(t, "the earlier secret", id, push("feature/x", "sha-"+id)); code != http.StatusAccepted {
					t.Errorf("delivery %s answers %d", id, code)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { senders.Wait(); close(done) }()
	for i := 0; ; i++ {
		if err := s.Reload(t.Context(), configs[i%2]); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	seen := map[string]int{}
	for _, e := range s.settled(t, n) {
		if e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %s: %s %s", e.ID, e.State, e.Error, e.Cause)
		}
		seen[e.Route+" "+e.StateMachine+" "+e.Environment]++
	}
	if total := seen["earlier one earlier"] + seen["later four later"]; total != n || len(seen) > 2 {
		t.Errorf("executions %v", seen)
	}
}
