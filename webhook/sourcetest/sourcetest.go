// Package sourcetest says what a [webhook.Source] must make of what its host
// sends. Every source runs the same suite.
//
// A source's test gives for each [Case] the delivery as the host makes it, signed,
// and the [Truth]: what git did, whatever the host tells of it. What a host does
// not send or tell is said with a reason; nothing is left out in silence:
//
//	sourcetest.Run(t, sourcetest.Host{
//		Source: source,
//		Proof:  []string{"X-Hub-Signature-256"},
//		Named:  func(branch, repository string) sourcetest.Delivery { … },
//		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
//			sourcetest.Push: sourcetest.Load(t, "testdata/push.json"),
//			…
//		},
//		Without: map[sourcetest.Case]string{
//			sourcetest.Ping: "the host sends none",
//			…
//		},
//	})
//
// The rule for commits is one for all cases: an event lists, oldest first and
// with the head last, commits that the ref really gained, and either it lists all
// of them or it is Truncated. Where the host does not tell a head's ID, the event
// lists none.
package sourcetest

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"switchyard/webhook"
)

// Case is a delivery that every host is asked for.
type Case string

// The cases. Those of one ref have one Truth.
const (
	// Ping is what the host sends to try a webhook: it starts nothing.
	Ping Case = "Ping"

	// Push brings two commits or more to a branch that existed, and the host
	// lists as many.
	Push Case = "Push"
	// PushOverTheLimit brings more commits than the host lists.
	PushOverTheLimit Case = "PushOverTheLimit"
	// NewBranch brings commits of its own, and NewBranchOverTheLimit more than
	// the host lists.
	NewBranch              Case = "NewBranch"
	NewBranchOverTheLimit  Case = "NewBranchOverTheLimit"
	NewBranchWithoutCommit Case = "NewBranchWithoutCommit"
	// MergeOfKnownCommits gains commits that the repository had on another branch.
	MergeOfKnownCommits Case = "MergeOfKnownCommits"
	// ForcedPush leads from a commit that After does not descend from.
	ForcedPush Case = "ForcedPush"
	// ForcedBack moves a branch back to a commit that it had.
	ForcedBack    Case = "ForcedBack"
	BranchDeleted Case = "BranchDeleted"

	Tag Case = "Tag"
	// AnnotatedTag's truth names the commit that the tag leads to, and not the
	// tag object.
	AnnotatedTag Case = "AnnotatedTag"
	TagDeleted   Case = "TagDeleted"
	// SeveralRefs is one delivery that tells of several refs, a Truth each.
	SeveralRefs Case = "SeveralRefs"

	PullRequestOpened Case = "PullRequestOpened"
	PullRequestDraft  Case = "PullRequestDraft" // opened as one
	// PullRequestPushed has a new head.
	PullRequestPushed     Case = "PullRequestPushed"
	PullRequestRetargeted Case = "PullRequestRetargeted"
	PullRequestReady      Case = "PullRequestReady" // a draft before
	PullRequestLabeled    Case = "PullRequestLabeled"
	// PullRequestEdited changes the title alone: it starts nothing.
	PullRequestEdited   Case = "PullRequestEdited"
	PullRequestClosed   Case = "PullRequestClosed"
	PullRequestMerged   Case = "PullRequestMerged"
	PullRequestReopened Case = "PullRequestReopened"
	PullRequestFork     Case = "PullRequestFork" // opened from a fork
	// PullRequestForkGone is any event of one whose fork is deleted that is not
	// ignored.
	PullRequestForkGone Case = "PullRequestForkGone"

	// Redelivery is the delivery of Push once more, as the host sends it again
	// when it is asked to or does so by itself.
	Redelivery Case = "Redelivery"
	// RepositoryRenamed and StatusPosted start nothing. The latter is what comes
	// back of a status that we posted.
	RepositoryRenamed Case = "RepositoryRenamed"
	StatusPosted      Case = "StatusPosted"
)

