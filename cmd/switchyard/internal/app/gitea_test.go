package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"switchyard/internal/giteatest"
)

const giteaSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  gitea: {secrets: [%q], token: of the bot, base_url: %q}
state_machines: {test: {definition: test.asl.json}}
status: {per_minute: 0, per_hour: 0}
audit: {grace: 0s}
routes:
  - {name: all, on: [push, pull_request], branches: ["**"], state_machine: test, commits: every}
`

// giteaService is a service and the Gitea that it is configured for.
func giteaService(t *testing.T) (*service, *giteatest.Server, *giteatest.Repo) {
	t.Helper()
	host := giteatest.New(t)
	host.AddToken(giteatest.Token{Text: "of the bot", Login: "bot", Scopes: []string{"write:repository", "write:issue"}})
	repo := host.AddRepo("acme/api")
	repo.Private = true
	repo.Allow("bot", "admin")
	repo.Chain("main", 2)
	repo.Push() // before there was a webhook
	s := startWith(t, t.TempDir(), fmt.Sprintf(giteaSettings, secret, host.URL), instant)
	repo.AddHook("http://"+s.Addr().String()+"/webhooks/gitea", secret)
	return s, host, repo
}

func taken(t *testing.T, sent []giteatest.Delivery) {
	t.Helper()
	for _, d := range sent {
		if d.Status != http.StatusAccepted && (d.Event != "create" || d.Status != http.StatusOK) {
			t.Errorf("%s is answered %d", d.Type, d.Status)
		}
	}
}

// Of twelve commits a delivery lists five, the newest first, and of a new branch
// it does not even count them: each runs, and each has its status.
func TestEveryCommitOfAGiteaRunsAndHasItsStatus(t *testing.T) {
	s, _, repo := giteaService(t)
	main := repo.Chain("main", 12)
	taken(t, repo.Push())
	repo.Git("branch", "topic", main[0])
	topic := repo.Chain("topic", 11)
	taken(t, repo.Push())
	all := slices.Concat(main, topic)
	s.once(t, all...)
	eventually(t, "a status of success for each", func() bool {
		last := map[string]string{}
		for _, p := range repo.Statuses() {
			if p.Context == "switchyard/all" {
				last[p.SHA] = p.State
			}
		}
		return !slices.ContainsFunc(all, func(sha string) bool { return last[sha] != "success" }) && len(last) == len(all)
	})
}

// The event of a pull request names its head; the others are asked of the host.
func TestEveryCommitOfAGiteaPullRequestRuns(t *testing.T) {
	s, host, repo := giteaService(t)
	main, err := repo.Tip("main")
	if err != nil {
		t.Fatal(err)
	}
	repo.Git("branch", "topic", main)
	own := repo.Chain("topic", 3)
	host.Lose(func(d giteatest.Delivery) bool { return d.Event != "pull_request" })
	repo.Push()
	repo.OpenPull(repo, "topic", "main", "A topic", "ada")
	s.once(t, own...)
}

// What the host never delivered, an audit finds.
func TestAuditHealsWhatAGiteaLost(t *testing.T) {
	s, host, repo := giteaService(t)
	first := repo.Chain("main", 1)
	taken(t, repo.Push())
	s.once(t, first...)
	if _, sums := s.audited(t, url.Values{"heal": {"true"}}); len(sums) != 1 || sums[0].Error != "" {
		t.Fatalf("%+v", sums)
	}
	host.Lose(func(giteatest.Delivery) bool { return true })
	lost := repo.Chain("main", 7)
	repo.Push()
	repo.Git("branch", "topic", lost[0])
	lost = append(lost, repo.Chain("topic", 2)...)
	repo.Push()
	s.audited(t, url.Values{"heal": {"true"}})
	s.once(t, slices.Concat(first, lost)...)
}

// A person who may write gives a command in a comment, and is answered below it;
// for others nothing is done.
func TestCommandInACommentAtAGitea(t *testing.T) {
	s, _, repo := giteaService(t)
	repo.Allow("wendy", "write")
	repo.Chain("topic", 1)
	pr := repo.OpenPull(repo, "topic", "main", "A topic", "ada")
	head, err := repo.Tip("topic")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "an execution of the head", func() bool { return s.bySHA(t)[head] == 1 })
	s.settled(t, len(s.bySHA(t)))
	taken(t, pr.Say("wendy", "/switchyard rerun all"))
	eventually(t, "another attempt", func() bool { return s.bySHA(t)[head] == 2 })
	answers := func() int {
		return len(slices.DeleteFunc(repo.Comments(), func(c giteatest.Comment) bool { return c.Login != "bot" }))
	}
	eventually(t, "an answer", func() bool { return answers() == 1 })
	taken(t, pr.Say("eve", "/switchyard rerun all"))
	taken(t, pr.Say("wendy", "/switchyard explain"))
	eventually(t, "an answer to the next", func() bool { return answers() >= 2 })
	if n := s.bySHA(t)[head]; n != 2 {
		t.Errorf("%d executions, of which one is for somebody who may not write", n)
	}
}
