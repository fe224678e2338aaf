package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/bitbuckettest"
)

// bitbucketSettings take the deliveries of a Bitbucket and tell it of executions:
// the source, its token, its address and where its clones are.
const bitbucketSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  %s: {token: %q, secrets: [secret], base_url: %q, clone_base: %q}
state_machines: {test: {definition: test.asl.json}}
status: {per_minute: 0, per_hour: 0}
audit: {grace: 0s}
routes:
  - {name: branches, on: [push], repositories: [%[5]q], state_machine: test}
  - {name: pulls, on: [pull_request], repositories: [%[5]q], branches: ["fork/**"], forks: allow, state_machine: test}
  - {name: releases, on: [push], tags: ["v*"], repositories: [%[5]q], state_machine: test}
`

// forward hands what a stand-in sends to a running service.
func forward(address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		in, err := http.NewRequestWithContext(r.Context(), http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		in.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(in)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	})
}

// TestBitbucketFromAPushToItsStatuses goes the whole way at both products: what a
// delivery lists, what it leaves out or does not name, what is lost, and what the
// commits show in the end.
func TestBitbucketFromAPushToItsStatuses(t *testing.T) {
	for source, row := range map[string]struct {
		host             func(testing.TB) *bitbuckettest.Server
		repository, fork string
	}{
		"bitbucket":        {func(t testing.TB) *bitbuckettest.Server { return bitbuckettest.NewCloud(t) }, "acme/app", "ben/app"},
		"bitbucket-server": {func(t testing.TB) *bitbuckettest.Server { return bitbuckettest.NewDataCenter(t) }, "ACME/app", "~BEN/app"},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			host := row.host(t)
			host.PageSize = 5
			base, clones := host.Start()
			repo, fork := host.AddRepo(row.repository), host.AddRepo(row.fork)
			s := startWith(t, t.TempDir(), fmt.Sprintf(bitbucketSettings, source, bitbuckettest.Token, base, clones, row.repository), instant)
			host.Receiver = forward("http://" + s.Addr().String() + "/webhooks/" + source)

			all := repo.Chain("main", 2)
			repo.Push("main")
			s.once(t, all...)
			if _, summaries := s.audited(t, nil); len(summaries) != 1 || summaries[0].Error != "" {
				t.Errorf("%+v", summaries)
			}
			// A delivery lists five at most, or none.
			all = append(all, repo.Chain("main", 12)...)
			if sent := repo.Push("main"); len(sent) != 1 || sent[0].Status != http.StatusAccepted {
				t.Errorf("%+v", sent[0])
			}
			s.once(t, all...)
			// Several branches in one push.
			for _, branch := range []string{"one", "two"} {
				all = append(all, repo.Commit(branch, branch, map[string]string{branch: "1"}, all[13]))
			}
			repo.Push("one", "two")
			s.once(t, all...)

			// Of a fork's pull request the head is told, at the cloud 12 digits of it.
			fork.Git("fetch", "-q", repo.Dir, "refs/heads/main:refs/heads/fork/topic")
			theirs := fork.Chain("fork/topic", 3)
			pull := repo.OpenPull(fork, "fork/topic", "main", "Topic")
			all = append(all, theirs...)
			s.once(t, all...)
			pull.Update() // the same head once more
			// Who may write is answered, and nobody else.
			repo.Writer("712020:c4e620c8-76bb-5b49-8907-d2c68a83b4c5", "write")
			pull.Say("712020:00000000-0000-0000-0000-000000000000", "/switchyard stop")
			pull.Say("712020:c4e620c8-76bb-5b49-8907-d2c68a83b4c5", "Why?\n\n/switchyard explain")
			eventually(t, "the command is answered", func() bool {
				return slices.ContainsFunc(repo.Comments(), func(text string) bool { return strings.Contains(text, theirs[2][:12]) })
			})
			pull.Decline()

			// What no delivery told, an audit finds.
			host.Lose(func(*bitbuckettest.Delivery) bool { return true })
			lost := repo.Chain("main", 2)
			repo.Push("main")
			host.Lose(nil)
			findings, _ := s.audited(t, url.Values{"heal": {"true"}})
			var found []string
			for _, f := range findings {
				found = append(found, f.SHA)
			}
			if !slices.Equal(found, lost) {
				t.Errorf("found %v, expected %v", found, lost)
			}
			all = append(all, lost...)
			s.once(t, all...)

			eventually(t, "every commit has its status", func() bool {
				for _, sha := range all {
					shown := repo.Statuses(sha)
					if len(shown) != 1 || shown[0]["state"] != "SUCCESSFUL" {
						return false
					}
				}
				return true
			})
			shown := repo.Statuses(all[0])[0]
			if shown["name"] != "switchyard/branches" || !strings.HasPrefix(shown["url"].(string), "http://"+s.Addr().String()+"/executions/") {
				t.Errorf("%+v", shown)
			}

			// A tag's commit is that which it names, and not the tag.
			repo.Git("tag", "-a", "-m", "Release", "v1", all[0])
			repo.PushTag("v1")
			eventually(t, "the tag's commit has the status of another route", func() bool { return len(repo.Statuses(all[0])) == 2 })
			if bySHA := s.bySHA(t); bySHA[all[0]] != 2 || len(bySHA) != len(all) {
				t.Errorf("%v", bySHA)
			}
			s.stop() // before the host it asks
		})
	}
}

// Who does not know the secret starts nothing, and a ping gets no more than its
// answer.
func TestBitbucketIsProved(t *testing.T) {
	host := bitbuckettest.NewDataCenter(t)
	base, clones := host.Start()
	repo := host.AddRepo("ACME/app")
	s := startWith(t, t.TempDir(), fmt.Sprintf(bitbucketSettings, "bitbucket-server", bitbuckettest.Token, base, clones, "ACME/app"), instant)
	host.Receiver = forward("http://" + s.Addr().String() + "/webhooks/bitbucket-server")
	host.Secret = "a guess"
	repo.Chain("main", 1)
	if sent := repo.Push("main"); sent[0].Status != http.StatusUnauthorized || !strings.Contains(sent[0].Answer, "X-Hub-Signature") {
		t.Errorf("%+v", sent[0])
	}
	w := post(t, s, "diagnostics:ping", `{"test": true}`)
	if w.StatusCode != http.StatusOK {
		t.Error(w.StatusCode)
	}
	if w = post(t, s, "repo:refs_changed", `{"test": true}`); w.StatusCode != http.StatusUnauthorized {
		t.Error(w.StatusCode)
	}
	s.once(t)
}

func post(t *testing.T, s *service, event, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+"/webhooks/bitbucket-server", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Event-Key", event)
	r.Header.Set("X-Request-Id", "158928cc-158d-5403-b943-3f03e73974a8")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}
