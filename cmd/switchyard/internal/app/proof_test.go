package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/awstest"
	"switchyard/internal/giteatest"
	"switchyard/internal/githubtest"
	"switchyard/internal/gittest"
)

// starts is Step Functions as far as starts go: it remembers each.
type starts struct {
	mu     sync.Mutex
	byName map[string]int
	bySHA  map[string]int
}

func (s *starts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var in struct{ Name, Input, StateMachineArn, ExecutionArn string }
	_ = json.Unmarshal(body, &in)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch _, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); op {
	case "StartExecution":
		var input struct{ Commit struct{ SHA string } }
		_ = json.Unmarshal([]byte(in.Input), &input)
		s.mu.Lock()
		s.byName[in.Name]++
		s.bySHA[input.Commit.SHA]++
		s.mu.Unlock()
		fmt.Fprintf(w, `{"executionArn":%q,"startDate":1793610000}`, strings.Replace(in.StateMachineArn, ":stateMachine:", ":execution:", 1)+":"+in.Name)
	case "DescribeExecution":
		fmt.Fprintf(w, `{"executionArn":%q,"name":"x","status":"RUNNING","startDate":1793610000,"stateMachineArn":"x"}`, in.ExecutionArn)
	default: // what runs, is as it was
		fmt.Fprint(w, `{"executions":[]}`)
	}
}

// differs says how what was started differs from what was pushed.
func (s *starts) differs(pushed map[string]bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing, twice, other := 0, 0, 0
	for sha := range pushed {
		if s.bySHA[sha] == 0 {
			missing++
		}
	}
	for sha := range s.bySHA {
		if !pushed[sha] {
			other++
		}
	}
	for _, n := range s.byName {
		if n > 1 {
			twice++
		}
	}
	if missing+twice+other == 0 && len(s.byName) == len(pushed) {
		return ""
	}
	return fmt.Sprintf("of %d commits %d have no execution, %d executions were started twice, %d are of other commits", len(pushed), missing, twice, other)
}

// forge is a git host with one repository, acme/api.
type forge struct {
	*gittest.Repo
	// sources is the config of its source.
	sources string
	// hook has the service told from now on.
	hook func()
	// push tells of a branch that moved.
	push func(branch string)
	// pages has two of three calls of its API fail.
	pages func()
	// calls are how many calls of its API were made.
	calls func() int
}

// stranger stands between a forge and the service, which may be down.
type stranger struct {
	service atomic.Pointer[service]
}

func (s *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	up := s.service.Load()
	if up == nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	body, _ := io.ReadAll(r.Body)
	on, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+up.Addr().String()+r.URL.Path, strings.NewReader(string(body)))
	on.Header = r.Header.Clone()
	answer, err := http.DefaultClient.Do(on)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
}

func giteaForge(t *testing.T, receiver *stranger) *forge {
	server := giteatest.New(t)
	server.Receiver = receiver
	server.AddToken(giteatest.Token{Text: "token", Login: "bot", Scopes: []string{"write:repository", "read:user"}})
	repo := server.AddRepo("acme/api")
	repo.Allow("bot", "write")
	var calls atomic.Int64
	return &forge{
		Repo: repo.Repo, sources: fmt.Sprintf("{gitea: {secrets: [%q], token: token, base_url: %q}}", secret, server.URL),
		hook: func() { repo.AddHook("https://switchyard.test/webhooks/gitea", secret) },
		push: func(string) { repo.Push() },
		pages: func() {
			server.Fail(func(call string) int {
				if strings.HasPrefix(call, "GET") && calls.Add(1)%3 != 0 {
					return http.StatusBadGateway
				}
				return 0
			})
		},
		calls: func() int { return len(server.Calls("")) },
	}
}

// gitHubForge forgets every second delivery that it cannot make, and can be asked
// for the others.
func gitHubForge(t *testing.T, receiver *stranger) *forge {
	server := githubtest.New(t)
	server.Receiver = receiver
	base := server.Start()
	repo := server.AddRepo("acme/api")
	lost, calls := 0, atomic.Int64{}
	server.Deliver(func(d *githubtest.Delivery) githubtest.Fate {
		if receiver.service.Load() != nil {
			return githubtest.Arrives
		}
		if lost++; lost%2 == 0 {
			return githubtest.Forgotten
		}
		return githubtest.Lost
	})
	return &forge{
		Repo: repo.Repo, sources: fmt.Sprintf("{github: {secrets: [%q], token: %q, base_url: %q, clone_base: %q}}", secret, githubtest.AnyToken, base, strings.TrimSuffix(base, "/")),
		hook: func() { repo.AddHook("https://switchyard.test/webhooks/github", secret, "push") },
		push: func(branch string) { repo.Push(branch) },
		pages: func() {
			server.Intercept(func(c githubtest.Call) *githubtest.Answer {
				if c.Method == http.MethodGet && calls.Add(1)%3 != 0 {
					return &githubtest.Answer{Status: http.StatusBadGateway, Body: "{}"}
				}
				return nil
			})
		},
		calls: func() int { return len(server.Calls("")) },
	}
}

