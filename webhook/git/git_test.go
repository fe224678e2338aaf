package git_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/git"
)

const secret = "a secret of the tests"

func newSource(t testing.TB) *git.Source {
	t.Helper()
	s, err := git.New(git.Config{Secrets: []string{"an older secret", secret}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set(git.HeaderDelivery, "6f1c")
	return h
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDecodePush(t *testing.T) {
	got, err := newSource(t).Decode(header(), read(t, "push.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		DeliveryID: "6f1c", Kind: event.Push, Ref: "refs/heads/feature/login", Forced: true, Sender: "ada",
		Before: "51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d", After: "b15e41ddf352520c1e1b35869371c7550b6bcacd",
		Repository: event.Repository{FullName: "acme/api-v2", CloneURL: "/srv/git/acme/api-v2.git", HTMLURL: "https://git.acme.example/api-v2", DefaultBranch: "main"},
		Commits: []event.Commit{
			{SHA: "7fd0c60790602276b351d77e6ec25faa006ae9bf", Message: "api: keep the old route for a release", MessageKnown: true,
				Author: "Björn Sørensen", AuthorEmail: "bjorn@acme.example", Paths: []string{}, PathsKnown: true},
			{SHA: "b15e41ddf352520c1e1b35869371c7550b6bcacd", Message: "api: check the session first\n\nIt was counted twice.", MessageKnown: true,
				Author: "Ada Lovett", AuthorEmail: "ada@acme.example", Distinct: true, Paths: []string{"api/v1/login.go", "docs/login.md"}, PathsKnown: true,
				URL: "https://git.acme.example/api-v2/commit/b15e41ddf352520c1e1b35869371c7550b6bcacd"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeDeletion(t *testing.T) {
	got, err := newSource(t).Decode(header(), read(t, "deleted.json"))
	if err != nil {
		t.Fatal(err)
	}
	const last = "b15e41ddf352520c1e1b35869371c7550b6bcacd"
	want := event.Event{
		DeliveryID: "6f1c", Kind: event.Delete, Ref: "refs/heads/feature/login", Before: last,
		Repository: event.Repository{FullName: "api-v2"}, Commits: []event.Commit{{SHA: last}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The document in the package comment is the one that is accepted.
func TestPayloadEncodesAsDocumented(t *testing.T) {
	var p git.Payload
	if err := json.Unmarshal(read(t, "push.json"), &p); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal(read(t, "push.json"), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPathsAreUnknownWhenNotSaid(t *testing.T) {
	body := strings.Replace(string(read(t, "push.json")), `"paths": []`, `"paths": null`, 1)
	ev, err := newSource(t).Decode(header(), []byte(body))
	if err != nil || ev.Commits[0].PathsKnown || !ev.Commits[1].PathsKnown {
		t.Errorf("%+v, %v", ev.Commits, err)
	}
}

func TestNoCommitsMeansTheHead(t *testing.T) {
	id := strings.Repeat("a", 64)
	body := `{"repository":{"name":"api"},"ref":"refs/heads/x","before":"` + strings.Repeat("0", 64) + `","after":"` + id + `"}`
	ev, err := newSource(t).Decode(header(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]event.Commit{{SHA: id}}, ev.Commits); diff != "" || ev.Before != "" {
		t.Errorf("before %q, %s", ev.Before, diff)
	}
}

func TestDecodeRefusesAndNamesTheField(t *testing.T) {
	good := string(read(t, "push.json"))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the payload has no %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, row := range map[string]struct{ body, want string }{
		"empty":            {"", "a JSON object"},
		"not JSON":         {"hello", "not JSON"},
		"truncated":        {good[:400], "ends"},
		"wrong shape":      {replace(`"acme/api-v2"`, `{}`), "repository.name: a JSON object"},
		"commits no list":  {`{"commits":1}`, "commits: a JSON number"},
		"nested":           {strings.Repeat("[", 100_000), "a JSON object"},
		"nested commits":   {`{"commits":` + strings.Repeat("[", 100_000), "deeper than 64"},
		"invalid UTF-8":    {replace("session", "\xff"), "invalid UTF-8"},
		"ref twice":        {replace(`"ref":`, `"ref":"refs/heads/main","ref":`), `"ref" is there twice`},
		"no repository":    {replace(`"name": "acme/api-v2"`, `"name": ""`), "repository.name"},
		"absolute path":    {replace(`"acme/api-v2"`, `"/srv/git/x"`), "repository.name"},
		"short ref":        {replace("refs/heads/feature/login", "feature/login"), "ref"},
		"before no ID":     {replace("51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d", "main"), "before"},
		"after no ID":      {replace(`"after": "b15e41dd`, `"after": "-15e41dd`), "after"},
		"commit ID no hex": {replace(`"id": "b15e41dd`, `"id": "x15e41dd`), "commits[1].id"},
		"zeros to zeros":   {strings.Replace(string(read(t, "deleted.json")), "b15e41ddf352520c1e1b35869371c7550b6bcacd", strings.Repeat("0", 40), 1), "both are zeros"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newSource(t).Decode(header(), []byte(row.body)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	s := newSource(t)
	h := header()
	h.Del(git.HeaderDelivery)
	if _, err := s.Decode(h, read(t, "push.json")); err == nil || !strings.Contains(err.Error(), git.HeaderDelivery) {
		t.Errorf("without a delivery ID: %v", err)
	}
	h = header()
	h.Set("Content-Type", "text/plain")
	var media *webhook.MediaTypeError
	if _, err := s.Decode(h, read(t, "push.json")); !errors.As(err, &media) {
		t.Errorf("text/plain: %v", err)
	}
	h = header()
	body := read(t, "push.json")
	if err := s.Verify(h, body); !errors.Is(err, webhook.ErrSignatureMissing) || !strings.Contains(err.Error(), git.HeaderSignature) {
		t.Errorf("unsigned: %v", err)
	}
	h.Set(git.HeaderSignature, webhook.Sign(secret, body))
	if err := s.Verify(h, body); err != nil {
		t.Error(err)
	}
}

func TestDecodeTag(t *testing.T) {
	body := `{"repository":{"name":"api"},"ref":"refs/tags/v1.2","before":"` + zeros + `","after":"` + sha('a') + `"}`
	ev, err := newSource(t).Decode(header(), []byte(body))
	if err != nil || ev.Kind != event.Push || ev.Tag() != "v1.2" || ev.After != sha('a') || len(ev.Commits) != 1 || ev.Commits[0].SHA != sha('a') {
		t.Errorf("%+v, %v", ev, err)
	}
	body = `{"repository":{"name":"api"},"ref":"refs/tags/v1.2","before":"` + sha('a') + `","after":"` + zeros + `"}`
	if ev, err := newSource(t).Decode(header(), []byte(body)); err != nil || ev.Kind != event.Delete || ev.Tag() != "v1.2" {
		t.Errorf("%+v, %v", ev, err)
	}
}

func TestOtherRefsAreIgnored(t *testing.T) {
	body := strings.Replace(string(read(t, "push.json")), "refs/heads/", "refs/notes/", 1)
	var ignored *webhook.Ignored
	if ev, err := newSource(t).Decode(header(), []byte(body)); !errors.As(err, &ignored) || ev.DeliveryID == "" {
		t.Errorf("error %v", err)
	}
}

func TestCommitsMustEndWithAfter(t *testing.T) {
	for name, row := range map[string]struct {
		after string
		list  string
		want  string // of the decoded commits, or in the error
	}{
		"oldest first":                 {sha('c'), "abc", "abc"},
		"newest first":                 {sha('c'), "cba", "abc"},
		"one":                          {sha('c'), "c", "c"},
		"upper case":                   {strings.ToUpper(sha('c')), "bc", "bc"},
		"none":                         {sha('c'), "", "c"},
		"without after in the list":    {sha('d'), "abc", "is not among the 3 listed"},
		"one other":                    {sha('d'), "a", "is not among the 1 listed"},
		"in between":                   {sha('b'), "abc", "is at place 2 of 3; list them oldest first"},
		"no after":                     {"", "abc", "after: missing; give the commit"},
		"a branch's name for a commit": {"main", "abc", "after: "},
	} {
		t.Run(name, func(t *testing.T) {
			var list []string
			for i := range len(row.list) {
				list = append(list, `{"id":"`+sha(row.list[i])+`","message":"m"}`)
			}
			after := `"after":"` + row.after + `",`
			if row.after == "" {
				after = ""
			}
			body := `{"repository":{"name":"api"},"ref":"refs/heads/x","before":"` + zeros + `",` + after + `"commits":[` + strings.Join(list, ",") + `]}`
			ev, err := newSource(t).Decode(header(), []byte(body))
			if err != nil {
				if !strings.Contains(err.Error(), row.want) {
					t.Errorf("error %v, want %q in it", err, row.want)
				}
				return
			}
			got := ""
			for _, c := range ev.Commits {
				got += c.SHA[:1]
			}
			if got != row.want {
				t.Errorf("commits %q, want %q", got, row.want)
			}
		})
	}
}

func TestCommitIsNewUnlessSaidOtherwise(t *testing.T) {
	for member, want := range map[string]bool{"": true, `,"distinct":true`: true, `,"distinct":false`: false} {
		body := `{"repository":{"name":"api"},"ref":"refs/heads/x","before":"` + zeros + `","after":"` + sha('a') + `","commits":[{"id":"` + sha('a') + `"` + member + `}]}`
		ev, err := newSource(t).Decode(header(), []byte(body))
		if err != nil || ev.Commits[0].Distinct != want {
			t.Errorf("%q: %+v, %v", member, ev.Commits, err)
		}
	}
}

var zeros = strings.Repeat("0", 40)

// sha is a commit ID of one digit.
func sha(digit byte) string { return strings.Repeat(string(digit), 40) }

func TestNewNeedsSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}} {
		if _, err := git.New(git.Config{Secrets: secrets}); err == nil {
			t.Errorf("%q: no error", secrets)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(read(f, "push.json"))
	f.Add(read(f, "deleted.json"))
	f.Add([]byte(`{"repository":{"name":"x"},"ref":"refs/heads/x"}`))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := s.Decode(header(), body)
		if err != nil {
			return
		}
		if ev.Branch() == "" && ev.Tag() == "" || ev.Repository.FullName == "" || len(ev.Commits) == 0 || ev.Before == "" && ev.After == "" {
			t.Errorf("incomplete: %+v", ev)
		}
		if text, err := json.Marshal(ev); err != nil || len(text) == 0 {
			t.Error(err)
		}
	})
}
