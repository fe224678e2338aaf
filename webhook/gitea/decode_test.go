package gitea_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// id is a commit's ID that shows its place in the history, 1 being the oldest.
func id(n int) string { return fmt.Sprintf("%040x", n) }

// pushed is a push of commits that leads to the given head, as the host lists
// them.
func pushed(t *testing.T, head, total int, change func(object), commits ...int) []byte {
	t.Helper()
	return mutate(t, "05-push-12-commits.push", func(m object) {
		list := []any{}
		for _, n := range commits {
			list = append(list, object{"id": id(n), "message": fmt.Sprint("commit ", n), "added": []any{}})
		}
		m["after"], m["commits"], m["total_commits"], m["head_commit"] = id(head), list, total, object{"id": id(head), "message": "head"}
		if change != nil {
			change(m)
		}
	})
}

func numbers(ev *event.Event) (all []int) {
	for _, c := range ev.Commits {
		n := 0
		fmt.Sscanf(c.SHA, "%x", &n)
		all = append(all, n)
	}
	return all
}

func TestPushedCommitsAreOldestFirstAndWholeOrTruncated(t *testing.T) {
	created := func(m object) { m["before"] = strings.Repeat("0", 40) }
	without := func(keys ...string) func(object) {
		return func(m object) {
			for _, k := range keys {
				delete(m, k)
			}
		}
	}
	for name, row := range map[string]struct {
		head, says int // the total that the host says
		change     func(object)
		commits    []int
		want       []int
		truncated  bool
		total      int
	}{
		"newest first":             {head: 3, says: 3, commits: []int{3, 2, 1}, want: []int{1, 2, 3}, total: 3},
		"oldest first, of a relay": {head: 3, says: 3, commits: []int{1, 2, 3}, want: []int{1, 2, 3}, total: 3},
		"cut":                      {head: 12, says: 12, commits: []int{12, 11, 10, 9, 8}, want: []int{8, 9, 10, 11, 12}, truncated: true, total: 12},
		"head left out":            {head: 9, says: 2, commits: []int{2, 1}, want: []int{1, 2, 9}, truncated: true, total: 2},
		"forced back":              {head: 3, says: 0, commits: nil, want: []int{3}},
		"no list":                  {head: 3, change: without("commits"), want: []int{3}, truncated: true},
		"no after":                 {head: 3, says: 2, change: without("after"), commits: []int{3, 2}, want: []int{2, 3}, truncated: true, total: 2},
		"no after and no head":     {head: 3, says: 2, change: without("after", "head_commit"), commits: []int{3, 2}, want: []int{2, 3}, truncated: true, total: 2},
		"a total of text":          {head: 2, change: func(m object) { m["total_commits"] = "many" }, commits: []int{2, 1}, want: []int{1, 2}},
		"created":                  {head: 3, says: 3, change: created, commits: []int{3, 2, 1}, want: []int{1, 2, 3}, total: 3},
		"created, cut":             {head: 9, says: 9, change: created, commits: []int{9, 8, 7, 6, 5}, want: []int{5, 6, 7, 8, 9}, truncated: true, total: 9},
		"created, nothing":         {head: 3, says: 0, change: created, want: []int{3}, truncated: true},
		"created, ten or more":     {head: 12, says: 10, change: created, commits: []int{12, 11, 10, 9, 8}, want: []int{8, 9, 10, 11, 12}, truncated: true},
		"created, ten of a long list": {head: 10, says: 10, change: created, commits: []int{10, 9, 8, 7, 6, 5, 4, 3, 2, 1},
			want: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, truncated: true},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := newSource(t).Decode(header("push"), pushed(t, row.head, row.says, row.change, row.commits...))
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(&ev); !slices.Equal(got, row.want) || ev.Truncated != row.truncated || ev.Total != row.total {
				t.Errorf("commits %v, truncated %v, total %d; want %v, %v, %d", got, ev.Truncated, ev.Total, row.want, row.truncated, row.total)
			}
			if ev.After != id(row.head) {
				t.Errorf("after %s", ev.After)
			}
		})
	}
}