// A third of 300 deliveries come while the service is down, among them a push of
// 5,000 commits and a forced push. When it is back, every commit has one
// execution, and an audit says so.
func TestNoCommitIsLostWithItsDelivery(t *testing.T) {
	const large = 5000
	for name, c := range map[string]struct {
		forge func(*testing.T, *stranger) *forge
		// pushes come in each third, and one of large commits in the second.
		pushes, large int
		pages         bool
	}{
		"github":                          {gitHubForge, 100, large, false},
		"github, two of three pages fail": {gitHubForge, 12, 2500, true},
		"gitea":                           {giteaForge, 100, large, false},
		"gitea, two of three pages fail":  {giteaForge, 12, 150, true},
	} {
		t.Run(name, func(t *testing.T) {
			if raceDetector && c.pushes > 12 {
				t.Skip("the same, only longer")
			}
			if raceDetector {
				c.large = min(c.large, 600) // some pages of a host's
			}
			awstest.Isolate(t)
			engine := &starts{byName: map[string]int{}, bySHA: map[string]int{}}
			aws := httptest.NewServer(engine)
			defer aws.Close()
			door := &stranger{}
			f := c.forge(t, door)
			settings := fmt.Sprintf(`
server: {listen: "127.0.0.1:0", public_url: "https://switchyard.test"}
data_dir: data
sources: %s
engine: {aws: {region: eu-west-1, endpoint: %q, start_rate: 5000, start_burst: 5000}}
state_machines: {test: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:test"}}
audit: {grace: 0s}
status: {per_minute: 1}
routes: [{name: all, repositories: [acme/api], branches: ["**"], state_machine: test}]
`, f.sources, aws.URL)
			dir := t.TempDir()
			up := func() *service {
				s := startWith(t, dir, settings, machine)
				door.service.Store(s)
				return s
			}
			first := f.Chain("main", 1)
			f.push("main")
			f.hook()
			s := up()
			for range 100 { // until the service has taken down what there is
				if _, summaries := s.audited(t, nil); len(summaries) == 1 && summaries[0].Error == "" {
					break
				}
			}

			// The same each time.
			random := rand.New(rand.NewPCG(1, 2))
			pushed, branches := map[string]bool{}, []string{"main"}
			for _, sha := range first {
				if engine.bySHA[sha] > 0 {
					t.Error("the first audit started what was there before")
				}
			}
			some := func(branch string, n int) {
				for _, sha := range f.Chain(branch, n) {
					pushed[sha] = true
				}
				f.push(branch)
			}
			third := func(n int) {
				for i := range c.pushes {
					branch := branches[random.IntN(len(branches))]
					switch {
					case i%5 == 3 && len(branches) < 4*n: // a new branch, with commits of its own
						from := branch
						branch = fmt.Sprintf("feature/%d-%d", n, i)
						f.Git("branch", branch, from)
						branches = append(branches, branch)
					case i%20 == 7: // a merge
						if other := branches[random.IntN(len(branches))]; other != branch && other != "main" {
							tip, _ := f.Tip(branch)
							merged, _ := f.Tip(other)
							pushed[f.Commit(branch, "Merge "+other, map[string]string{fmt.Sprint("merge-", n, i): "x"}, tip, merged)] = true
						}
					}
					some(branch, 1+random.IntN(4))
				}
			}
			third(1)
			s.stop()
			door.service.Store(nil)
			if c.pages {
				f.pages()
			}
			some("main", c.large)
			rewritten := branches[len(branches)-1]
			base := strings.TrimSpace(f.Git("rev-parse", "refs/heads/"+rewritten+"~2"))
			f.Git("update-ref", "refs/heads/"+rewritten, base)
			some(rewritten, 3)
			third(2)
			s = up()
			third(3)

			deadline := time.Now().Add(3 * time.Minute)
			for {
				findings, summaries := s.audited(t, url.Values{"heal": {"true"}})
				if len(findings) == 0 && len(summaries) == 1 && summaries[0].Error == "" && engine.differs(pushed) == "" {
					t.Logf("%d commits, of which %d came in one push; %d calls of the host's API", len(pushed), c.large, f.calls())
					return
				}
				if time.Now().After(deadline) {
					page, _ := s.client.Deliveries(t.Context(), dispatch.DeliveryFilter{Limit: 1000})
					for _, d := range page.Deliveries {
						if d.State != dispatch.DeliveryExpanded {
							t.Logf("%s %s %s: waits for %s until %v", d.ID, d.Ref, d.State, d.WaitsFor, d.NextTry)
						}
					}
					t.Fatalf("%s; the last audit: %+v", engine.differs(pushed), summaries)
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// An audit of a thousand branches where nothing changed makes one call of the API,
// which GitHub does not count.
func TestAnAuditOfAThousandBranchesWhereNothingChanged(t *testing.T) {
	awstest.Isolate(t)
	server := githubtest.New(t)
	repo := server.AddRepo("acme/api")
	first := repo.Chain("main", 3)
	var updates strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&updates, "create refs/heads/feature/%d %s\n", i, first[i%3])
	}
	repo.Feed(updates.String(), "update-ref", "--stdin")
	base := server.Start()
	s := startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources: {github: {secrets: [%q], token: %q, base_url: %q, clone_base: %q}}
engine: embedded
state_machines: {test: {definition: test.asl.json}}
audit: {every: 0s}
routes: [{name: all, repositories: [acme/api], on: [push, pull_request], state_machine: test}]
`, secret, githubtest.AnyToken, base, strings.TrimSuffix(base, "/")), `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`)
	if _, summaries := s.audited(t, nil); len(summaries) != 1 || summaries[0].Branches != 1001 || summaries[0].Error != "" {
		t.Fatalf("%+v", summaries)
	}
	took := time.Hour
	for range 3 { // the machine may be busy with something else
		calls := len(server.Calls(""))
		findings, summaries := s.audited(t, nil)
		if len(findings) != 0 || summaries[0].Changed != 0 || summaries[0].Error != "" {
			t.Errorf("%+v %+v", findings, summaries)
		}
		if made := server.Calls("")[calls:]; len(made) > 1 {
			t.Errorf("%d calls of the API: %v", len(made), made)
		}
		took = min(took, summaries[0].Took)
	}
	t.Logf("an audit of %d branches where nothing changed took %v", 1001, took)
	if took > time.Second {
		t.Errorf("it took %v", took)
	}
}
