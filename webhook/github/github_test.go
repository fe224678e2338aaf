package github_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook"
	"switchyard/webhook/github"
)

var update = flag.Bool("update", false, "write the golden files")

const secret = "a secret of the tests"

func newSource(t testing.TB) *github.Source {
	t.Helper()
	s, err := github.New(github.Config{Secrets: []string{"an older secret", secret}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func header(kind string) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("X-GitHub-Event", kind)
	h.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
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

func TestDecodeGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if strings.HasSuffix(name, ".want") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			kind, _, _ := strings.Cut(name, "-")
			ev, err := newSource(t).Decode(header(kind), read(t, name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(ev); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".want.json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, name+".want.json")), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMediaTypes(t *testing.T) {
	body := read(t, "push.json")
	for contentType, ok := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "Application/JSON": true,
		"text/plain": false, "multipart/form-data": false, "application/jsonx": false, "\x1b[2J": false,
	} {
		h := header("push")
		h.Set("Content-Type", contentType)
		_, err := newSource(t).Decode(h, body)
		var media *webhook.MediaTypeError
		if ok && err != nil || !ok && (!errors.As(err, &media) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

func TestIgnoredWithReason(t *testing.T) {
	notes := mutate(t, "push.json", func(m object) { m["ref"] = "refs/notes/commits" })
	for name, row := range map[string]struct {
		kind string
		body []byte
		want string
	}{
		"ping":             {"ping", []byte(`{"zen":"Keep it logically awesome."}`), "set up"},
		"create":           {"create", []byte(`{}`), "push event"},
		"delete":           {"delete", []byte(`{}`), "push event"},
		"issues":           {"issues", []byte(`{}`), "event issues"},
		"not GitHub's":     {"\x1b[2Jnonsense", []byte(`{}`), `event \x1b[2Jnonsense`},
		"notes":            {"push", notes, "neither a branch nor a tag"},
		"review requested": {"pull_request", mutate(t, "pull_request-opened.json", func(m object) { m["action"] = "review_requested" }), "pull request review_requested"},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := newSource(t).Decode(header(row.kind), row.body)
			var ignored *webhook.Ignored
			if !errors.As(err, &ignored) || !strings.Contains(ignored.Reason, row.want) {
				t.Errorf("error %v, want it ignored because of %q", err, row.want)
			}
			if ev.DeliveryID == "" {
				t.Error("no delivery ID for the answer")
			}
		})
	}
}

type object = map[string]any

// mutate changes a payload of testdata.
func mutate(t testing.TB, name string, change func(object)) []byte {
	t.Helper()
	var m object
	if err := json.Unmarshal(read(t, name), &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDecodeRefusesAndNamesTheField(t *testing.T) {
	push := string(read(t, "push.json"))
	change := func(f func(object)) string { return string(mutate(t, "push.json", f)) }
	pull := func(f func(object)) string { return string(mutate(t, "pull_request-opened.json", f)) }
	sub := func(m object, keys ...string) object {
		for _, k := range keys {
			m = m[k].(object)
		}
		return m
	}
	commit := func(m object, i int) object { return m["commits"].([]any)[i].(object) }
	for name, row := range map[string]struct{ kind, body, want string }{
		"empty body":              {"push", "", "a JSON object"},
		"not JSON":                {"push", "<html>", "not JSON"},
		"truncated":               {"push", push[:len(push)/2], "ends"},
		"array":                   {"push", "[]", "a JSON object"},
		"empty object":            {"push", "{}", "ref"},
		"deeply nested":           {"push", strings.Repeat(`{"repository":`, 100_000), "deeper than 64"},
		"deeply nested, unread":   {"push", `{"x":` + strings.Repeat("[", 100_000), "deeper than 64"},
		"invalid UTF-8":           {"push", strings.Replace(push, "session", "sess\xffion", 1), "invalid UTF-8"},
		"after twice":             {"push", strings.Replace(push, `{`, `{"after":"`+strings.Repeat("a", 40)+`",`, 1), `"after" is there twice`},
		"after twice, escaped":    {"push", strings.Replace(push, `{`, `{"\u0061fter":"`+strings.Repeat("a", 40)+`",`, 1), `"after" is there twice`},
		"ref is a number":         {"push", change(func(m object) { m["ref"] = 1 }), "ref: a JSON number"},
		"commits is an object":    {"push", change(func(m object) { m["commits"] = object{} }), "commits: a JSON object"},
		"commit is a string":      {"push", change(func(m object) { m["commits"] = []any{"x"} }), "commits"},
		"repository is an array":  {"push", change(func(m object) { m["repository"] = []any{} }), "repository"},
		"modified is a string":    {"push", change(func(m object) { commit(m, 0)["modified"] = "x" }), "commits.modified"},
		"no ref":                  {"push", change(func(m object) { delete(m, "ref") }), "ref"},
		"short ref":               {"push", change(func(m object) { m["ref"] = "main" }), "ref"},
		"other spelling of ref":   {"push", change(func(m object) { m["Ref"] = m["ref"]; delete(m, "ref") }), "ref"},
		"control in ref":          {"push", change(func(m object) { m["ref"] = "refs/heads/a\x1b[2J" }), `a\x1b[2J`},
		"endless ref":             {"push", change(func(m object) { m["ref"] = "refs/heads/" + strings.Repeat("n", 5000) }), "ref: a ref name of"},
		"before not hex":          {"push", change(func(m object) { m["before"] = strings.Repeat("g", 40) }), "before"},
		"after short":             {"push", change(func(m object) { m["after"] = "abc" }), "after"},
		"after an option":         {"push", change(func(m object) { m["after"] = "--upload-pack=touch x" }), "after"},
		"commit ID missing":       {"push", change(func(m object) { delete(commit(m, 3), "id") }), "commits[3].id"},
		"commit ID not hex":       {"push", change(func(m object) { commit(m, 19)["id"] = strings.Repeat("z", 40) }), "commits[19].id"},
		"no repository":           {"push", change(func(m object) { delete(m, "repository") }), "repository.full_name"},
		"null repository":         {"push", change(func(m object) { m["repository"] = nil }), "repository.full_name"},
		"repository leads up":     {"push", change(func(m object) { sub(m, "repository")["full_name"] = "acme/.." }), "repository.full_name"},
		"deleted, with an after":  {"push", change(func(m object) { m["deleted"] = true }), "a deletion leads"},
		"nothing to nothing":      {"push", change(func(m object) { m["before"], m["after"] = strings.Repeat("0", 40), strings.Repeat("0", 40) }), "a deletion leads"},
		"no action":               {"pull_request", pull(func(m object) { delete(m, "action") }), "action"},
		"no number":               {"pull_request", pull(func(m object) { delete(m, "number") }), "number"},
		"number is text":          {"pull_request", pull(func(m object) { m["number"] = "12" }), "number"},
		"no pull request":         {"pull_request", pull(func(m object) { delete(m, "pull_request") }), "pull_request.head.ref"},
		"head SHA not hex":        {"pull_request", pull(func(m object) { sub(m, "pull_request", "head")["sha"] = "x" }), "pull_request.head.sha"},
		"base SHA missing":        {"pull_request", pull(func(m object) { delete(sub(m, "pull_request", "base"), "sha") }), "pull_request.base.sha"},
		"base ref empty":          {"pull_request", pull(func(m object) { sub(m, "pull_request", "base")["ref"] = "" }), "pull_request.base.ref"},
		"head sha twice in nest":  {"pull_request", strings.Replace(string(read(t, "pull_request-opened.json")), `"head": {`, `"head": {"sha":"`+strings.Repeat("a", 40)+`",`, 1), `"sha" is there twice`},
		"push body as pull event": {"pull_request", push, "action"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSource(t).Decode(header(row.kind), []byte(row.body))
			var ignored *webhook.Ignored
			if err == nil || errors.As(err, &ignored) || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("error %v, want %q in it", err, row.want)
			}
			if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("not fit to show: %q", err)
			}
		})
	}
}

func TestDecodeNeedsItsHeaders(t *testing.T) {
	for _, name := range []string{"X-GitHub-Event", "X-GitHub-Delivery"} {
		h := header("push")
		h.Del(name)
		if _, err := newSource(t).Decode(h, read(t, "push.json")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, form := range map[string]string{"no payload": "x=1", "two payloads": "payload={}&payload={}", "bad escape": "payload=%zz"} {
		h := header("push")
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, err := newSource(t).Decode(h, []byte(form)); err == nil || !strings.Contains(err.Error(), "form body") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Members that nobody reads may be of any shape: other hosts send the same
// payloads with types of their own.
func TestUnreadMembersMayBeAnything(t *testing.T) {
	body := mutate(t, "push.json", func(m object) {
		m["installation"] = "none"
		m["repository"].(object)["pushed_at"] = "yesterday"
		m["repository"].(object)["owner"] = []any{1}
	})
	if _, err := newSource(t).Decode(header("push"), body); err != nil {
		t.Error(err)
	}
}

func TestBranchOf255Bytes(t *testing.T) {
	name := strings.Repeat("é", 127) + "x"
	body := mutate(t, "push.json", func(m object) { m["ref"] = "refs/heads/" + name })
	ev, err := newSource(t).Decode(header("push"), body)
	if err != nil || ev.Branch() != name {
		t.Errorf("%q, %v", ev.Branch(), err)
	}
}

func TestVerifyWithGitHubsVector(t *testing.T) {
	s, err := github.New(github.Config{Secrets: []string{"It's a Secret to Everybody"}})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	if err := s.Verify(h, []byte("Hello, World!")); err != nil {
		t.Error(err)
	}
	if err := s.Verify(h, []byte("Hello, World?")); !errors.Is(err, webhook.ErrSignatureMismatch) {
		t.Errorf("error %v", err)
	}
}

func TestNewNeedsSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}, {"a", ""}} {
		if _, err := github.New(github.Config{Secrets: secrets}); err == nil {
			t.Errorf("%q: no error", secrets)
		}
	}
}
