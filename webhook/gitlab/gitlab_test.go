package gitlab_test

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

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/gitlab"
	"switchyard/webhook/sourcetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const secret = "It's a Secret to Everybody"

func newSource(t testing.TB, opts ...gitlab.Option) *gitlab.Source {
	t.Helper()
	s, err := gitlab.New(gitlab.Config{Secrets: []string{secret}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func header(hook string) http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "X-Gitlab-Event": {hook}, "X-Gitlab-Token": {secret},
		"Idempotency-Key":       {"618fca37-1c51-5220-bd0f-5837a50f7aaa"},
		"X-Gitlab-Webhook-Uuid": {"1c498948-6355-5d7b-8dc3-0e1ec2337b75"},
		"X-Gitlab-Event-Uuid":   {"7a3b09d4-1863-5044-ad90-d2bb239861e9"},
	}
}

func load(t testing.TB, name string) sourcetest.Delivery {
	t.Helper()
	return sourcetest.Load(t, filepath.Join("testdata", name+".json")).In("acme/app")
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	return load(t, strings.TrimSuffix(name, ".json")).Body
}

// payloads are the names of the deliveries in testdata.
func payloads(t testing.TB) (names []string) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !strings.HasSuffix(name, ".want") {
			names = append(names, name)
		}
	}
	return names
}

