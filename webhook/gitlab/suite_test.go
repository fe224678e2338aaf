package gitlab_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"switchyard/webhook/gitlab"
	"switchyard/webhook/sourcetest"
)

const signingKey = "a key of thirty-two bytes or more"

// signed is d as GitLab sends it for a webhook with a signing token alone.
func signed(d sourcetest.Delivery) sourcetest.Delivery {
	h := d.Header.Clone()
	h.Del("X-Gitlab-Token")
	id, at := h.Get("Idempotency-Key"), time.Now().Unix()
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at, 10))
	h.Set("webhook-signature", sign(signingKey, id, at, string(d.Body)))
	d.Header = h
	return d
}

// changed is a delivery of testdata with another body.
func changed(t *testing.T, name, key string, change func(object)) sourcetest.Delivery {
	d := load(t, name)
	d.Body = mutate(t, name, change)
	d.Header.Set("Idempotency-Key", key)
	return d
}

func deliveries(t *testing.T) map[sourcetest.Case]sourcetest.Delivery {
	all := map[sourcetest.Case]sourcetest.Delivery{}
	for c, name := range map[sourcetest.Case]string{
		sourcetest.Ping: "push-test",
		sourcetest.Push: "push", sourcetest.PushOverTheLimit: "push-60", sourcetest.NewBranch: "push-created",
		sourcetest.NewBranchWithoutCommit: "push-created-known-commit", sourcetest.MergeOfKnownCommits: "push-merge",
		sourcetest.ForcedPush: "push-forced", sourcetest.ForcedBack: "push-forced-back", sourcetest.BranchDeleted: "push-deleted",
		sourcetest.Tag: "tag", sourcetest.AnnotatedTag: "tag-annotated", sourcetest.TagDeleted: "tag-deleted",
		sourcetest.PullRequestOpened: "mr-open", sourcetest.PullRequestPushed: "mr-code", sourcetest.PullRequestRetargeted: "mr-retargeted",
		sourcetest.PullRequestReady: "mr-ready", sourcetest.PullRequestLabeled: "mr-labeled", sourcetest.PullRequestEdited: "mr-title",
		sourcetest.PullRequestClosed: "mr-close", sourcetest.PullRequestMerged: "mr-merge", sourcetest.PullRequestReopened: "mr-reopen",
		sourcetest.PullRequestFork: "mr-fork", sourcetest.PullRequestForkGone: "mr-fork-deleted",
	} {
		all[c] = load(t, name)
	}
	many := changed(t, "push-60", "many", func(m object) { m["before"] = sixtyZeros[:40] })
	many.Truth[0].Before = ""
	all[sourcetest.NewBranchOverTheLimit] = many
	draft := changed(t, "mr-open", "draft", func(m object) { m["object_attributes"].(object)["draft"] = true })
	draft.Truth[0].Draft = true
	all[sourcetest.PullRequestDraft] = draft
	again := load(t, "push")
	again.Header.Set("X-Gitlab-Webhook-UUID", "of the second attempt")
	all[sourcetest.Redelivery] = again
	all[sourcetest.RepositoryRenamed] = sourcetest.Delivery{Header: header("System Hook"), Body: []byte(
		`{"event_name": "project_rename", "path_with_namespace": "acme/underscore", "project_id": 15, "old_path_with_namespace": "acme/app"}`)}
	all[sourcetest.StatusPosted] = sourcetest.Delivery{Header: header("Pipeline Hook"), Body: []byte(
		`{"object_kind": "pipeline", "object_attributes": {"id": 31, "source": "external", "status": "running"}}`)}
	return all
}

const sixtyZeros = "000000000000000000000000000000000000000000000000000000000000"

func named(branch, repository string) sourcetest.Delivery {
	sha := func(c string) string { return "2e9d02cc035853dcf3a53ae3ea048b990a482cc" + c }
	body, err := json.Marshal(object{
		"object_kind": "push", "ref": "refs/heads/" + branch, "before": sha("0"), "after": sha("1"),
		"project": object{"path_with_namespace": repository}, "total_commits_count": 1,
		"commits": []object{{"id": sha("1"), "message": "m"}},
	})
	if err != nil {
		panic(err)
	}
	return sourcetest.Delivery{Header: header("Push Hook"), Body: body}
}

func host(t *testing.T, secrets ...string) sourcetest.Host {
	s, err := gitlab.New(gitlab.Config{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return sourcetest.Host{
		Source: s, Named: named, Deliveries: deliveries(t),
		Without:  map[sourcetest.Case]string{sourcetest.SeveralRefs: "GitLab sends a delivery for each ref"},
		NoForced: "GitLab does not mark a forced push",
	}
}

func TestSourceWithSecretToken(t *testing.T) {
	h := host(t, secret)
	h.Proof = []string{http.CanonicalHeaderKey("X-Gitlab-Token")}
	h.ProofWithoutBody = "the secret token proves who sends, and not what"
	sourcetest.Run(t, h)
}

func TestSourceWithSigningToken(t *testing.T) {
	h := host(t, signingToken(signingKey))
	h.Proof = []string{"Webhook-Signature"}
	h.Named = func(branch, repository string) sourcetest.Delivery { return signed(named(branch, repository)) }
	for c, d := range h.Deliveries {
		h.Deliveries[c] = signed(d)
	}
	sourcetest.Run(t, h)
}
