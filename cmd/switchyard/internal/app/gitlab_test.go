package app_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/internal/gitlabtest"
	"switchyard/internal/gittest"
)

// gitLabSettings take the deliveries of a GitLab and tell it of executions: its
// token, the secret of its webhook, and its address.
const gitLabSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  gitlab: {token: %q, secrets: [%q], base_url: %q}
state_machines: {test: {definition: test.asl.json}}
status: {per_minute: 0, per_hour: 0}
audit: {grace: 0s}
routes:
  - {name: all, on: [push, pull_request], repositories: [acme/platform/*], state_machine: test}
`

// TestGitLabFromAPushToItsStatuses goes the whole way: what a delivery lists,
// what it leaves out, what is lost, and what the project shows in the end.
func TestGitLabFromAPushToItsStatuses(t *testing.T) {
	const signing = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	host := gitlabtest.New(t)
	p := host.Project("acme/platform/api")
	s := startWith(t, t.TempDir(), fmt.Sprintf(gitLabSettings, host.Secret, signing, host.URL), instant)
	hook := p.Hook("http://"+s.Addr().String()+"/webhooks/gitlab", "")
	hook.Signing = signing

	all := p.Chain("main", 2)
	p.Push()
	s.once(t, all...)
	if _, summaries := s.audited(t, nil); len(summaries) != 1 || summaries[0].Error != "" {
		t.Errorf("%+v", summaries)
	}
	// A delivery lists the newest 20.
	all = append(all, p.Chain("main", 23)...)
	p.Push()
	s.once(t, all...)

	// Of a merge request it names the head; the others came with the push.
	all = append(all, p.Add("topic", gittest.Commit{Message: "t1", Parents: all[24:]}, gittest.Commit{Message: "t2"})...)
	host.Lost = func(trigger string) bool { return trigger == "push_hooks" }
	p.Push()
	m := p.Open(p, "topic", "main", "Topic")
	s.once(t, all...)

	// Who may push may give commands.
	ada := host.User("ada")
	p.Member(ada, gitlabtest.Developer, time.Time{})
	m.Comment(ada, "/switchyard explain")
	eventually(t, "an answer", func() bool { return len(p.Comments()) == 1 })
	if said := p.Comments()[0]; !strings.Contains(said, "all") {
		t.Errorf("%s", said)
	}

	// What no delivery told, an audit finds.
	host.Lost = func(string) bool { return true }
	lost := p.Chain("main", 2)
	p.Push()
	host.Lost = nil
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
			shown := p.Statuses(sha)
			if len(shown) != 1 || shown[0].State != "success" {
				return false
			}
		}
		return true
	})
	shown := p.Statuses(all[25])[0]
	if shown.Name != "switchyard/all" || shown.Ref != "topic" || !strings.HasPrefix(shown.TargetURL, "http://"+s.Addr().String()+"/executions/") {
		t.Errorf("%+v", shown)
	}
	if hook.Failures > 1 {
		t.Errorf("%d deliveries in a row were refused", hook.Failures)
	}
}

// Who does not know the secret starts nothing.
func TestGitLabIsProved(t *testing.T) {
	host := gitlabtest.New(t)
	p := host.Project("acme/platform/api")
	s := startWith(t, t.TempDir(), fmt.Sprintf(gitLabSettings, host.Secret, secret, host.URL), instant)
	address := "http://" + s.Addr().String() + "/webhooks/gitlab"
	stranger, genuine := p.Hook(address, "a guess"), p.Hook(address, secret)
	sha := p.Chain("main", 1)
	p.Push()
	if stranger.Failures != 1 || genuine.Failures != 0 {
		t.Errorf("%d and %d refusals", stranger.Failures, genuine.Failures)
	}
	s.once(t, sha...)
}
