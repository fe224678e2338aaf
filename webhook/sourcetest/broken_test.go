package sourcetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/git"
	"switchyard/webhook/sourcetest"
)

// broken is a source of plain git servers with one fault.
type broken struct {
	*git.Source
	verify func(error) error
	decode func(*event.Event, error) error
}

func (b *broken) Verify(h http.Header, body []byte) error {
	err := b.Source.Verify(h, body)
	if b.verify != nil {
		return b.verify(err)
	}
	return err
}

func (b *broken) Decode(h http.Header, body []byte) (event.Event, error) {
	ev, err := b.Source.Decode(h, body)
	if b.decode != nil {
		err = b.decode(&ev, err)
	}
	return ev, err
}

// faults are what a source can get wrong, and the parts of the suite that find
// it.
var faults = map[string]struct {
	source broken
	found  []string
}{
	"none":                {found: nil},
	"takes any signature": {source: broken{verify: func(error) error { return nil }}, found: []string{"Proof/none", "Proof/a_changed_body", "Proof/another_last_character"}},
	"tells the signature": {source: broken{verify: func(err error) error {
		if err != nil {
			err = fmt.Errorf("%w: expected %s", err, os.Getenv("SOURCETEST_SIGNATURE"))
		}
		return err
	}}, found: []string{"Proof/none"}},
	"newest first": {source: broken{decode: func(ev *event.Event, err error) error { slices.Reverse(ev.Commits); return err }}, found: []string{"Push"}},
	"leaves one out in silence": {source: broken{decode: func(ev *event.Event, err error) error {
		if len(ev.Commits) > 1 {
			ev.Commits = ev.Commits[1:]
		}
		return err
	}}, found: []string{"Push", "NewBranch"}},
	"truncated for nothing": {source: broken{decode: func(ev *event.Event, err error) error { ev.Truncated = true; return err }}, found: []string{"Push"}},
	"a wrong total":         {source: broken{decode: func(ev *event.Event, err error) error { ev.Total = 99; return err }}, found: []string{"Push"}},
	"no before":             {source: broken{decode: func(ev *event.Event, err error) error { ev.Before = ""; return err }}, found: []string{"Push"}},
	"never forced":          {source: broken{decode: func(ev *event.Event, err error) error { ev.Forced = false; return err }}, found: []string{"ForcedPush"}},
	"wrong paths": {source: broken{decode: func(ev *event.Event, err error) error {
		for i := range ev.Commits {
			ev.Commits[i].Paths = append(ev.Commits[i].Paths, "x")
		}
		return err
	}}, found: []string{"Push"}},
	"paths forgotten": {source: broken{decode: func(ev *event.Event, err error) error {
		for i := range ev.Commits {
			ev.Commits[i].Paths, ev.Commits[i].PathsKnown = nil, false
		}
		return err
	}}, found: []string{"Push"}},
	"a deletion is a push": {source: broken{decode: func(ev *event.Event, err error) error { ev.Kind = event.Push; return err }}, found: []string{"BranchDeleted"}},
	"another ID each time": {source: broken{decode: func(ev *event.Event, err error) error {
		calls++
		ev.DeliveryID += fmt.Sprint(calls)
		return err
	}}, found: []string{"SentTwice", "Redelivery"}},
	"one ID for all": {source: broken{decode: func(ev *event.Event, err error) error { ev.DeliveryID = "same"; return err }}, found: []string{"SentTwice"}},
	"repairs names": {source: broken{decode: func(ev *event.Event, err error) error {
		ev.Ref = strings.ToLower(strings.Map(plain, ev.Ref))
		return err
	}}, found: []string{"HostileNames"}},
	"takes hostile names": {source: broken{decode: func(ev *event.Event, err error) error {
		if strings.Contains(fmt.Sprint(err), "repository.name") {
			return nil
		}
		return err
	}}, found: []string{"HostileNames"}},
	"shows control characters": {source: broken{decode: func(_ *event.Event, err error) error {
		if err != nil {
			err = errors.New("\x1b[2J")
		}
		return err
	}}, found: []string{"HostileNames"}},
	"refuses a genuine one": {source: broken{decode: func(ev *event.Event, err error) error {
		if ev.Tag() != "" {
			err = errors.New("no")
		}
		return err
	}}, found: []string{"Tag", "TagDeleted"}},
}

var calls int

func plain(r rune) rune {
	if r > 0x7f || strings.ContainsRune("$()<>", r) {
		return '_'
	}
	return r
}

