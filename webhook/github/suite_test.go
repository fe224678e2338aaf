package github_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"switchyard/webhook"
	"switchyard/webhook/sourcetest"
)

// signed is a delivery as GitHub makes it.
func signed(t testing.TB, id, kind string, body []byte, truth ...sourcetest.Truth) sourcetest.Delivery {
	t.Helper()
	h := header(kind)
	h.Set("X-GitHub-Delivery", id)
	h.Set("X-Hub-Signature-256", webhook.Sign(secret, body))
	return sourcetest.Delivery{Header: h, Body: body, Truth: truth}
}

const (
	suiteRepository = "acme/api-v2"
	noCommit        = "0000000000000000000000000000000000000000"
)

// commitID is the nth commit's ID.
func commitID(n int) string { return fmt.Sprintf("%040x", 0xabc000+n) }

// pushOf is the truth of a push that brings the given commits, each of which
// changes two files, and the payload that GitHub makes of it: at most 2,048
// commits, oldest first.
func pushOf(t testing.TB, ref, before string, ids ...string) (sourcetest.Truth, object) {
	t.Helper()
	truth := sourcetest.Truth{Repository: suiteRepository, Ref: ref, Before: before, Commits: ids, Paths: map[string][]string{}}
	m := object{"ref": ref, "before": before, "after": noCommit, "created": before == "", "deleted": false, "forced": false, "commits": []any{}}
	if before == "" {
		m["before"] = noCommit
	}
	var whole object
	if err := json.Unmarshal(read(t, "push.json"), &whole); err != nil {
		t.Fatal(err)
	}
	m["repository"], m["sender"] = whole["repository"], whole["sender"]
	var commits []any
	for i, id := range ids {
		added, changed := fmt.Sprintf("new/%d", i), fmt.Sprintf("old/%d", i)
		truth.Paths[id] = []string{added, changed}
		commits = append(commits, object{"id": id, "message": "m", "distinct": true, "author": object{"name": "Ada"},
			"added": []string{added}, "removed": []string{}, "modified": []string{changed}})
	}
	if n := len(ids); n > 0 {
		truth.After = ids[n-1]
		m["after"], m["head_commit"], m["commits"] = truth.After, commits[n-1], commits[max(0, n-2048):]
	}
	return truth, m
}

// pullOf is a pull request with three commits, of which an event names the head.
func pullOf(t testing.TB, action string, change func(m, pr object, truth *sourcetest.Truth)) (sourcetest.Truth, []byte) {
	t.Helper()
	head := commitID(900)
	truth := sourcetest.Truth{Repository: suiteRepository, Ref: "refs/heads/feature/session-quota", After: head, Commits: []string{commitID(898), commitID(899), head}, Number: 12, Base: "main"}
	body := mutate(t, "pull_request-opened.json", func(m object) {
		pr := m["pull_request"].(object)
		m["action"], pr["commits"] = action, 3
		pr["head"].(object)["sha"] = head
		if change != nil {
			change(m, pr, &truth)
		}
	})
	return truth, body
}

