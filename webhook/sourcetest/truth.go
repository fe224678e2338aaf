package sourcetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Truth is what git did to one ref, or what a pull request is.
type Truth struct {
	// Repository is its full name, of a pull request that of the base.
	Repository string `json:"repository"`
	// Ref is the full name of the ref, of a pull request that of its head's
	// branch, for which a file may hold the short one.
	Ref string `json:"ref"`
	// Before and After are the commits around it, "" for none; of an annotated
	// tag After is the commit that it leads to.
	Before string `json:"before"`
	After  string `json:"after"`
	// Head is what the host calls After where it does not tell its ID; the event
	// then has it, and no commit that could start under it.
	Head string `json:"head"`
	// Commits are those that are new to the repository, of a pull request those
	// that its base has not, oldest first.
	Commits []string `json:"commits"`
	// Range is before..after, where a ref gained commits that the repository had.
	Range []string `json:"before_to_after"`
	// Paths are the files that a commit changed against its first parent.
	Paths  map[string][]string `json:"paths"`
	Forced bool                `json:"forced"`
	// Unproven is set where the host lists everything without its being known,
	// so that the event is Truncated all the same.
	Unproven bool `json:"unproven"`
	// Total is how many commits the host says there are, 0 where it does not or
	// is wrong.
	Total int `json:"total"`

	Number int    `json:"number"` // of a pull request
	Base   string `json:"base_ref"`
	// OldBase is the base before a change of it, "" where the host is silent.
	OldBase string `json:"old_base"`
	Label   string `json:"label"` // that was given
	Fork    bool   `json:"fork"`
	Draft   bool   `json:"draft"`
	Merged  bool   `json:"merged"`
}

// gained are the commits that the ref has and had not.
func (t *Truth) gained() []string {
	if len(t.Range) > 0 {
		return t.Range
	}
	return t.Commits
}

func (t *Truth) tag() bool { return strings.HasPrefix(t.Ref, "refs/tags/") }

// Load reads a recorded delivery. The file holds an object with "request", of
// which "headers" and the text "body" are the delivery byte by byte; or with
// "headers" and "body", which is JSON and still to be signed. "truth" is a [Truth],
// or a list of them.
func Load(t testing.TB, path string) Delivery {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type recorded struct {
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	var file struct {
		Request *recorded `json:"request"`
		recorded
		Truth json.RawMessage `json:"truth"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	d := Delivery{Header: http.Header{}}
	from := file.recorded
	if file.Request != nil {
		from = *file.Request
	}
	for name, value := range from.Headers {
		d.Header.Set(name, value)
	}
	var body string
	var packed bytes.Buffer
	switch {
	case json.Unmarshal(from.Body, &body) == nil && file.Request != nil:
		d.Body = []byte(body)
	case json.Compact(&packed, from.Body) == nil:
		d.Body = packed.Bytes()
	default:
		t.Fatalf("%s: no body", path)
	}
	d.Truth = truths(t, path, file.Truth)
	return d
}

func truths(t testing.TB, path string, text json.RawMessage) []Truth {
	t.Helper()
	var all []Truth
	switch trimmed := bytes.TrimSpace(text); {
	case len(trimmed) == 0 || string(trimmed) == "null":
		return nil
	case trimmed[0] != '[':
		text = append(append(json.RawMessage{'['}, trimmed...), ']')
	}
	// An annotated tag's after is the tag object, in a recorded truth.
	var after []struct {
		Commit string `json:"after_commit"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: truth: %v", path, err)
	}
	if err := json.Unmarshal(text, &after); err != nil {
		t.Fatalf("%s: truth: %v", path, err)
	}
	for i := range all {
		one := &all[i]
		if after[i].Commit != "" {
			one.After = after[i].Commit
		}
		one.Before, one.After = commitOrNone(one.Before), commitOrNone(one.After)
		if one.Base != "" && !strings.HasPrefix(one.Ref, "refs/heads/") {
			one.Ref = "refs/heads/" + one.Ref
		}
	}
	return all
}

// In returns the delivery with its truth said to be of the repository, where a
// file leaves it to the test.
func (d Delivery) In(repository string) Delivery {
	d.Truth = slices.Clone(d.Truth)
	for i := range d.Truth {
		d.Truth[i].Repository = cmp.Or(d.Truth[i].Repository, repository)
	}
	return d
}

// commitOrNone is "" for the zeros that stand for no commit.
func commitOrNone(sha string) string {
	if strings.Trim(sha, "0") == "" {
		return ""
	}
	return sha
}
