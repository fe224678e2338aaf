package giteatest_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/internal/giteatest"
	"switchyard/webhook"
	"switchyard/webhook/gitea"
)

// The deliveries have the faults of the host's: what is listed is little and the
// newest first, and what a new branch brought is miscounted.
func TestDeliveriesLeaveOutWhatTheHostsDo(t *testing.T) {
	_, repo := host(t)
	source, err := gitea.New(gitea.Config{Secrets: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	repo.AddHook("http://127.0.0.1:1/nobody", "s")
	pushed := func() map[string]event.Event {
		t.Helper()
		all := map[string]event.Event{}
		for _, d := range repo.Push() {
			if err := source.Verify(d.Header, d.Body); err != nil {
				t.Fatal(err)
			}
			ev, err := source.Decode(d.Header, d.Body)
			var ignored *webhook.Ignored
			if errors.As(err, &ignored) && d.Event == "create" {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			all[ev.Branch()] = ev
		}
		return all
	}
	first := repo.Chain("main", 2)
	if ev := pushed()["main"]; len(ev.Commits) != 2 || ev.Truncated || ev.Commits[0].SHA != first[0] || !ev.Commits[0].PathsKnown {
		t.Errorf("the first push: %+v", ev)
	}
	more := repo.Chain("main", 12)
	if ev := pushed()["main"]; len(ev.Commits) != 5 || !ev.Truncated || ev.Total != 12 || ev.Commits[4].SHA != more[11] || ev.Before != first[1] {
		t.Errorf("12 commits: %+v", ev)
	}
	repo.Git("branch", "twelve", first[0])
	repo.Chain("twelve", 12)
	repo.Git("branch", "one", first[0])
	repo.Chain("one", 1)
	repo.Git("branch", "two", "one")
	evs := pushed()
	if ev := evs["twelve"]; len(ev.Commits) != 5 || !ev.Truncated || ev.Total != 0 || ev.Before != "" {
		t.Errorf("a new branch of 12 commits: %+v", ev)
	}
	for _, branch := range []string{"one", "two"} {
		if ev := evs[branch]; len(ev.Commits) != 1 || !ev.Truncated {
			t.Errorf("a commit on two new branches: %+v", ev)
		}
	}
	repo.Git("branch", "-D", "one")
	if ev := pushed()["one"]; ev.Kind != event.Delete {
		t.Errorf("a deleted branch: %+v", ev)
	}
}

// No member of a delivery is one that the host has not, and some of its deliveries
// are never sent.
func TestDeliveriesHaveTheHostsMembers(t *testing.T) {
	s, repo := host(t)
	repo.AddHook("http://127.0.0.1:1/nobody", "s")
	repo.Chain("main", 2)
	s.Lose(func(d giteatest.Delivery) bool { return d.Event == "create" })
	sent := repo.Push()
	if len(sent) != 2 || !sent[0].Lost || sent[1].Lost {
		t.Fatalf("%+v", sent)
	}
	for name, d := range map[string]giteatest.Delivery{"05-push-12-commits.push": sent[1], "03-new-branch-1-commit.create": sent[0]} {
		text, err := os.ReadFile("../../webhook/gitea/testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Request struct {
				Headers map[string]string `json:"headers"`
				Body    string            `json:"body"`
			} `json:"request"`
		}
		var want, got any
		if err := errors.Join(json.Unmarshal(text, &file), json.Unmarshal([]byte(file.Request.Body), &want), json.Unmarshal(d.Body, &got)); err != nil {
			t.Fatal(err)
		}
		for _, p := range differences("", want, got) {
			t.Errorf("%s: %s", name, p)
		}
		for header := range file.Request.Headers {
			if d.Header.Get(header) == "" && !strings.HasSuffix(header, "-Target-Type") && header != "User-Agent" {
				t.Errorf("%s: header %s is not there", name, header)
			}
		}
	}
}