// TestDecodeGolden decodes what GitLab documents that it sends. A golden file
// holds the events, or why there are none.
func TestDecodeGolden(t *testing.T) {
	for _, name := range payloads(t) {
		t.Run(name, func(t *testing.T) {
			var said any
			d := load(t, name)
			evs, err := newSource(t).DecodeAll(d.Header, d.Body)
			said = evs
			if ignored := (*webhook.Ignored)(nil); errors.As(err, &ignored) {
				said, err = ignored.Error(), nil
			}
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(said); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".want.json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Error(diff)
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

func TestDeliveryIDIsTheSameOnARetry(t *testing.T) {
	for name, row := range map[string]struct {
		change func(http.Header)
		want   string
	}{
		"a key":                     {func(http.Header) {}, "618fca37-1c51-5220-bd0f-5837a50f7aaa"},
		"the next attempt":          {func(h http.Header) { h.Set("X-Gitlab-Webhook-UUID", "other") }, "618fca37-1c51-5220-bd0f-5837a50f7aaa"},
		"before 17.4":               {func(h http.Header) { h.Del("Idempotency-Key") }, "7a3b09d4-1863-5044-ad90-d2bb239861e9"},
		"signed":                    {func(h http.Header) { h.Set("webhook-id", "signed"); h.Set("webhook-signature", "v1,x") }, "signed"},
		"an ID that nobody signed":  {func(h http.Header) { h.Set("webhook-id", "unsigned") }, "618fca37-1c51-5220-bd0f-5837a50f7aaa"},
		"neither":                   {func(h http.Header) { h.Del("Idempotency-Key"); h.Del("X-Gitlab-Event-UUID") }, ""},
		"one that is not fit to be": {func(h http.Header) { h.Set("Idempotency-Key", "a b\x1b") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := header("Push Hook")
			row.change(h)
			ev, err := newSource(t).Decode(h, read(t, "push.json"))
			if row.want == "" {
				if err == nil || !strings.Contains(err.Error(), "Idempotency-Key") {
					t.Errorf("%v, want Idempotency-Key named", err)
				}
				return
			}
			if err != nil || ev.DeliveryID != row.want {
				t.Errorf("%q, %v, want %q", ev.DeliveryID, err, row.want)
			}
		})
	}
}

func TestIgnoredWithReason(t *testing.T) {
	set := func(keys string, v any) func(object) {
		return func(m object) {
			path := strings.Split(keys, ".")
			for _, k := range path[:len(path)-1] {
				m = m[k].(object)
			}
			m[path[len(path)-1]] = v
		}
	}
	for name, row := range map[string]struct {
		hook string
		body []byte
		want string
	}{
		"issue":               {"Issue Hook", []byte(`{}`), "event Issue Hook"},
		"not GitLab's":        {"\x1b[2Jnonsense", []byte(`{}`), `event \x1b[2Jnonsense`},
		"renamed":             {"System Hook", []byte(`{"event_name":"project_rename","path_with_namespace":"a/b"}`), "event project_rename"},
		"refs of a push":      {"System Hook", []byte(`{"event_name":"repository_update"}`), "push event of each ref"},
		"notes":               {"Push Hook", mutate(t, "push.json", set("ref", "refs/notes/commits")), "neither a branch nor a tag"},
		"a test of one":       {"Push Hook", mutate(t, "push.json", func(m object) { m["before"] = m["after"] }), "test of the webhook"},
		"a test, tag hook":    {"Tag Push Hook", read(t, "push-test.json"), "test of the webhook"},
		"a test, no commits":  {"Push Hook", mutate(t, "push.json", func(m object) { m["before"], m["after"] = sampleBefore, sampleAfter }), "test of the webhook"},
		"a tag that is gone":  {"Tag Push Hook", mutate(t, "tag.json", func(m object) { m["checkout_sha"] = nil; m["commits"] = []any{} }), "gone again"},
		"a test of a request": {"Merge Request Hook", mutate(t, "mr-open.json", func(m object) { delete(m["object_attributes"].(object), "action") }), "names no action"},
		"an update when over": {"Merge Request Hook", mutate(t, "mr-labeled.json", set("object_attributes.state", "merged")), "while merged"},
		"without a head":      {"Merge Request Hook", mutate(t, "mr-open.json", set("object_attributes.last_commit", nil)), "no head commit"},
		"unapproved":          {"Merge Request Hook", mutate(t, "mr-approved.json", set("object_attributes.action", "unapproval")), "merge request unapproval"},
		"retargeted to same":  {"Merge Request Hook", mutate(t, "mr-retargeted.json", set("object_attributes.target_branch", "main")), "labels stay as they are"},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := newSource(t).Decode(header(row.hook), row.body)
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

const (
	sampleBefore = "95790bf891e76fee5e1747ab589903a6a1f80f22"
	sampleAfter  = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"
)

func TestDecodeRefusesAndNamesTheField(t *testing.T) {
	push := string(read(t, "push.json"))
	change := func(f func(object)) string { return string(mutate(t, "push.json", f)) }
	merge := func(f func(attributes object)) string {
		return string(mutate(t, "mr-open.json", func(m object) { f(m["object_attributes"].(object)) }))
	}
	zeros := strings.Repeat("0", 40)
	for name, row := range map[string]struct{ hook, body, want string }{
		"empty body":             {"Push Hook", "", "a JSON object"},
		"not JSON":               {"Push Hook", "<html>", "not JSON"},
		"truncated":              {"Push Hook", push[:len(push)/2], "ends"},
		"empty object":           {"Push Hook", "{}", "ref"},
		"deeply nested, unread":  {"Push Hook", `{"x":` + strings.Repeat("[", 100_000), "deeper than 64"},
		"invalid UTF-8":          {"Push Hook", strings.Replace(push, "Merge side", "Merge \xff", 1), "invalid UTF-8"},
		"after twice":            {"Push Hook", strings.Replace(push, `{`, `{"after":"`+strings.Repeat("a", 40)+`",`, 1), `"after" is there twice`},
		"ref is a number":        {"Push Hook", change(func(m object) { m["ref"] = 1 }), "ref: a JSON number"},
		"commits is an object":   {"Push Hook", change(func(m object) { m["commits"] = object{} }), "commits: a JSON object"},
		"total is a text":        {"Push Hook", change(func(m object) { m["total_commits_count"] = "2" }), "total_commits_count: a JSON string"},
		"short ref":              {"Push Hook", change(func(m object) { m["ref"] = "main" }), "ref"},
		"control in ref":         {"Push Hook", change(func(m object) { m["ref"] = "refs/heads/a\x1b[2J" }), `a\x1b[2J`},
		"before not hex":         {"Push Hook", change(func(m object) { m["before"] = strings.Repeat("g", 40) }), "before"},
		"after an option":        {"Push Hook", change(func(m object) { m["after"] = "--upload-pack=touch x" }), "after"},
		"commit ID missing":      {"Push Hook", change(func(m object) { delete(m["commits"].([]any)[1].(object), "id") }), "commits[1].id"},
		"no project":             {"Push Hook", change(func(m object) { delete(m, "project") }), "project.path_with_namespace"},
		"project leads up":       {"Push Hook", change(func(m object) { m["project"].(object)["path_with_namespace"] = "acme/../x" }), "project.path_with_namespace"},
		"nothing to nothing":     {"Push Hook", change(func(m object) { m["before"], m["after"] = zeros, zeros }), "both are zeros"},
		"tag at no commit":       {"Tag Push Hook", string(mutate(t, "tag.json", func(m object) { m["checkout_sha"] = "v1" })), "checkout_sha"},
		"no number":              {"Merge Request Hook", merge(func(a object) { delete(a, "iid") }), "object_attributes.iid"},
		"a number out of range":  {"Merge Request Hook", merge(func(a object) { a["iid"] = int64(1) << 40 }), "object_attributes.iid"},
		"number is text":         {"Merge Request Hook", merge(func(a object) { a["iid"] = "1" }), "object_attributes.iid"},
		"head not hex":           {"Merge Request Hook", merge(func(a object) { a["last_commit"].(object)["id"] = "x" }), "object_attributes.last_commit.id"},
		"no source branch":       {"Merge Request Hook", merge(func(a object) { a["source_branch"] = "" }), "object_attributes.source_branch"},
		"no target branch":       {"Merge Request Hook", merge(func(a object) { delete(a, "target_branch") }), "object_attributes.target_branch"},
		"a system hook of none":  {"System Hook", "{}", "event_name"},
		"a system hook, no JSON": {"System Hook", "x", "not JSON"},
		"no event":               {"", push, "X-Gitlab-Event"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSource(t).Decode(header(row.hook), []byte(row.body))
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

func TestMediaTypes(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true,
		"text/plain": false, "application/x-www-form-urlencoded": false, "\x1b[2J": false,
	} {
		h := header("Push Hook")
		h.Set("Content-Type", contentType)
		_, err := newSource(t).Decode(h, read(t, "push.json"))
		var media *webhook.MediaTypeError
		if ok && err != nil || !ok && (!errors.As(err, &media) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

// An older version leaves out members, and a newer one adds some.
func TestMembersThatComeAndGo(t *testing.T) {
	old := mutate(t, "mr-ready.json", func(m object) {
		delete(m["object_attributes"].(object), "draft")
		m["changes"] = object{"title": object{"previous": "WIP: Topic", "current": "Topic"}}
		m["assignees"], m["user"].(object)["public_key"] = "none", []any{1}
	})
	ev, err := newSource(t).Decode(header("Merge Request Hook"), old)
	if err != nil || ev.Action != "ready_for_review" || ev.PullRequest.Draft {
		t.Errorf("%+v, %v", ev, err)
	}
	bare := mutate(t, "push.json", func(m object) {
		for _, k := range []string{"checkout_sha", "total_commits_count", "push_options", "ref_protected", "user_username"} {
			delete(m, k)
		}
	})
	if ev, err = newSource(t).Decode(header("Push Hook"), bare); err != nil || ev.Sender != "Ada Example" || ev.Truncated || ev.Total != 0 {
		t.Errorf("%+v, %v", ev, err)
	}
}

func TestOneUpdateTellsOfSeveralChanges(t *testing.T) {
	label := func(id int, title string) object { return object{"id": id, "title": title} }
	body := mutate(t, "mr-ready.json", func(m object) {
		m["labels"] = []any{label(1, "old"), label(2, "safe to test"), label(3, "size::S")}
		c := m["changes"].(object)
		c["target_branch"] = object{"previous": "develop", "current": "main"}
		c["labels"] = object{"previous": []any{label(1, "old"), label(9, "gone")}, "current": m["labels"]}
	})
	evs, err := newSource(t).DecodeAll(header("Merge Request Hook"), body)
	if err != nil {
		t.Fatal(err)
	}
	type fact struct{ ID, Action, Base, OldBase, Label string }
	var got []fact
	for _, ev := range evs {
		got = append(got, fact{ev.DeliveryID, ev.Action, ev.PullRequest.Base, ev.PullRequest.OldBase, ev.PullRequest.Label})
	}
	const id = "618fca37-1c51-5220-bd0f-5837a50f7aaa"
	want := []fact{
		{id + ".1", "edited", "main", "develop", ""}, {id + ".2", "ready_for_review", "main", "", ""},
		{id + ".3", "labeled", "main", "", "safe to test"}, {id + ".4", "labeled", "main", "", "size::S"},
		{id + ".5", "unlabeled", "main", "", "gone"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A label lets a fork's commit run. Pushed code must not bring its own.
func TestPushedCodeGivesNoLabel(t *testing.T) {
	body := mutate(t, "mr-fork-code.json", func(m object) {
		l := []any{object{"id": 2, "title": "safe to test"}}
		m["labels"], m["changes"].(object)["labels"] = l, object{"previous": []any{}, "current": l}
	})
	ev, err := newSource(t).Decode(header("Merge Request Hook"), body)
	if err != nil || ev.Action != "synchronize" || ev.PullRequest.Label != "" || !ev.PullRequest.Fork {
		t.Errorf("%+v %+v, %v", ev, ev.PullRequest, err)
	}
}

func TestOpenedWithLabels(t *testing.T) {
	body := mutate(t, "mr-fork.json", func(m object) { m["labels"] = []any{object{"id": 2, "title": "safe to test"}} })
	evs, err := newSource(t).DecodeAll(header("Merge Request Hook"), body)
	if err != nil || len(evs) != 2 || evs[0].Action != "opened" || evs[1].Action != "labeled" || evs[1].PullRequest.Label != "safe to test" {
		t.Errorf("%+v, %v", evs, err)
	}
}

func TestCommitsAreOldestFirstAndWhole(t *testing.T) {
	id := func(n int) string { return strings.Repeat("0", 38) + string(rune('0'+n/10)) + string(rune('0'+n%10)) }
	numbers := func(ev *event.Event) (all []int) {
		for _, c := range ev.Commits {
			all = append(all, int(c.SHA[38]-'0')*10+int(c.SHA[39]-'0'))
		}
		return all
	}
	run := func(from, to int) (all []int) {
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
		return all
	}
	for name, row := range map[string]struct {
		after     int
		total     any
		commits   []int
		want      []int
		truncated bool
	}{
		"oldest first":         {3, 3, []int{1, 2, 3}, []int{1, 2, 3}, false},
		"newest first":         {3, 3, []int{3, 2, 1}, []int{1, 2, 3}, false},
		"head in the middle":   {2, 3, []int{1, 2, 3}, []int{1, 3, 2}, false},
		"head left out":        {9, 3, []int{1, 2, 3}, []int{1, 2, 3, 9}, true},
		"one":                  {1, 1, []int{1}, []int{1}, false},
		"none":                 {1, 0, []int{}, []int{1}, false},
		"none is said":         {1, nil, nil, []int{1}, true},
		"none, though counted": {1, 4, []int{}, []int{1}, true},
		"twenty":               {20, 20, run(1, 20), run(1, 20), false},
		"more than twenty":     {21, 21, run(2, 21), run(2, 21), true},
		"twenty, no total":     {20, nil, run(1, 20), run(1, 20), true},
		"few, no total":        {2, nil, []int{1, 2}, []int{1, 2}, false},
		"a total of nonsense":  {2, -3, []int{1, 2}, []int{1, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := mutate(t, "push.json", func(m object) {
				m["before"], m["after"], m["total_commits_count"] = id(99), id(row.after), row.total
				if m["commits"] = nil; row.commits == nil {
					return
				}
				list := []any{}
				for _, n := range row.commits {
					list = append(list, object{"id": id(n), "message": "m"})
				}
				m["commits"] = list
			})
			ev, err := newSource(t).Decode(header("Push Hook"), body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, numbers(&ev)); diff != "" || ev.Truncated != row.truncated {
				t.Errorf("truncated %v, commits %s", ev.Truncated, diff)
			}
		})
	}
}
