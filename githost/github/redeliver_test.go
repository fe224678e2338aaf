package github

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/githubtest"
)

const ours = "https://yard.test/webhooks/github"

// receiver notes the deliveries that reach it.
type receiver struct {
	code int

	mu  sync.Mutex
	got []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.got = append(r.got, q.Header.Get("X-GitHub-Delivery"))
	r.mu.Unlock()
	if r.code != 0 {
		w.WriteHeader(r.code)
	}
}

func lose(*githubtest.Delivery) githubtest.Fate { return githubtest.Lost }

// push has the branch told of with one more commit.
func (f *fixture) push() string {
	f.t.Helper()
	f.repo.Chain("main", 1)
	return f.repo.Push("main")[0].GUID
}

func TestRedeliverAsksForWhatDidNotArrive(t *testing.T) {
	for kind, set := range map[string]func(f *fixture) *Client{
		"repository": func(f *fixture) *Client { f.repo.AddHook(ours+"/", "s", "push"); return f.client() },
		"organisation": func(f *fixture) *Client {
			f.AddOrgHook("acme", strings.ToUpper(ours[:13])+ours[13:], "s", "push")
			return f.client()
		},
		"app": func(f *fixture) *Client {
			app := f.AddApp(readContents)
			app.Install("acme")
			app.SetHook(ours, "s")
			return f.asApp(app)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				r := &receiver{}
				f.Receiver = r
				// Another hook, and another repository's deliveries, are not ours.
				f.repo.AddHook("https://other.test/", "s", "push")
				c := set(f)
				f.Deliver(lose)
				other := f.AddRepo("acme/web")
				other.Chain("main", 1)
				other.Push("main")
				f.Deliver(func(d *githubtest.Delivery) githubtest.Fate {
					return map[bool]githubtest.Fate{true: githubtest.Lost}[d.Repository == other]
				})
				f.repo.Emit("push", "", nil) // arrives
				time.Sleep(2 * time.Hour)
				begin := time.Now().Add(-time.Hour)
				f.Deliver(lose)
				var lost []string
				for range 130 {
					for _, d := range f.repo.Emit("push", "", nil) {
						if githost.SameURL(d.URL(), ours) {
							lost = append(lost, d.GUID)
						}
					}
					time.Sleep(time.Second)
				}
				f.Deliver(nil)
				r.got = nil
				asked, mark, err := c.Redeliver(t.Context(), name, ours, "", begin)
				f.Settle()
				if err != nil || asked != 130 || mark == "" {
					t.Fatalf("asked for %d, mark %q, %v", asked, mark, err)
				}
				got := slices.Sorted(slices.Values(r.got))
				slices.Sort(lost)
				if !slices.Equal(got, lost) {
					t.Errorf("%d arrived, want the %d that were lost", len(got), len(lost))
				}
				time.Sleep(time.Second)
				asked, later, err := c.Redeliver(t.Context(), name, ours, mark, begin)
				if err != nil || asked != 0 || later <= mark {
					t.Errorf("then asked for %d, mark %q, %v", asked, later, err)
				}
			})
		})
	}
}

// What no attempt of arrives is asked for a few times, and the mark waits for it.
func TestRedeliverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.Receiver = &receiver{code: http.StatusServiceUnavailable}
		f.repo.AddHook(ours, "s", "push")
		c := f.client()
		f.push()
		first := time.Now().UTC().Format(time.RFC3339)
		mark, total := "", 0
		for range 10 {
			time.Sleep(time.Hour)
			asked, next, err := c.Redeliver(t.Context(), name, ours, mark, time.Now().Add(-24*time.Hour))
			f.Settle()
			if err != nil {
				t.Fatal(err)
			}
			if asked > 0 && next != first {
				t.Errorf("the mark is %s, want %s, from which on it is waited for", next, first)
			}
			mark = next
			total += asked
		}
		if total != maxAttempts-1 || mark == first {
			t.Errorf("asked %d times, mark %s", total, mark)
		}
	})
}

func TestRedeliverWhatCannotBeAskedFor(t *testing.T) {
	f := newFixture(t)
	f.AddToken(githubtest.Token{Text: "reads", Permissions: map[string]string{"contents": "read"}})
	c := f.client()
	if _, _, err := c.Redeliver(t.Context(), name, ours, "yesterday", time.Time{}); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("a mark: %v", err)
	}
	if asked, _, err := c.Redeliver(t.Context(), name, ours, "", time.Time{}); asked != 0 || err != nil {
		t.Errorf("no hook: %d, %v", asked, err)
	}
	c.byToken = c.connect(bearer{c.transport, "reads"})
	if _, _, err := c.Redeliver(t.Context(), name, ours, "", time.Time{}); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), toWriteHooks) {
		t.Errorf("may not: %v", err)
	}
}