// A head that is not listed is new where the host may just not have counted it.
func TestHeadThatIsNotListed(t *testing.T) {
	for name, row := range map[string]struct {
		before   string
		distinct bool
	}{
		"a new branch": {strings.Repeat("0", 40), true},
		"moved back":   {id(7), false},
	} {
		ev, err := newSource(t).Decode(header("push"), pushed(t, 3, 0, func(m object) { m["before"] = row.before }))
		if err != nil || ev.Commits[0].Distinct != row.distinct || ev.Commits[0].Message != "head" {
			t.Errorf("%s: %v, %+v", name, err, ev.Commits)
		}
	}
}

func TestRefusalNamesTheField(t *testing.T) {
	push := func(change func(object)) []byte { return mutate(t, "05-push-12-commits.push", change) }
	pull := func(change func(object)) []byte { return mutate(t, "29-pr-opened.pull_request", change) }
	removal := func(change func(object)) []byte { return mutate(t, "12-branch-delete.delete", change) }
	zeros := strings.Repeat("0", 40)
	head := func(m object) object { return m["pull_request"].(object)["head"].(object) }
	base := func(m object) object { return m["pull_request"].(object)["base"].(object) }
	for name, row := range map[string]struct {
		kind string
		body []byte
		want string
	}{
		"empty":               {"push", nil, "a JSON object"},
		"no ref":              {"push", push(func(m object) { delete(m, "ref") }), "ref"},
		"before not hex":      {"push", push(func(m object) { m["before"] = "x" }), "before"},
		"after an option":     {"push", push(func(m object) { m["after"] = "--upload-pack=x" }), "after"},
		"a commit not hex":    {"push", push(func(m object) { m["commits"].([]any)[1].(object)["id"] = "z" }), "commits[1].id"},
		"head not hex":        {"push", push(func(m object) { m["commits"] = []any{}; m["head_commit"] = object{"id": "z"} }), "head_commit.id"},
		"nothing to nothing":  {"push", push(func(m object) { m["before"], m["after"], m["commits"] = zeros, zeros, []any{} }), "a deletion leads"},
		"commits a number":    {"push", push(func(m object) { m["commits"] = 5 }), "commits: a JSON number"},
		"no repository":       {"push", push(func(m object) { delete(m, "repository") }), "repository.full_name"},
		"no action":           {"pull_request", pull(func(m object) { delete(m, "action") }), "action"},
		"no number":           {"pull_request", pull(func(m object) { delete(m, "number") }), "number"},
		"number text":         {"pull_request", pull(func(m object) { m["number"] = "1" }), "number"},
		"head SHA":            {"pull_request", pull(func(m object) { head(m)["sha"] = "x" }), "pull_request.head.sha"},
		"base SHA":            {"pull_request", pull(func(m object) { delete(base(m), "sha") }), "pull_request.base.sha"},
		"base empty":          {"pull_request", pull(func(m object) { base(m)["ref"] = "" }), "pull_request.base.ref"},
		"head with a control": {"pull_request", pull(func(m object) { head(m)["ref"] = "a\x1b" }), "pull_request.head.ref"},
		"no branch":           {"delete", removal(func(m object) { m["ref"] = "" }), "ref"},
		"delete nowhere":      {"delete", removal(func(m object) { m["repository"] = nil }), "repository.full_name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSource(t).Decode(header(row.kind), row.body)
			var ignored *webhook.Ignored
			if err == nil || errors.As(err, &ignored) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
}

func TestPullRequestActions(t *testing.T) {
	title := func(from string) object { return object{"title": object{"from": from}} }
	labels := func(names ...string) object {
		var added []any
		for _, n := range names {
			added = append(added, object{"id": 1, "name": n})
		}
		return object{"added_labels": added, "removed_labels": nil}
	}
	taken := func(names ...string) object {
		return object{"added_labels": nil, "removed_labels": labels(names...)["added_labels"]}
	}
	for name, row := range map[string]struct {
		action  string
		changes object
		draft   bool
		label   string
		want    string // the action, or a part of the reason
		oldBase string
	}{
		"synchronized":             {action: "synchronized", want: "synchronize"},
		"a label that it has not":  {action: "label_updated", label: "safe to test", want: "unlabeled"},
		"one label given":          {action: "label_updated", changes: labels("safe to test"), want: "labeled"},
		"two labels given":         {action: "label_updated", changes: labels("a", "safe to test"), want: "ignored: pull request label_updated: several"},
		"labels not said":          {action: "label_updated", want: "ignored: pull request label_updated: the host does not say"},
		"one label taken off":      {action: "label_updated", changes: taken("safe to test"), want: "unlabeled"},
		"two labels taken off":     {action: "label_updated", changes: taken("a", "safe to test"), want: "ignored: pull request label_updated: several"},
		"labels taken":             {action: "label_updated", changes: labels(), want: "ignored: pull request label_updated: the host does not say"},
		"retargeted":               {action: "edited", changes: object{"ref": object{"from": "main"}}, want: "edited"},
		"retargeted, as it should": {action: "edited", changes: object{"ref": object{"from": "dev"}}, want: "edited", oldBase: "dev"},
		"retargeted and titled":    {action: "edited", changes: object{"ref": object{"from": "main"}, "title": object{"from": "x"}}, want: "edited"},
		"ready":                    {action: "edited", changes: title("[wip] x"), want: "ready_for_review"},
		"still a draft":            {action: "edited", changes: title("WIP: x"), draft: true, want: "ignored: pull request edited: its base"},
		"titled":                   {action: "edited", changes: title("wipe it"), want: "ignored: pull request edited: its base"},
		"nothing said":             {action: "edited", want: "ignored: pull request edited: its base"},
		"review_requested":         {action: "review_requested", want: "ignored: pull request review_requested"},
	} {
		t.Run(name, func(t *testing.T) {
			body := mutate(t, "29-pr-opened.pull_request", func(m object) {
				m["action"] = row.action
				m["pull_request"].(object)["draft"] = row.draft
				if row.changes != nil {
					m["changes"] = row.changes
				}
				if row.label != "" {
					m["label"] = object{"id": 1, "name": row.label}
				}
			})
			ev, err := newSource(t).Decode(header("pull_request"), body)
			if reason, ok := strings.CutPrefix(row.want, "ignored: "); ok {
				var ignored *webhook.Ignored
				if !errors.As(err, &ignored) || !strings.HasPrefix(ignored.Reason, reason) {
					t.Errorf("%v, want it ignored: %s", err, reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			label := ""
			if row.want == "labeled" || row.want == "unlabeled" {
				label = "safe to test"
			}
			if ev.Action != row.want || ev.PullRequest.OldBase != row.oldBase || ev.PullRequest.Label != label {
				t.Errorf("action %q, old base %q, label %q", ev.Action, ev.PullRequest.OldBase, ev.PullRequest.Label)
			}
		})
	}
}

func TestHeadBranchOfAPullRequest(t *testing.T) {
	for name, row := range map[string]struct{ ref, label, want string }{
		"there":                   {"topic", "topic", "topic"},
		"deleted":                 {"refs/pull/4/head", "draft", "draft"},
		"deleted, with an owner":  {"refs/pull/4/head", "acme:draft", "draft"},
		"never was a branch":      {"refs/pull/5/head", "", "refs/pull/5/head"},
		"a branch of an odd name": {"feature/refs/x", "y", "feature/refs/x"},
	} {
		ev, err := newSource(t).Decode(header("pull_request"), mutate(t, "29-pr-opened.pull_request", func(m object) {
			head := m["pull_request"].(object)["head"].(object)
			head["ref"], head["label"] = row.ref, row.label
		}))
		if err != nil || ev.Branch() != row.want {
			t.Errorf("%s: %q, %v", name, ev.Branch(), err)
		}
	}
}
