package git_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchyard/webhook"
	"switchyard/webhook/git"
	"switchyard/webhook/sourcetest"
)

func TestSuite(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("%040x", 0xabc000+n) }
	const noCommit = "0000000000000000000000000000000000000000"
	sent := 0
	send := func(p git.Payload, truth ...sourcetest.Truth) sourcetest.Delivery {
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		sent++
		h := http.Header{}
		h.Set("Content-Type", "application/json")
		h.Set(git.HeaderDelivery, fmt.Sprintf("delivery-%d", sent))
		h.Set(git.HeaderSignature, webhook.Sign(secret, body))
		return sourcetest.Delivery{Header: h, Body: body, Truth: truth}
	}
	// push is what the hook reports of an update that gained the given commits, of
	// which the first known were on another branch.
	push := func(ref, before, after string, known int, gained ...string) (git.Payload, sourcetest.Truth) {
		p := git.Payload{Repository: git.Repository{Name: "acme/api"}, Ref: ref, Before: before, After: after}
		truth := sourcetest.Truth{Repository: "acme/api", Ref: ref, Before: before, After: after, Range: gained, Commits: gained[known:], Paths: map[string][]string{}}
		if before == "" {
			p.Before = noCommit
		}
		if after == "" {
			p.After = noCommit
		}
		for i, c := range gained {
			truth.Paths[c] = []string{fmt.Sprintf("a/%d", i)}
			p.Commits = append(p.Commits, git.Commit{ID: c, Message: "m", Distinct: i >= known, Paths: truth.Paths[c]})
		}
		return p, truth
	}
	plain := func(p git.Payload, truth sourcetest.Truth) sourcetest.Delivery { return send(p, truth) }
	forced := func(p git.Payload, truth sourcetest.Truth) sourcetest.Delivery {
		p.Forced, truth.Forced = true, true
		return send(p, truth)
	}
	const main, tag = "refs/heads/main", "refs/tags/v1"
	first := plain(push(main, id(0), id(3), 0, id(1), id(2), id(3)))
	const (
		noPing  = "the hook has nothing to try: its first push does"
		noPulls = "a plain git server has no pull requests"
		whole   = "the hook lists every commit"
	)
	sourcetest.Run(t, sourcetest.Host{
		Source: newSource(t),
		Proof:  []string{git.HeaderSignature},
		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
			sourcetest.Push:                   first,
			sourcetest.Redelivery:             first,
			sourcetest.NewBranch:              plain(push("refs/heads/a", "", id(2), 0, id(1), id(2))),
			sourcetest.NewBranchWithoutCommit: plain(push("refs/heads/b", "", id(2), 0)),
			sourcetest.MergeOfKnownCommits:    plain(push(main, id(0), id(3), 2, id(1), id(2), id(3))),
			sourcetest.ForcedPush:             forced(push(main, id(9), id(2), 0, id(1), id(2))),
			sourcetest.ForcedBack:             forced(push(main, id(9), id(2), 0)),
			sourcetest.BranchDeleted:          plain(push(main, id(9), "", 0)),
			sourcetest.Tag:                    plain(push(tag, "", id(2), 0)),
			sourcetest.AnnotatedTag:           plain(push(tag, id(1), id(2), 0)), // the hook names commits alone
			sourcetest.TagDeleted:             plain(push(tag, id(2), "", 0)),
		},
		Without: map[sourcetest.Case]string{
			sourcetest.Ping:                  noPing,
			sourcetest.PushOverTheLimit:      whole,
			sourcetest.NewBranchOverTheLimit: whole,
			sourcetest.SeveralRefs:           "each ref is a delivery of its own",
			sourcetest.PullRequestOpened:     noPulls, sourcetest.PullRequestDraft: noPulls, sourcetest.PullRequestPushed: noPulls,
			sourcetest.PullRequestRetargeted: noPulls, sourcetest.PullRequestReady: noPulls, sourcetest.PullRequestLabeled: noPulls,
			sourcetest.PullRequestEdited: noPulls, sourcetest.PullRequestClosed: noPulls, sourcetest.PullRequestMerged: noPulls,
			sourcetest.PullRequestReopened: noPulls, sourcetest.PullRequestFork: noPulls, sourcetest.PullRequestForkGone: noPulls,
			sourcetest.RepositoryRenamed: "a move of the repository's folder tells nobody",
			sourcetest.StatusPosted:      "statuses are notes, for which no hook runs",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			p, _ := push("refs/heads/"+branch, id(0), id(1), 0, id(1))
			p.Repository.Name = repository
			return send(p)
		},
	})
	if !strings.HasPrefix(first.Header.Get(git.HeaderSignature), "sha256=") {
		t.Error("not signed")
	}
}
