package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"switchyard/internal/githubtest"
)

// What GitHub could not deliver, an audit has it deliver again; what it knows
// nothing of, the audit starts itself. No commit runs twice.
func TestAuditsHaveGitHubDeliverAgain(t *testing.T) {
	gh := githubtest.New(t)
	api := gh.Start()
	repo := gh.AddRepo("acme/api")
	first := repo.Chain("main", 1)
	// The address that GitHub knows stays, wherever the service listens.
	var service *url.URL
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httputil.NewSingleHostReverseProxy(service).ServeHTTP(w, r)
	}))
	defer front.Close()
	s := startWith(t, t.TempDir(), fmt.Sprintf(`
server: {listen: "127.0.0.1:0", public_url: %q}
data_dir: data
sources: {github: {secrets: [%q], token: %s, base_url: %q}}
state_machines: {test: {definition: test.asl.json}}
routes:
  - {name: all, on: [push], repositories: [acme/api], state_machine: test}
audit: {every: 0, grace: 0s}
`, front.URL, secret, githubtest.AnyToken, api+"api/v3"), `{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}`)
	service = &url.URL{Scheme: "http", Host: s.Addr().String()}
	hook := front.URL + "/webhooks/github"
	repo.AddHook(hook, secret, "push")
	repo.Push("main")
	s.once(t, first...)
	s.audited(t, nil)

	gh.Deliver(func(*githubtest.Delivery) githubtest.Fate { return githubtest.Lost })
	lost := repo.Chain("main", 3)
	repo.Push("main")
	gh.Deliver(func(*githubtest.Delivery) githubtest.Fate { return githubtest.Forgotten })
	forgotten := repo.Chain("topic", 2)
	repo.Push("topic")
	gh.Deliver(nil)
	s.audited(t, url.Values{"heal": {"true"}})
	gh.Settle()
	s.once(t, append(append(first, lost...), forgotten...)...)
	again := 0
	for _, d := range gh.Deliveries(hook) {
		if d.Redelivery && d.StatusCode/100 == 2 {
			again++
		}
	}
	if again != 1 {
		t.Errorf("%d deliveries were sent again, want the one that was lost", again)
	}
}
