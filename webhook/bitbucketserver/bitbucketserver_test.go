package bitbucketserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/bitbucketserver"
)

const (
	secret = "It's a Secret to Everybody"
	zeros  = "0000000000000000000000000000000000000000"
)

// delivery is a file of testdata: what Bitbucket Data Center sends by its documentation,
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

func newSource(t testing.TB) *bitbucketserver.Source {
	t.Helper()
	s, err := bitbucketserver.New(bitbucketserver.Config{Secrets: []string{"an older secret", secret}})
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
				compare(t, name, &evs[i], &w)
			}
		})
	}
}

func compare(t *testing.T, name string, ev *event.Event, w *truth) {
	t.Helper()
	if ev.Ref != w.Ref || ev.Sender != "ada" {
		t.Errorf("%+v", ev)
	}
	if r := ev.Repository; r.FullName != "ACME/app" || r.CloneURL != "https://bitbucket.example.test/scm/ACME/app.git" || r.HTMLURL != "https://bitbucket.example.test/projects/ACME/repos/app" {
		t.Errorf("%+v", r)
	}
	if got := ev.Before; got != strings.ReplaceAll(w.Before, zeros, "") {
		t.Errorf("before %s, want %s", got, w.Before)
	}
	if w.After == zeros {
		if ev.Kind != event.Delete || ev.After != "" || !slices.Equal(shas(ev.Commits), []string{w.Before}) || ev.Truncated {
			t.Errorf("a deletion is %+v", ev)
		}
		return
	}
	if ev.Kind != event.Push {
		t.Errorf("kind %s", ev.Kind)
	}
	if strings.HasPrefix(ev.Ref, "refs/tags/") {
		// Whether it is the tag's ID or the commit's is not said.
		if ev.Head != w.After || ev.After != "" || len(ev.Commits) > 0 || !ev.Truncated {
			t.Errorf("a tag is %+v", ev)
		}
		return
	}
	want := []string{w.After}
	switch name {
	case "02":
		want = w.Commits
	case "03":
		want = w.Commits[7:]
	}
	if got := shas(ev.Commits); ev.After != w.After || !slices.Equal(got, want) || ev.Truncated != (name != "02") {
		t.Errorf("after %s, commits %v, truncated %v; want %v", ev.After, got, ev.Truncated, want)
	}
	for _, c := range ev.Commits {
		if c.MessageKnown != (name == "02" || name == "03") || c.PathsKnown || !c.Distinct || c.URL != "https://bitbucket.example.test/projects/ACME/repos/app/commits/"+c.SHA {
			t.Errorf("%+v", c)
		}
	}
}

// A list that leads back to where the branch was is whole; the host does not say.
func TestListIsWholeWhereNothingLeadsOnFromIt(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("%040x", n) }
	type commit struct {
		ID      string           `json:"id"`
		Message string           `json:"message"`
		Parents []map[string]any `json:"parents"`
	}
	made := func(n int, parents ...int) commit {
		c := commit{ID: strings.ToUpper(id(n)), Message: "m", Parents: []map[string]any{}}
		for _, p := range parents {
			c.Parents = append(c.Parents, map[string]any{"id": id(p)})
		}
		return c
	}
	for name, row := range map[string]struct {
		before    int
		commits   []commit
		want      []string
		truncated bool
	}{
		"one":                       {before: 1, commits: []commit{made(9, 1)}, want: []string{id(9)}},
		"three":                     {before: 1, commits: []commit{made(9, 3), made(3, 2), made(2, 1)}, want: []string{id(2), id(3), id(9)}},
		"oldest first":              {before: 1, commits: []commit{made(2, 1), made(3, 2), made(9, 3)}, want: []string{id(2), id(3), id(9)}},
		"a merge within":            {before: 1, commits: []commit{made(9, 2, 3), made(3, 1), made(2, 1)}, want: []string{id(2), id(3), id(9)}},
		"a merge of older commits":  {before: 1, commits: []commit{made(9, 1, 7)}, want: []string{id(9)}, truncated: true},
		"forced":                    {before: 8, commits: []commit{made(9, 1)}, want: []string{id(9)}, truncated: true},
		"cut":                       {before: 1, commits: []commit{made(9, 5), made(5, 4)}, want: []string{id(5), id(9)}, truncated: true},
		"created":                   {commits: []commit{made(9, 5)}, want: []string{id(9)}, truncated: true},
		"created, the first":        {commits: []commit{made(9)}, want: []string{id(9)}, truncated: true},
		"without the head":          {before: 1, commits: []commit{made(2, 1)}, want: []string{id(2), id(9)}, truncated: true},
		"parents that are left out": {before: 1, commits: []commit{made(9)}, want: []string{id(9)}, truncated: true},
		"none":                      {before: 1, want: []string{id(9)}, truncated: true},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{
				"repository": map[string]any{"slug": "app", "project": map[string]any{"key": "~ADA"}},
				"changes":    []any{map[string]any{"ref": map[string]any{"id": "refs/heads/main"}, "fromHash": id(row.before), "toHash": id(9)}},
				"commits":    row.commits,
			})
			if err != nil {
				t.Fatal(err)
			}
			ev, err := newSource(t).Decode(http.Header{"X-Event-Key": {"repo:refs_changed"}, "X-Request-Id": {"d"}}, body)
			if got := shas(ev.Commits); err != nil || !slices.Equal(got, row.want) || ev.Truncated != row.truncated || ev.Repository.FullName != "~ADA/app" {
				t.Errorf("%v, truncated %v, %+v, %v; want %v", got, ev.Truncated, ev.Repository, err, row.want)
			}
		})
	}
}

