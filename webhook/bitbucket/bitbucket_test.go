package bitbucket_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/bitbucket"
)

const (
	secret = "It's a Secret to Everybody"
	zeros  = "0000000000000000000000000000000000000000"
)

// delivery is a file of testdata: what Bitbucket Cloud sends by its documentation,
// cut down, and what git did.
type delivery struct {
	Headers  map[string]string
	BodyText *string         `json:"body_text"`
	Body     json.RawMessage `json:"body"`
	Truth    json.RawMessage `json:"truth"`
}

// truth is what git did to one ref, or the head of a pull request.
type truth struct {
	Ref, Before, After string
	AfterCommit        string `json:"after_commit"`
	BaseRef            string `json:"base_ref"`
	Commits            []string
	BeforeToAfter      []string `json:"before_to_after"`
	Fork               bool
}

func load(t testing.TB, name string) (d delivery, h http.Header) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", name+"*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(name, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	h = http.Header{}
	for k, v := range d.Headers {
		h.Set(k, v)
	}
	return d, h
}

func (d *delivery) truths(t testing.TB) (all []truth) {
	t.Helper()
	var err error
	if strings.HasPrefix(string(d.Truth), "[") {
		err = json.Unmarshal(d.Truth, &all)
	} else {
		all = make([]truth, 1)
		err = json.Unmarshal(d.Truth, &all[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func newSource(t testing.TB) *bitbucket.Source {
	t.Helper()
	s, err := bitbucket.New(bitbucket.Config{Secrets: []string{"an older secret", secret}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shas(commits []event.Commit) (all []string) {
	for _, c := range commits {
		all = append(all, c.SHA)
	}
	return all
}

func TestPushesAreWhatGitDid(t *testing.T) {
	for _, name := range []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"} {
		t.Run(name, func(t *testing.T) {
			d, h := load(t, name)
			evs, err := newSource(t).DecodeAll(h, d.Body)
			want := d.truths(t)
			if err != nil || len(evs) != len(want) {
				t.Fatal(evs, err)
			}
			for i, w := range want {
				compare(t, &evs[i], &w)
			}
		})
	}
}

func compare(t *testing.T, ev *event.Event, w *truth) {
	t.Helper()
	if ev.Ref != w.Ref || ev.Repository.FullName != "acme/app" || ev.Repository.CloneURL != "https://bitbucket.org/acme/app.git" || ev.Sender != "ada" {
		t.Errorf("%+v", ev)
	}
	if got := ev.Before; got != strings.ReplaceAll(w.Before, zeros, "") {
		t.Errorf("before %s, want %s", got, w.Before)
	}
	after := w.After
	if w.AfterCommit != "" {
		after = w.AfterCommit
	}
	if w.After == zeros {
		if ev.Kind != event.Delete || ev.After != "" || !slices.Equal(shas(ev.Commits), []string{w.Before}) || ev.Truncated {
			t.Errorf("a deletion is %+v", ev)
		}
		return
	}
	if ev.Kind != event.Push || ev.After != after {
		t.Errorf("kind %s, after %s, want %s", ev.Kind, ev.After, after)
	}
	got, want := shas(ev.Commits), w.Commits
	switch {
	case strings.HasPrefix(ev.Ref, "refs/tags/"):
		want = []string{after}
	case len(w.BeforeToAfter) > 0 && !ev.Forced:
		want = w.BeforeToAfter
	}
	if ev.Truncated {
		want = want[len(want)-5:]
	}
	if !slices.Equal(got, want) || ev.Truncated != (len(w.Commits) > 5) {
		t.Errorf("commits %v, truncated %v; want %v", got, ev.Truncated, want)
	}
	for _, c := range ev.Commits {
		if !c.MessageKnown || c.PathsKnown || !c.Distinct || c.Author != "ada" || c.AuthorEmail != "ada@example.test" || c.URL != "https://bitbucket.org/acme/app/commits/"+c.SHA {
			t.Errorf("%+v", c)
		}
	}
}

func TestForcedPushSaysSo(t *testing.T) {
	for name, want := range map[string]bool{"01": false, "06": true} {
		d, h := load(t, name)
		if ev, err := newSource(t).Decode(h, d.Body); err != nil || ev.Forced != want {
			t.Errorf("%s: %v %v", name, ev.Forced, err)
		}
	}
}

func TestSeveralRefsHaveIDsThatStay(t *testing.T) {
	d, h := load(t, "07")
	for _, attempt := range []string{"1", "2"} {
		h.Set("X-Attempt-Number", attempt)
		evs, err := newSource(t).DecodeAll(h, d.Body)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{".1", ".2", ".3"} {
			if evs[i].DeliveryID != h.Get("X-Request-UUID")+want {
				t.Errorf("attempt %s: %s", attempt, evs[i].DeliveryID)
			}
		}
	}
	if _, err := newSource(t).Decode(h, d.Body); err == nil {
		t.Error("Decode chose one of several refs")
	}
	first, h1 := load(t, "01")
	again, h2 := load(t, "12")
	one, err := newSource(t).Decode(h1, first.Body)
	if err != nil {
		t.Fatal(err)
	}
	two, err := newSource(t).Decode(h2, again.Body)
	if err != nil || one.DeliveryID != two.DeliveryID || h1.Get("X-Attempt-Number") == h2.Get("X-Attempt-Number") {
		t.Errorf("%q, then %q, %v", one.DeliveryID, two.DeliveryID, err)
	}
}

func TestPullRequests(t *testing.T) {
	for name, action := range map[string]string{
		"20": "opened", "21": "synchronize", "22": "synchronize", "23": "synchronize", "24": "synchronize", "25": "opened",
		"26": "synchronize", "30": "closed", "31": "closed", "40": "opened", "41": "synchronize", "42": "closed",
	} {
		t.Run(name, func(t *testing.T) {
			d, h := load(t, name)
			ev, err := newSource(t).Decode(h, d.Body)
			if err != nil {
				t.Fatal(err)
			}
			w := d.truths(t)[0]
			pr := ev.PullRequest
			if ev.Kind != event.PullRequest || ev.Action != action || ev.Ref != "refs/heads/"+w.Ref || pr.Base != w.BaseRef || pr.Fork != w.Fork {
				t.Errorf("%+v %+v", ev, pr)
			}
			// Nothing may start under what is only the beginning of an ID.
			if ev.Head != w.After[:12] || ev.After != "" || len(ev.Commits) > 0 || !ev.Truncated || pr.BaseSHA != "" {
				t.Errorf("head %q, after %q, commits %v, truncated %v", ev.Head, ev.After, ev.Commits, ev.Truncated)
			}
			if pr.Merged != (name == "30") || pr.Draft != (name == "25") || (pr.HeadRepo == "ben/app") != (name == "40" || name == "41") {
				t.Errorf("%+v", pr)
			}
		})
	}
}

// A branch that is made at a known commit, or moved back, has an empty list: its
// head stands for it, and is not new. No list at all is another matter.
func TestBranchThatGainsNothing(t *testing.T) {
	d, h := load(t, "03")
	var m map[string]any
	if err := json.Unmarshal(d.Body, &m); err != nil {
		t.Fatal(err)
	}
	change := m["push"].(map[string]any)["changes"].([]any)[0].(map[string]any)
	for name, row := range map[string]struct {
		commits             any
		distinct, truncated bool
	}{
		"empty": {commits: []any{}},
		"none":  {commits: nil, distinct: true, truncated: true},
	} {
		change["commits"] = row.commits
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := newSource(t).Decode(h, body)
		if err != nil || len(ev.Commits) != 1 || ev.Commits[0].SHA != ev.After || ev.Commits[0].Distinct != row.distinct || ev.Truncated != row.truncated {
			t.Errorf("%s: %+v %v", name, ev, err)
		}
	}
}

func TestFullHeadIsTakenAsItIs(t *testing.T) {
	d, h := load(t, "20")
	full := d.truths(t)[0].After
	body := strings.Replace(string(d.Body), full[:12]+`"`, strings.ToUpper(full)+`"`, 1)
	ev, err := newSource(t).Decode(h, []byte(body))
	if err != nil || ev.After != full || ev.Head != "" || !slices.Equal(shas(ev.Commits), []string{full}) || !ev.Truncated {
		t.Errorf("%+v %v", ev, err)
	}
}

func TestOthersAreIgnored(t *testing.T) {
	for _, name := range []string{"27", "28", "29", "50", "51", "52"} {
		d, h := load(t, name)
		evs, err := newSource(t).DecodeAll(h, d.Body)
		if ignored := new(webhook.Ignored); !errors.As(err, &ignored) || len(evs) != 1 || evs[0].DeliveryID == "" {
			t.Errorf("%s: %v %v", name, evs, err)
		}
	}
}

// A comment asks for something on a line of its own, in the name of who wrote it.
func TestCommandsInComments(t *testing.T) {
	d, h := load(t, "29")
	said := func(text string) string {
		return strings.Replace(string(d.Body), `"raw": "/test please"`, `"raw": "`+text+`"`, 1)
	}
	ev, err := newSource(t).Decode(h, []byte(said("/switchyard rerun branches")))
	if err != nil {
		t.Fatal(err)
	}
	want := &event.Order{Verb: event.Rerun, Route: "branches", PullRequest: 1, Comment: "17"}
	if ev.Kind != event.Command || ev.Sender != "712020:c4e620c8-76bb-5b49-8907-d2c68a83b4c5" || ev.Repository.FullName != "acme/app" || *ev.Command != *want || len(ev.Commits) > 0 {
		t.Errorf("%+v %+v", ev, ev.Command)
	}
	if _, err := newSource(t).Decode(h, []byte(said("> /switchyard rerun"))); !errors.As(err, new(*webhook.Ignored)) {
		t.Error(err)
	}
	// One who only passes on what another wrote asks for nothing.
	other := said("/switchyard rerun")
	last := strings.LastIndex(other, `"account_id": "712020:c4e6`)
	other = other[:last] + strings.Replace(other[last:], "712020:c4e6", "712020:c4e7", 1)
	if _, err := newSource(t).Decode(h, []byte(other)); err == nil || errors.As(err, new(*webhook.Ignored)) || !strings.Contains(err.Error(), "actor") {
		t.Error(err)
	}
}

func TestSignatureVector(t *testing.T) {
	d, h := load(t, "90")
	body := []byte(*d.BodyText)
	s := newSource(t)
	if err := s.Verify(h, body); err != nil {
		t.Error(err)
	}
	if err := s.Verify(h, append(body, ' ')); !errors.Is(err, webhook.ErrSignatureMismatch) {
		t.Error(err)
	}
	h.Del("X-Hub-Signature")
	if err := s.Precheck(h); !errors.Is(err, webhook.ErrSignatureMissing) || !strings.Contains(err.Error(), "X-Hub-Signature") {
		t.Error(err)
	}
	if _, err := bitbucket.New(bitbucket.Config{}); err == nil {
		t.Error("no secret is taken for no verification")
	}
}

func TestBadDeliveriesSayWhatIsWrong(t *testing.T) {
	push, headers := load(t, "01")
	pr, prHeaders := load(t, "20")
	for name, row := range map[string]struct {
		pr       bool
		old, new string
		header   string
		want     string
	}{
		"no event":         {header: "X-Event-Key", want: "X-Event-Key"},
		"no delivery":      {header: "X-Request-UUID", want: "X-Request-UUID"},
		"hash of a commit": {old: `"hash": "bacd1802c915ee81ee39000023f5918a8f17e799"`, new: `"hash": "bacd"`, want: "push.changes[0].commits[1].hash"},
		"name":             {old: `"name": "main"`, new: `"name": "a\nb"`, want: "push.changes[0].new.name"},
		"no name":          {old: `"name": "main"`, new: `"name": ""`, want: "push.changes[0].new.name"},
		"neither":          {old: `"new": {`, new: `"new": null, "was": {`, want: ""},
		"repository":       {old: `"full_name": "acme/app"`, new: `"full_name": "app"`, want: "repository.full_name"},
		"a list":           {old: `"changes": [`, new: `"changes": 1, "was": [`, want: "push.changes"},
		"no number":        {pr: true, old: `"id": 1`, new: `"id": 0`, want: "pullrequest.id"},
		"no hash":          {pr: true, old: `"hash": "930cbdc6323f"`, new: `"hash": "main"`, want: "pullrequest.source.commit.hash"},
		"source":           {pr: true, old: `"name": "topic"`, new: `"name": ""`, want: "pullrequest.source.branch.name"},
	} {
		t.Run(name, func(t *testing.T) {
			body, h := string(push.Body), headers.Clone()
			if row.pr {
				body, h = string(pr.Body), prHeaders.Clone()
			}
			if row.old != "" && !strings.Contains(body, row.old) {
				t.Fatalf("the delivery has no %s", row.old)
			}
			body = strings.ReplaceAll(body, row.old, row.new)
			h.Del(row.header)
			evs, err := newSource(t).DecodeAll(h, []byte(body))
			if row.want == "" { // a deletion by its look
				if err != nil || evs[0].Kind != event.Delete {
					t.Error(evs, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want a word on %s", err, row.want)
			}
		})
	}
	headers.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := newSource(t).DecodeAll(headers, push.Body); !errors.As(err, new(*webhook.MediaTypeError)) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"02", "05", "06", "07", "09", "10", "20", "30", "42", "29", "50"} {
		d, h := load(f, name)
		f.Add(h.Get("X-Event-Key"), []byte(d.Body))
	}
	s := newSource(f)
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		evs, err := s.DecodeAll(http.Header{"X-Event-Key": {key}, "X-Request-Uuid": {"d"}}, body)
		if err != nil {
			return
		}
		for _, ev := range evs {
			if ev.Kind == event.Command && ev.Command != nil && ev.Sender != "" {
				continue
			}
			if ev.DeliveryID == "" || ev.Branch() == "" && ev.Tag() == "" || ev.Repository.FullName == "" || len(ev.Commits) == 0 && !ev.Truncated {
				t.Errorf("incomplete: %+v", ev)
			}
			for _, c := range append(shas(ev.Commits), ev.After, ev.Before) {
				if c != "" && len(c) != 40 && len(c) != 64 {
					t.Errorf("commit %q", c)
				}
			}
		}
	})
}
