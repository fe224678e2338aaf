package bitbucketserver_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
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
		d := sourcetest.Load(t, files[0]).In("ACME/app")
		d.Header.Set("X-Hub-Signature", webhook.Sign(secret, d.Body))
		for i := range d.Truth {
			for _, f := range change {
				f(&d.Truth[i])
			}
		}
		return d
	}
	ping := load("15")
	ping.Header.Del("X-Hub-Signature") // the host signs none
	pull := func(number int, change ...func(*sourcetest.Truth)) func(*sourcetest.Truth) {
		return func(w *sourcetest.Truth) {
			w.Number = number
			for _, f := range change {
				f(w)
			}
		}
	}
	cut := func(w *sourcetest.Truth) { w.Unproven = true }
	// Whether toHash is the commit or a tag's own is not said.
	tag := func(head string) func(*sourcetest.Truth) {
		return func(w *sourcetest.Truth) { w.Head = head }
	}
	several := load("07")
	for i := range several.Truth {
		if w := &several.Truth[i]; strings.HasPrefix(w.Ref, "refs/tags/") {
			w.Head = w.After
		} else {
			w.Unproven = true
		}
	}
	sourcetest.Run(t, sourcetest.Host{
		Source:   newSource(t),
		Proof:    []string{"X-Hub-Signature"},
		NoPaths:  "the host lists no paths anywhere",
		NoForced: "a forced push is an update like any other",
		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
			sourcetest.Ping:                   ping,
			sourcetest.Push:                   load("02"),
			sourcetest.PushOverTheLimit:       load("03"),
			sourcetest.NewBranch:              load("04"),
			sourcetest.BranchDeleted:          load("05"),
			sourcetest.ForcedPush:             load("06", cut, func(w *sourcetest.Truth) { w.Forced = true }),
			sourcetest.SeveralRefs:            several,
			sourcetest.Tag:                    load("08", tag("85df82732cd8ccacc2847532b2b1d9f79a0b2074")),
			sourcetest.AnnotatedTag:           load("09", tag("dc081cea1527a941a5cf724eb683cce0383de35f")),
			sourcetest.TagDeleted:             load("10"),
			sourcetest.NewBranchWithoutCommit: load("11", cut),
			sourcetest.MergeOfKnownCommits:    load("12", cut),
			sourcetest.PullRequestOpened:      load("20", pull(1)),
			sourcetest.PullRequestPushed:      load("21", pull(1)),
			sourcetest.PullRequestRetargeted:  load("24", pull(1, func(w *sourcetest.Truth) { w.OldBase = "main" })),
			sourcetest.PullRequestDraft:       load("25", pull(3, func(w *sourcetest.Truth) { w.Draft = true })),
			sourcetest.PullRequestReady:       load("26", pull(3)),
			sourcetest.PullRequestMerged:      load("29", pull(1, func(w *sourcetest.Truth) { w.Merged = true })),
			sourcetest.PullRequestClosed:      load("30", pull(1)),
			sourcetest.PullRequestFork:        load("40", pull(2)),
			sourcetest.RepositoryRenamed:      load("50"),
		},
		Without: map[sourcetest.Case]string{
			sourcetest.NewBranchOverTheLimit: "to the host it is NewBranch",
			sourcetest.ForcedBack:            "to the host it is ForcedPush",
			sourcetest.PullRequestEdited:     "a change of the title cannot be told from a draft that is made ready: its commit starts what it has not started yet",
			sourcetest.PullRequestLabeled:    "the host has no labels",
			sourcetest.PullRequestReopened:   "the host tells nothing",
			sourcetest.PullRequestForkGone:   "nothing is known of what the host tells then",
			sourcetest.Redelivery:            "the host sends nothing again",
			sourcetest.StatusPosted:          "the host tells nothing",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			d := load("02")
			var m map[string]any
			if err := json.Unmarshal(d.Body, &m); err != nil {
				t.Fatal(err)
			}
			project, name, owned := strings.Cut(repository, "/")
			if !owned {
				project, name = "", repository
			}
			at := m["repository"].(map[string]any)
			at["slug"], at["project"].(map[string]any)["key"] = name, project
			change := m["changes"].([]any)[0].(map[string]any)
			change["ref"].(map[string]any)["id"] = "refs/heads/" + branch
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