// Delivery is one call of a host.
type Delivery struct {
	Header http.Header
	Body   []byte
	// Truth is of each ref that the delivery tells of, in its order; none where
	// it starts nothing.
	Truth []Truth
}

// Host is a source, and what its host sends.
type Host struct {
	// Source takes the deliveries: it has the secret that they are signed with.
	Source webhook.Source
	// Deliveries has what the host sends in a case, Without why there is none.
	// Each case is in one of them.
	Deliveries map[Case]Delivery
	Without    map[Case]string

	// Proof are the headers that prove a delivery, in each of which there is
	// enough.
	Proof []string
	// Named returns a push, signed, to the given branch of the given repository,
	// whatever is in the names.
	Named func(branch, repository string) Delivery

	// What the host cannot tell, each with the reason; empty where it can.

	// ProofWithoutBody says why a body that was changed passes.
	ProofWithoutBody string
	// NoPaths says why it is not known which files a commit changed.
	NoPaths string
	// NoForced says why a forced push looks like another.
	NoForced string
	// HeadOnly says why no push is known to be whole, so that all are Truncated.
	HeadOnly string
	// NoLastCommit says why it is not known where a deleted branch was.
	NoLastCommit string
}

// Run runs the suite.
func Run(t *testing.T, h Host) {
	if h.Source == nil || len(h.Proof) == 0 || h.Named == nil {
		t.Fatal("sourcetest.Host needs Source, Proof and Named")
	}
	known := map[Case]bool{}
	for _, c := range cases {
		known[c.name] = true
		t.Run(string(c.name), func(t *testing.T) { h.runCase(t, &c) })
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(h.Deliveries)), slices.Sorted(maps.Keys(h.Without))) {
		if !known[name] {
			t.Errorf("%s is not a case of the suite", name)
		}
	}
	t.Run("Proof", h.proof)
	t.Run("SentTwice", h.sentTwice)
	t.Run("HostileNames", h.hostileNames)
}

// runCase verifies and decodes the delivery of one case.
func (h *Host) runCase(t *testing.T, c *kind) {
	d, sent := h.Deliveries[c.name]
	reason, without := h.Without[c.name]
	switch {
	case sent && without:
		t.Fatalf("in both Deliveries and Without (%s): keep one", reason)
	case without && reason == "":
		t.Fatal("Without gives no reason")
	case without:
		t.Skip("not of this host: " + reason)
	case !sent:
		t.Fatalf("no delivery: give one under Deliveries, or say under Without why the host sends none. %s", c.of)
	}
	if problem := c.problem(d.Truth); problem != "" {
		t.Fatalf("the delivery is not of this case: %s. %s", problem, c.of)
	}
	if p, ok := h.Source.(webhook.Prechecker); ok {
		if err := p.Precheck(d.Header); err != nil {
			t.Fatalf("refused by its header: %v", err)
		}
	}
	if err := h.Source.Verify(d.Header, d.Body); err != nil {
		t.Fatalf("refused: %v", err)
	}
	evs, err := webhook.DecodeAll(h.Source, d.Header, d.Body)
	if c.ignored {
		checkIgnored(t, evs, err)
		return
	}
	if err != nil {
		t.Fatalf("not decoded: %v", err)
	}
	if len(evs) != len(d.Truth) {
		t.Fatalf("%d events, want one for each of the %d refs", len(evs), len(d.Truth))
	}
	ids := map[string]bool{}
	for i := range evs {
		h.check(t, c, &d.Truth[i], &evs[i])
		ids[evs[i].DeliveryID] = true
	}
	if len(ids) != len(evs) {
		t.Errorf("%d delivery IDs for %d events: %v", len(ids), len(evs), slices.Sorted(maps.Keys(ids)))
	}
	if c.name == Redelivery {
		h.checkRedelivery(t, evs)
	}
}
