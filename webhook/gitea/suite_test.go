package gitea_test

import (
	"strings"
	"testing"

	"switchyard/webhook/sourcetest"
)

// The deliveries are a real host's, byte by byte, and so are their signatures.
func TestSuite(t *testing.T) {
	recorded := func(name string, set ...func(*sourcetest.Truth)) sourcetest.Delivery {
		d := sourcetest.Load(t, "testdata/"+name+".json").In("ada/app")
		for _, f := range set {
			f(&d.Truth[0])
		}
		return d
	}
	nothing := func(name string) sourcetest.Delivery {
		d := recorded(name)
		d.Truth = nil
		return d
	}
	pull := func(name string, set ...func(*sourcetest.Truth)) sourcetest.Delivery {
		return recorded(name, append(set, unproven)...)
	}
	sourcetest.Run(t, sourcetest.Host{
		Source:       newSource(t, recordedSecret),
		Proof:        []string{"X-Hub-Signature-256", "X-Gitea-Signature", "X-Gogs-Signature"},
		NoForced:     "no member says so",
		NoLastCommit: "a delete event names the branch alone",
		Deliveries: map[sourcetest.Case]sourcetest.Delivery{
			sourcetest.Ping:                   nothing("60-test-delivery.push"),
			sourcetest.Push:                   recorded("07-push-2-commits-with-merge.push"),
			sourcetest.PushOverTheLimit:       recorded("05-push-12-commits.push", func(t *sourcetest.Truth) { t.Total = 12 }),
			sourcetest.NewBranch:              recorded("04-new-branch-3-commits.push"),
			sourcetest.NewBranchOverTheLimit:  recorded("27-push-60-commits.push"),
			sourcetest.NewBranchWithoutCommit: recorded("13-branch-on-existing-commit.push", unproven),
			sourcetest.MergeOfKnownCommits:    recorded("08-push-merge-of-known-branch.push"),
			sourcetest.ForcedPush:             recorded("11-forced-push-rewrite.push", forced),
			sourcetest.ForcedBack:             recorded("10-forced-push-back.push", forced),
			sourcetest.BranchDeleted:          recorded("12-branch-delete.delete"),
			sourcetest.Tag:                    recorded("14-tag-lightweight.push"),
			sourcetest.AnnotatedTag:           recorded("15-tag-annotated.push"),
			sourcetest.TagDeleted:             recorded("16-tag-delete.push"),
			sourcetest.PullRequestOpened:      pull("29-pr-opened.pull_request"),
			sourcetest.PullRequestDraft:       pull("48-pr-opened-draft.pull_request", func(t *sourcetest.Truth) { t.Draft = true }),
			sourcetest.PullRequestPushed:      pull("30-pr-synchronized.pull_request_sync"),
			sourcetest.PullRequestRetargeted:  pull("35-pr-retargeted.pull_request"),
			sourcetest.PullRequestReady:       pull("38-pr-draft-to-ready.pull_request"),
			sourcetest.PullRequestEdited:      nothing("34-pr-title-edited.pull_request"),
			sourcetest.PullRequestClosed:      pull("39-pr-closed-unmerged.pull_request"),
			sourcetest.PullRequestMerged:      pull("45-pr-merged.pull_request", func(t *sourcetest.Truth) { t.Merged = true }),
			sourcetest.PullRequestReopened:    pull("41-pr-reopened.pull_request"),
			sourcetest.PullRequestFork:        pull("52-fork-pr-opened.pull_request"),
			sourcetest.PullRequestForkGone:    pull("56-fork-deleted.pull_request"),
			sourcetest.StatusPosted:           nothing("59-status-posted.status"),
		},
		Without: map[sourcetest.Case]string{
			sourcetest.SeveralRefs:        "each ref is a delivery of its own",
			sourcetest.PullRequestLabeled: "label_updated does not say which label was given",
			sourcetest.Redelivery:         "a delivery that is sent again has a new ID",
			sourcetest.RepositoryRenamed:  "it tells nobody",
		},
		Named: func(branch, repository string) sourcetest.Delivery {
			return signed("push", mutate(t, "04-new-branch-3-commits.push", func(m object) {
				m["ref"] = "refs/heads/" + branch
				m["repository"].(object)["full_name"] = repository
			}))
		},
	})
}

func unproven(t *sourcetest.Truth) { t.Unproven = true }
func forced(t *sourcetest.Truth)   { t.Forced = true }

// What comes again has a new ID, and is the same otherwise.
func TestRedelivery(t *testing.T) {
	first, again := decode(t, "61-redelivery-original.push"), decode(t, "62-redelivery.push")
	if first.DeliveryID == again.DeliveryID {
		t.Error("the host gives it the same ID by now: the suite has a case for that")
	}
	again.DeliveryID = first.DeliveryID
	same(t, first, again)
}

// A form is signed over the JSON in it.
func TestRecordedFormsAreVerified(t *testing.T) {
	s := newSource(t, recordedSecret)
	for _, name := range []string{"01-first-push-empty-repo.push", "20-paths-and-message-unicode.push", "29-pr-opened.pull_request"} {
		d := sourcetest.Load(t, "testdata/"+name+".form.json")
		if err := s.Verify(d.Header, d.Body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, want := decode(t, name+".form"), decode(t, name)
		got.DeliveryID = want.DeliveryID
		same(t, want, got)
		d.Body = []byte(strings.Replace(string(d.Body), "ada", "eve", 1))
		if s.Verify(d.Header, d.Body) == nil {
			t.Errorf("%s: passes when it is changed", name)
		}
	}
	odd := sourcetest.Load(t, "testdata/23-odd-branch-name.push.form.json")
	if err := s.Verify(odd.Header, odd.Body); err != nil {
		t.Error(err)
	}
}