// The suite finds each fault. Since a part that fails fails its test, it runs in
// a process of its own, which is this one once more.
func TestSuiteFindsFaults(t *testing.T) {
	if name := os.Getenv("SOURCETEST_FAULT"); name != "" {
		runSuite(t, name)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteFindsFaults$", "-test.v")
			cmd.Env = append(os.Environ(), "SOURCETEST_FAULT="+name)
			out, err := cmd.CombinedOutput()
			failed := map[string]bool{}
			for _, m := range regexp.MustCompile(`--- FAIL: TestSuiteFindsFaults/(\S+)`).FindAllSubmatch(out, -1) {
				failed[string(m[1])] = true
			}
			want := faults[name].found
			if (err != nil) != (len(want) > 0) {
				t.Errorf("it ends with %v:\n%s", err, out)
			}
			for _, part := range want {
				if !failed[part] {
					t.Errorf("%s does not find it; what does: %v", part, slices.Sorted(maps.Keys(failed)))
				}
			}
		})
	}
}

func runSuite(t *testing.T, fault string) {
	const secret = "s"
	sound, err := git.New(git.Config{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	source := faults[fault].source
	source.Source = sound
	id := func(n int) string { return fmt.Sprintf("%040x", 0xabc000+n) }
	sent := 0
	send := func(repository, ref, before, after string, forced bool, gained ...string) sourcetest.Delivery {
		sent++
		p := git.Payload{Repository: git.Repository{Name: repository}, Ref: ref, Before: before, After: after, Forced: forced}
		truth := sourcetest.Truth{Repository: repository, Ref: ref, Before: before, After: after, Commits: gained, Forced: forced, Paths: map[string][]string{}}
		for _, zero := range []*string{&p.Before, &p.After} {
			if *zero == "" {
				*zero = strings.Repeat("0", 40)
			}
		}
		for _, c := range gained {
			truth.Paths[c] = []string{"a"}
			p.Commits = append(p.Commits, git.Commit{ID: c, Distinct: true, Paths: truth.Paths[c]})
		}
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set(git.HeaderDelivery, fmt.Sprint("d-", sent))
		h.Set(git.HeaderSignature, webhook.Sign(secret, body))
		return sourcetest.Delivery{Header: h, Body: body, Truth: []sourcetest.Truth{truth}}
	}
	push := send("acme/api", "refs/heads/main", id(0), id(2), false, id(1), id(2))
	t.Setenv("SOURCETEST_SIGNATURE", push.Header.Get(git.HeaderSignature))
	deliveries := map[sourcetest.Case]sourcetest.Delivery{
		sourcetest.Push: push, sourcetest.Redelivery: push,
		sourcetest.NewBranch:     send("acme/api", "refs/heads/a", "", id(2), false, id(1), id(2)),
		sourcetest.ForcedPush:    send("acme/api", "refs/heads/a", id(9), id(1), true, id(1)),
		sourcetest.BranchDeleted: send("acme/api", "refs/heads/a", id(9), "", false),
		sourcetest.Tag:           send("acme/api", "refs/tags/v1", "", id(2), false),
		sourcetest.TagDeleted:    send("acme/api", "refs/tags/v1", id(2), "", false),
	}
	without := map[sourcetest.Case]string{}
	for _, c := range []sourcetest.Case{
		sourcetest.Ping, sourcetest.PushOverTheLimit, sourcetest.NewBranchOverTheLimit, sourcetest.NewBranchWithoutCommit, sourcetest.MergeOfKnownCommits,
		sourcetest.ForcedBack, sourcetest.AnnotatedTag, sourcetest.SeveralRefs, sourcetest.PullRequestOpened, sourcetest.PullRequestDraft, sourcetest.PullRequestPushed,
		sourcetest.PullRequestRetargeted, sourcetest.PullRequestReady, sourcetest.PullRequestLabeled, sourcetest.PullRequestEdited, sourcetest.PullRequestClosed,
		sourcetest.PullRequestMerged, sourcetest.PullRequestReopened, sourcetest.PullRequestFork, sourcetest.PullRequestForkGone, sourcetest.RepositoryRenamed, sourcetest.StatusPosted,
	} {
		without[c] = "not looked at here"
	}
	sourcetest.Run(t, sourcetest.Host{
		Source: &source, Proof: []string{git.HeaderSignature}, Deliveries: deliveries, Without: without,
		Named: func(branch, repository string) sourcetest.Delivery {
			return send(repository, "refs/heads/"+branch, id(0), id(1), false, id(1))
		},
	})
}
