package sourcetest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/sourcetest"
)

func load(t *testing.T, text string) sourcetest.Delivery {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delivery.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return sourcetest.Load(t, path)
}

func TestLoadKeepsTheBytesOfARequest(t *testing.T) {
	const body = "{\n  \"a\": \"\\u003c\"}"
	d := load(t, `{"request": {"method": "POST", "headers": {"x-event": "push"}, "body": "{\n  \"a\": \"\\u003c\"}"},
		"truth": {"ref": "refs/tags/v1", "before": "0000000000000000000000000000000000000000", "after": "22", "after_commit": "11", "paths": {}}}`)
	if string(d.Body) != body || d.Header.Get("X-Event") != "push" {
		t.Errorf("%q, %v", d.Body, d.Header)
	}
	want := []sourcetest.Truth{{Repository: "acme/app", Ref: "refs/tags/v1", After: "11", Paths: map[string][]string{}}}
	if diff := cmp.Diff(want, d.In("acme/app").Truth); diff != "" {
		t.Error(diff)
	}
}

func TestLoadTakesAJSONBodyAndSeveralTruths(t *testing.T) {
	d := load(t, `{"event": "e", "headers": {"X-Event": "e"}, "body": {"b": [1, 2]}, "truth": [
		{"ref": "topic", "base_ref": "main", "number": 3, "after": "11", "repository": "acme/fork"}, {"ref": "refs/heads/a", "before": null}]}`)
	if string(d.Body) != `{"b":[1,2]}` {
		t.Errorf("%s", d.Body)
	}
	want := []sourcetest.Truth{
		{Repository: "acme/fork", Ref: "refs/heads/topic", After: "11", Number: 3, Base: "main"},
		{Repository: "acme/app", Ref: "refs/heads/a"},
	}
	if diff := cmp.Diff(want, d.In("acme/app").Truth); diff != "" {
		t.Error(diff)
	}
	if d := load(t, `{"headers": {}, "body": {}, "truth": null}`); d.Truth != nil {
		t.Errorf("%v", d.Truth)
	}
}
