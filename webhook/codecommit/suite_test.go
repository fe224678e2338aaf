package codecommit_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"switchyard/webhook/eventbridge"
	"switchyard/webhook/sourcetest"
)

// The suite runs at the door of API destinations: its proof is the simplest.
func TestSuite(t *testing.T) {
	const key = "an API key of the tests"
	source, err := eventbridge.New(decoder(t), eventbridge.Config{APIKeys: []string{key}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(body []byte, truth ...sourcetest.Truth) sourcetest.Delivery {
		h := http.Header{}
		h.Set("Content-Type", "application/json")
		h.Set(eventbridge.DefaultHeader, key)
		return sourcetest.Delivery{Header: h, Body: body, Truth: truth}
	}
	load := func(name string, truth ...sourcetest.Truth) sourcetest.Delivery { return send(read(t, name), truth...) }
	const (
		onMain   = "refs/heads/main"
		three    = "refs/heads/feature/three"
		threeTip = "2177a438f8ec4abb1e7ca27967f2e4978fab2223"
		tipOnly  = "an event names the tip alone, whatever the push brought"
		like     = "to CodeCommit it is an update like any other, which ForcedPush has"
		noDrafts = "CodeCommit has no drafts"
		noForks  = "CodeCommit has no forks"
		noEdits  = "no such event exists"
	)
	push := func(ref, before, after string, gained ...string) sourcetest.Truth {
		return sourcetest.Truth{Repository: "app", Ref: ref, Before: before, After: after, Commits: gained}
	}
	forced := push(three, threeTip, "9b5a48b6413816a2bea90d7fd1b5e8f00de0babf", "9b5a48b6413816a2bea90d7fd1b5e8f00de0babf")
	forced.Forced = true
	merge := push(onMain, "2e9d02cc035853dcf3a53ae3ea048b990a482ccb", "85df82732cd8ccacc2847532b2b1d9f79a0b2074", "85df82732cd8ccacc2847532b2b1d9f79a0b2074")
	merge.Range = []string{"7ab4c4307fd768cfa94c43891c5d523345b2cdfd", "8fbdd19f61384122e219f776e9ebc45d5b91ac52", threeTip, merge.After}
	twelve := push(onMain, "76df9ca663b0fd81a1fb593646384d630fde6999", "3379d18ab67e9fbadfebe96832178648ba0efcd1", strings.Fields(
		`a7fb3048aee232768ec25ecda2494446d6422ac8 dc9b506f351912186d76cf952e3441f1b95faf22 ebd8b552460fdb78a9dcb5975c12a09234713ad4
		2d1d1074bbc7531b321688bfc559942e654dd8ce 294cacda4776cf9d30f6f2ebbbe54f0318d3e89f b4facb5dcf84534c3c5ef9f326ca2218f4648ddb
		4a3d4df6afca7b1c0e606a7409f7b3b9bb81c008 0d7d5d9c9b8fa6820275216f240ec3757af9af3a 63c98798677d19b1b46c407771c445c9f261aa6f
		561dfad0a47d6ec80781629adca860088e3eb01d 2c876d59aff6b7d8b430209eac3d9980cce1f440 3379d18ab67e9fbadfebe96832178648ba0efcd1`)...)
	pull := func(head string, merged bool) sourcetest.Truth {
		// An event does not tell how many commits it has.
		return sourcetest.Truth{Repository: "app", Ref: "refs/heads/topic", After: head, Commits: []string{head}, Unproven: true, Number: 1, Base: "main", Merged: merged}
	}
	created := func(ref, tip string) sourcetest.Truth { return push(ref, "", tip, tip) }
	sourcetest.Run(t, sourcetest.Host{
		Source:           source,
		Proof:            []string{eventbridge.DefaultHeader},
		ProofWithoutBody: "an API destination signs nothing: its key is the proof",
		NoPaths:          tipOnly,
		NoForced:         "a forced push is an update like any other",
		HeadOnly:         tipOnly,
		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
			sourcetest.Ping:                load("trigger-test.json"),
			sourcetest.Push:                load("reference-updated.json", twelve),
			sourcetest.PushOverTheLimit:    load("reference-updated.json", twelve),
			sourcetest.Redelivery:          load("reference-updated.json", twelve),
			sourcetest.NewBranch:           load("reference-created.json", push(three, "", threeTip, merge.Range[:3]...)),
			sourcetest.MergeOfKnownCommits: load("reference-updated-by-merge.json", merge),
			sourcetest.ForcedPush:          load("reference-updated-forced.json", forced),
			sourcetest.BranchDeleted:       load("reference-deleted.json", push("refs/heads/feature/one", "2d1150b0f180d072fc60f2a1f7653a9e671c314a", "")),
			sourcetest.Tag:                 load("tag-created.json", push("refs/tags/v1.0.0", "", merge.After)),
			sourcetest.TagDeleted:          load("tag-deleted.json", push("refs/tags/v1.0.0", merge.After, "")),
			sourcetest.SeveralRefs: load("trigger-several-refs.json",
				created("refs/heads/multi-a", "d32b5810d5dd76fcc2c41ed92612dda7dffb2241"),
				created("refs/heads/multi-b", "71a0c5a8cc4d6cf07163d41511611f3f7b080755"),
				created("refs/tags/multi-tag", "71a0c5a8cc4d6cf07163d41511611f3f7b080755")),
			sourcetest.PullRequestOpened: load("pr-created.json", pull("930cbdc6323f8b97102c64b0ed9b5e20a38e55ff", false)),
			sourcetest.PullRequestPushed: load("pr-source-updated.json", pull("ca69af5a6d1828499f0f842f5ca8d3d52d130d6f", false)),
			sourcetest.PullRequestClosed: load("pr-closed.json", pull("cda2f54d430ce826c65946cd900c01d51f1927be", false)),
			sourcetest.PullRequestMerged: load("pr-merged.json", pull("cda2f54d430ce826c65946cd900c01d51f1927be", true)),
		},
		Without: map[sourcetest.Case]string{
			sourcetest.NewBranchOverTheLimit:  "to CodeCommit it is NewBranch",
			sourcetest.NewBranchWithoutCommit: "to CodeCommit it is NewBranch",
			sourcetest.ForcedBack:             like,
			sourcetest.AnnotatedTag:           "nothing tells whether commitId is then the tag or its commit",
			sourcetest.PullRequestDraft:       noDrafts,
			sourcetest.PullRequestReady:       noDrafts,
			sourcetest.PullRequestFork:        noForks,
			sourcetest.PullRequestForkGone:    noForks,
			sourcetest.PullRequestRetargeted:  "the destination of a pull request stays",
			sourcetest.PullRequestLabeled:     "CodeCommit has no labels",
			sourcetest.PullRequestEdited:      noEdits,
			sourcetest.PullRequestReopened:    "what is closed stays closed",
			sourcetest.RepositoryRenamed:      noEdits,
			sourcetest.StatusPosted:           "CodeCommit has no commit statuses",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			var m map[string]any
			if err := json.Unmarshal(read(t, "reference-updated.json"), &m); err != nil {
				t.Fatal(err)
			}
			detail := m["detail"].(map[string]any)
			detail["repositoryName"], detail["referenceName"], detail["referenceFullName"] = repository, branch, "refs/heads/"+branch
			body, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return send(bytes.TrimSpace(body))
		},
	})
}