func TestTagWhoseCommitIsTold(t *testing.T) {
	d, h := load(t, "09")
	commit := d.truths(t)[0].AfterCommit
	body := strings.TrimSuffix(strings.TrimSpace(string(d.Body)), "}") + `,"toCommit":{"id":"` + commit + `","message":"Release"}}`
	ev, err := newSource(t).Decode(h, []byte(body))
	if err != nil || ev.After != commit || ev.Truncated || len(ev.Commits) != 1 || ev.Commits[0].SHA != commit || ev.Commits[0].Message != "Release" {
		t.Errorf("%+v %v", ev, err)
	}
}

func TestSeveralRefsHaveIDsThatStay(t *testing.T) {
	d, h := load(t, "07")
	for range 2 {
		evs, err := newSource(t).DecodeAll(h, d.Body)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{".1", ".2", ".3"} {
			if evs[i].DeliveryID != h.Get("X-Request-Id")+want {
				t.Error(evs[i].DeliveryID)
			}
		}
	}
	if _, err := newSource(t).Decode(h, d.Body); err == nil {
		t.Error("Decode chose one of several refs")
	}
}

func TestPullRequests(t *testing.T) {
	for name, action := range map[string]string{
		"20": "opened", "21": "synchronize", "22": "synchronize", "23": "ready_for_review", "24": "edited", "25": "opened",
		"26": "ready_for_review", "29": "closed", "30": "closed", "31": "closed", "40": "opened", "41": "synchronize",
	} {
		t.Run(name, func(t *testing.T) {
			d, h := load(t, name)
			ev, err := newSource(t).Decode(h, d.Body)
			if err != nil {
				t.Fatal(err)
			}
			w := d.truths(t)[0]
			pr := ev.PullRequest
			if ev.Kind != event.PullRequest || ev.Action != action || ev.Ref != "refs/heads/"+w.Ref || pr.Base != w.BaseRef || pr.Fork != w.Fork || ev.Repository.FullName != "ACME/app" {
				t.Errorf("%+v %+v", ev, pr)
			}
			if ev.After != w.After || !slices.Equal(shas(ev.Commits), []string{w.After}) || ev.Truncated != (action != "closed") {
				t.Errorf("after %q, commits %v, truncated %v", ev.After, ev.Commits, ev.Truncated)
			}
			former := ""
			if action == "edited" {
				former = "main"
			}
			if pr.Merged != (name == "29") || pr.Draft != (name == "25") || (pr.HeadRepo == "~BEN/app") != w.Fork || pr.OldBase != former {
				t.Errorf("%+v", pr)
			}
		})
	}
}

func TestDraftThatStaysOneIsIgnored(t *testing.T) {
	d, h := load(t, "26")
	body := strings.Replace(string(d.Body), `"draft": false`, `"draft": true`, 1)
	if _, err := newSource(t).Decode(h, []byte(body)); !errors.As(err, new(*webhook.Ignored)) {
		t.Error(err)
	}
}

func TestOthersAreIgnored(t *testing.T) {
	for _, name := range []string{"27", "28", "50", "51", "52"} {
		d, h := load(t, name)
		evs, err := newSource(t).DecodeAll(h, d.Body)
		if ignored := new(webhook.Ignored); !errors.As(err, &ignored) || len(evs) != 1 || evs[0].DeliveryID == "" {
			t.Errorf("%s: %v %v", name, evs, err)
		}
	}
}