func TestSuite(t *testing.T) {
	deliveries := map[sourcetest.Case]sourcetest.Delivery{}
	send := func(c sourcetest.Case, kind string, m any, truth ...sourcetest.Truth) {
		body, ok := m.([]byte)
		if !ok {
			var err error
			if body, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
		}
		deliveries[c] = signed(t, "delivery-"+string(c), kind, body, truth...)
	}
	push := func(c sourcetest.Case, truth sourcetest.Truth, m object) { send(c, "push", m, truth) }
	many := make([]string, 2100)
	for i := range many {
		many[i] = commitID(i)
	}
	old, head := commitID(5000), commitID(5001)

	send(sourcetest.Ping, "ping", object{"zen": "Keep it logically awesome.", "hook_id": 1, "repository": object{"full_name": suiteRepository}})
	truth, m := pushOf(t, "refs/heads/main", old, many[:3]...)
	push(sourcetest.Push, truth, m)
	deliveries[sourcetest.Redelivery] = deliveries[sourcetest.Push] // the same ID and body
	push2048, m := pushOf(t, "refs/heads/main", old, many...)
	push(sourcetest.PushOverTheLimit, push2048, m)
	truth, m = pushOf(t, "refs/heads/feature/a", "", many[:2]...)
	push(sourcetest.NewBranch, truth, m)
	truth, m = pushOf(t, "refs/heads/feature/b", "", many...)
	push(sourcetest.NewBranchOverTheLimit, truth, m)
	truth, m = pushOf(t, "refs/heads/feature/c", "")
	truth.After, m["after"], m["head_commit"] = head, head, object{"id": head, "message": "m"}
	push(sourcetest.NewBranchWithoutCommit, truth, m)
	truth, m = pushOf(t, "refs/heads/main", old, many[:3]...)
	for _, c := range m["commits"].([]any)[:2] {
		c.(object)["distinct"] = false // on another branch before
	}
	truth.Range, truth.Commits = truth.Commits, truth.Commits[2:]
	push(sourcetest.MergeOfKnownCommits, truth, m)
	truth, m = pushOf(t, "refs/heads/main", old, many[:2]...)
	truth.Forced, m["forced"] = true, true
	push(sourcetest.ForcedPush, truth, m)
	truth, m = pushOf(t, "refs/heads/main", old)
	truth.After, truth.Forced, m["after"], m["forced"], m["head_commit"] = head, true, head, true, object{"id": head, "message": "m"}
	push(sourcetest.ForcedBack, truth, m)
	for c, ref := range map[sourcetest.Case]string{sourcetest.BranchDeleted: "refs/heads/main", sourcetest.TagDeleted: "refs/tags/v1"} {
		truth, m = pushOf(t, ref, old)
		m["deleted"], m["head_commit"] = true, nil
		push(c, truth, m)
	}
	for c, after := range map[sourcetest.Case]string{sourcetest.Tag: head, sourcetest.AnnotatedTag: commitID(5002)} {
		truth, m = pushOf(t, "refs/tags/v1", "")
		truth.After, m["after"], m["head_commit"] = head, after, object{"id": head, "message": "m"}
		push(c, truth, m)
	}

	pull := func(c sourcetest.Case, action string, change func(m, pr object, truth *sourcetest.Truth)) {
		truth, body := pullOf(t, action, change)
		send(c, "pull_request", body, truth)
	}
	fork := func(repo any) func(m, pr object, truth *sourcetest.Truth) {
		return func(_, pr object, truth *sourcetest.Truth) {
			pr["head"].(object)["repo"], truth.Fork = repo, true
		}
	}
	pull(sourcetest.PullRequestOpened, "opened", nil)
	pull(sourcetest.PullRequestPushed, "synchronize", nil)
	pull(sourcetest.PullRequestReady, "ready_for_review", nil)
	pull(sourcetest.PullRequestReopened, "reopened", nil)
	pull(sourcetest.PullRequestClosed, "closed", nil)
	pull(sourcetest.PullRequestMerged, "closed", func(_, pr object, truth *sourcetest.Truth) { pr["merged"], truth.Merged = true, true })
	pull(sourcetest.PullRequestDraft, "opened", func(_, pr object, truth *sourcetest.Truth) { pr["draft"], truth.Draft = true, true })
	pull(sourcetest.PullRequestFork, "opened", fork(object{"id": 6666, "full_name": "mallory/api-v2"}))
	pull(sourcetest.PullRequestForkGone, "reopened", fork(nil))
	pull(sourcetest.PullRequestRetargeted, "edited", func(m, _ object, truth *sourcetest.Truth) {
		m["changes"], truth.OldBase = object{"base": object{"ref": object{"from": "dev"}}}, "dev"
	})
	pull(sourcetest.PullRequestLabeled, "labeled", func(m, _ object, truth *sourcetest.Truth) {
		m["label"], truth.Label = object{"name": "safe to test"}, "safe to test"
	})
	_, body := pullOf(t, "edited", func(m, _ object, _ *sourcetest.Truth) { m["changes"] = object{"title": object{"from": "x"}} })
	send(sourcetest.PullRequestEdited, "pull_request", body)
	send(sourcetest.RepositoryRenamed, "repository", object{"action": "renamed", "repository": object{"full_name": suiteRepository}})
	send(sourcetest.StatusPosted, "status", object{"sha": head, "state": "success", "repository": object{"full_name": suiteRepository}})

	sourcetest.Run(t, sourcetest.Host{
		Source:     newSource(t),
		Proof:      []string{"X-Hub-Signature-256"},
		Deliveries: deliveries,
		Without: map[sourcetest.Case]string{
			sourcetest.SeveralRefs: "each ref is a delivery of its own",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			body := mutate(t, "push-created.json", func(m object) {
				m["ref"] = "refs/heads/" + branch
				m["repository"].(object)["full_name"] = repository
			})
			return signed(t, "named", "push", body)
		},
	})
	if strings.Count(string(deliveries[sourcetest.PushOverTheLimit].Body), `"message"`) != 2049 { // and head_commit
		t.Error("the payload of a push over the limit lists another number than GitHub does")
	}
}
