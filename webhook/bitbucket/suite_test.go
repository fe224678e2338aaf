package bitbucket_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"switchyard/webhook"
	"switchyard/webhook/sourcetest"
)

func TestSuite(t *testing.T) {
	load := func(name string, change ...func(*sourcetest.Truth)) sourcetest.Delivery {
		files, err := filepath.Glob(filepath.Join("testdata", name+"-*.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(name, files, err)
		}
		d := sourcetest.Load(t, files[0]).In("acme/app")
		d.Header.Set("X-Hub-Signature", webhook.Sign(secret, d.Body))
		for i := range d.Truth {
			for _, f := range change {
				f(&d.Truth[i])
			}
		}
		return d
	}
	forced := func(w *sourcetest.Truth) { w.Forced = true }
	pull := func(number int, change ...func(*sourcetest.Truth)) func(*sourcetest.Truth) {
		return func(w *sourcetest.Truth) {
			w.Number, w.Head = number, w.After[:12]
			for _, f := range change {
				f(w)
			}
		}
	}
	const (
		updated = "an update says neither what was updated nor what was before: to the host it is PullRequestPushed"
	)
	sourcetest.Run(t, sourcetest.Host{
		Source:  newSource(t),
		Proof:   []string{"X-Hub-Signature"},
		NoPaths: "the host lists no paths anywhere",
		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
			sourcetest.Push:                  load("01"),
			sourcetest.PushOverTheLimit:      load("02"),
			sourcetest.NewBranch:             load("03"),
			sourcetest.NewBranchOverTheLimit: load("04"),
			sourcetest.BranchDeleted:         load("05"),
			sourcetest.ForcedPush:            load("06", forced),
			sourcetest.SeveralRefs:           load("07", func(w *sourcetest.Truth) { w.Paths = nil }),
			sourcetest.Tag:                   load("08"),
			sourcetest.AnnotatedTag:          load("09"),
			sourcetest.TagDeleted:            load("10"),
			sourcetest.MergeOfKnownCommits:   load("11"),
			sourcetest.Redelivery:            load("12"),
			sourcetest.PullRequestOpened:     load("20", pull(1)),
			sourcetest.PullRequestPushed:     load("21", pull(1)),
			sourcetest.PullRequestDraft:      load("25", pull(3, func(w *sourcetest.Truth) { w.Draft = true })),
			sourcetest.PullRequestMerged:     load("30", pull(1, func(w *sourcetest.Truth) { w.Merged = true })),
			sourcetest.PullRequestClosed:     load("31", pull(1)),
			sourcetest.PullRequestFork:       load("40", pull(2)),
			sourcetest.PullRequestForkGone:   load("42", pull(2)),
			sourcetest.RepositoryRenamed:     load("50"),
			sourcetest.StatusPosted:          load("52"),
		},
		Without: map[sourcetest.Case]string{
			sourcetest.Ping:                   "the host sends none",
			sourcetest.NewBranchWithoutCommit: "not among the recorded; its list is empty, which TestBranchThatGainsNothing has",
			sourcetest.ForcedBack:             "not among the recorded; its list is empty, which TestBranchThatGainsNothing has",
			sourcetest.PullRequestRetargeted:  updated,
			sourcetest.PullRequestReady:       updated,
			sourcetest.PullRequestEdited:      updated,
			sourcetest.PullRequestLabeled:     "the host has no labels",
			sourcetest.PullRequestReopened:    "what is declined stays so",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			d := load("01")
			var m map[string]any
			if err := json.Unmarshal(d.Body, &m); err != nil {
				t.Fatal(err)
			}
			change := m["push"].(map[string]any)["changes"].([]any)[0].(map[string]any)
			change["new"].(map[string]any)["name"] = branch
			m["repository"].(map[string]any)["full_name"] = repository
			var body bytes.Buffer
			if err := json.NewEncoder(&body).Encode(m); err != nil {
				t.Fatal(err)
			}
			d.Body = bytes.TrimSpace(body.Bytes())
			d.Header.Set("X-Hub-Signature", webhook.Sign(secret, d.Body))
			return d
		},
	})
}