// The button "Test connection" signs nothing. Nothing else gets through with it.
func TestPingGoesUnsignedAndNothingElseDoes(t *testing.T) {
	s := newSource(t)
	d, h := load(t, "15")
	if err := errors.Join(s.Precheck(h), s.Verify(h, d.Body)); err != nil {
		t.Error(err)
	}
	if _, err := s.DecodeAll(h, d.Body); !errors.As(err, new(*webhook.Ignored)) {
		t.Error(err)
	}
	push, _ := load(t, "01")
	for _, body := range []string{string(push.Body), `{"test": false}`, `{}`, ``, `{"test": true, "changes": []}` + strings.Repeat(" ", 300)} {
		if err := s.Verify(h, []byte(body)); !errors.Is(err, webhook.ErrSignatureMissing) {
			t.Errorf("%.40s: %v", body, err)
		}
	}
	// One that claims a signature has to have it.
	for _, signature := range []string{"", "sha256=" + strings.Repeat("0", 64)} {
		signed := h.Clone()
		signed["X-Hub-Signature"] = []string{signature}
		if err := s.Verify(signed, d.Body); err == nil {
			t.Errorf("%q passed", signature)
		}
	}
	signed := h.Clone()
	signed.Set("X-Hub-Signature", webhook.Sign(secret, d.Body))
	if err := errors.Join(s.Precheck(signed), s.Verify(signed, d.Body)); err != nil {
		t.Error(err)
	}
	// A push that another header calls a ping is a ping, and nothing more.
	both := http.Header{"X-Event-Key": {"repo:refs_changed", "diagnostics:ping"}}
	if err := s.Precheck(both); err == nil {
		t.Error("an unsigned push passed as a ping")
	}
}

// A comment asks for something on a line of its own, in the name of who wrote it.
func TestCommandsInComments(t *testing.T) {
	d, h := load(t, "28")
	said := func(text string) string {
		return strings.Replace(string(d.Body), `"text": "/test please"`, `"text": "`+text+`"`, 1)
	}
	ev, err := newSource(t).Decode(h, []byte(said("/switchyard rerun branches")))
	if err != nil {
		t.Fatal(err)
	}
	want := &event.Order{Verb: event.Rerun, Route: "branches", PullRequest: 1, Comment: "62"}
	if ev.Kind != event.Command || ev.Sender != "ada" || ev.Repository.FullName != "ACME/app" || *ev.Command != *want || len(ev.Commits) > 0 {
		t.Errorf("%+v %+v", ev, ev.Command)
	}
	if _, err := newSource(t).Decode(h, []byte(said("> /switchyard rerun"))); !errors.As(err, new(*webhook.Ignored)) {
		t.Error(err)
	}
	// One who only passes on what another wrote asks for nothing.
	other := strings.Replace(said("/switchyard rerun"), `"name": "ada"`, `"name": "adx"`, 1)
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
	if _, err := bitbucketserver.New(bitbucketserver.Config{}); err == nil {
		t.Error("no secret is taken for no verification")
	}
}

func TestBadDeliveriesSayWhatIsWrong(t *testing.T) {
	push, headers := load(t, "02")
	pr, prHeaders := load(t, "20")
	for name, row := range map[string]struct {
		pr       bool
		old, new string
		header   string
		want     string
	}{
		"no event":         {header: "X-Event-Key", want: "X-Event-Key"},
		"no delivery":      {header: "X-Request-Id", want: "X-Request-Id"},
		"hash":             {old: `"toHash": "2e9d`, new: `"toHash": "zz9d`, want: "changes[0].toHash"},
		"hash of a commit": {old: `"commits": [`, new: `"commits": [{"id": "bacd"},`, want: "changes[0].commits[0].id"},
		"ref":              {old: `"id": "refs/heads/main"`, new: `"id": "main"`, want: "changes[0].ref.id"},
		"nothing happened": {old: `"2e9d02cc035853dcf3a53ae3ea048b990a482ccb",
    "type": "UPDATE"`, new: `"` + zeros + `","fromHash_": ""`, want: ""},
		"repository": {old: `"slug": "app"`, new: `"slug": ""`, want: "repository.slug"},
		"a list":     {old: `"changes": [`, new: `"changes": 1, "was": [`, want: "changes"},
		"no number":  {pr: true, old: `"id": 1,`, new: `"id": 0,`, want: "pullRequest.id"},
		"no hash":    {pr: true, old: `"latestCommit": "930c`, new: `"latestCommit": "zz`, want: "pullRequest.fromRef.latestCommit"},
		"source":     {pr: true, old: `"id": "refs/heads/topic"`, new: `"id": "topic"`, want: "pullRequest.fromRef.id"},
		"base":       {pr: true, old: `"id": "refs/heads/main"`, new: `"id": "refs/tags/v1"`, want: "pullRequest.toRef.id"},
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
	for _, name := range []string{"02", "03", "05", "07", "09", "10", "15", "20", "24", "40", "28", "52"} {
		d, h := load(f, name)
		f.Add(h.Get("X-Event-Key"), []byte(d.Body))
	}
	s := newSource(f)
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		evs, err := s.DecodeAll(http.Header{"X-Event-Key": {key}, "X-Request-Id": {"d"}}, body)
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
