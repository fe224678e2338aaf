package codecommit

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"switchyard/dispatch"
)

func (h *host) since(t *testing.T, head string, at int64) []string {
	t.Helper()
	all, err := h.CommitsSince(t.Context(), "api", head, time.Unix(at, 0))
	if err != nil {
		t.Fatal(err)
	}
	shas := []string{}
	for i := range all {
		shas = append(shas, all[i].SHA)
	}
	return shas
}

// Git is asked for the same, whatever the history looks like.
func TestCommitsSince(t *testing.T) {
	h := newHost(t, Config{})
	d := randomDAG(rand.New(rand.NewPCG(7, 9)), 300, 0)
	shas := h.load(t, d)
	head := shas[len(shas)-1]
	for _, from := range []int{0, 150, 280, 299} {
		want := h.revList("--since-as-filter="+time.Unix(d.dates[from], 0).UTC().Format(time.RFC3339), head)
		got := h.since(t, head, d.dates[from])
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); d != "" {
			t.Errorf("since commit %d: %s", from, d)
		}
		at := map[string]int{}
		for i, sha := range got {
			at[sha] = i
		}
		for _, sha := range got {
			for p := range strings.FieldsSeq(h.repo.Git("rev-list", "--parents", "-1", sha)) {
				if i, ok := at[p]; ok && p != sha && i > at[sha] {
					t.Errorf("since commit %d: %.12s comes before its parent", from, sha)
				}
			}
		}
	}
	if got := h.since(t, head, d.dates[299]+1); len(got) != 0 {
		t.Errorf("in the future: %q", got)
	}
	all, err := h.CommitsSince(t.Context(), "api", head, time.Unix(d.dates[299], 0))
	if err != nil || len(all) != 1 || all[0].Message != "commit 299" || !all[0].MessageKnown {
		t.Errorf("%+v, %v", all, err)
	}
}

// A commit whose clock was wrong hides nothing that lies before it; and what is old
// is not walked through to its beginning.
func TestCommitsSinceLooksBehindAWrongDate(t *testing.T) {
	h := newHost(t, Config{})
	d := dag{}
	for i := range 200 {
		d.parents, d.dates = append(d.parents, nil), append(d.dates, int64(1_700_000_000+60*i))
		if i > 0 {
			d.parents[i] = []int{i - 1}
		}
	}
	for i := range 10 {
		d.dates[185+i] = 86_400
	}
	shas := h.load(t, d)
	want := slices.Concat(shas[170:185], shas[195:])
	if diff := cmp.Diff(want, h.since(t, shas[199], d.dates[170])); diff != "" {
		t.Error(diff)
	}
	if calls := len(h.server.Calls("BatchGetCommits")); calls > 30+maxOld+1 {
		t.Errorf("%d calls for 30 commits", calls)
	}
}

func TestCommitsSinceSaysWhatIsWrong(t *testing.T) {
	h := newHost(t, Config{MaxCommits: 5})
	main := h.repo.Chain("main", 8)
	for name, ask := range map[string]struct{ repository, head string }{
		"too many":      {"api", main[7]},
		"no commit":     {"api", strings.Repeat("ab", 20)},
		"no repository": {"other", main[7]},
		"a path":        {"../x", main[7]},
	} {
		if _, err := h.CommitsSince(t.Context(), ask.repository, ask.head, time.Unix(0, 0)); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A walk that takes longer than a call may goes on where it was.
func TestCommitsSinceGoesOnInTheNextCall(t *testing.T) {
	h := newHost(t, Config{})
	main := h.repo.Chain("main", 12)
	for unfinished := 0; ; unfinished++ {
		h.pace = rate.NewLimiter(rate.Every(time.Hour), 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		all, err := h.CommitsSince(ctx, "api", main[11], time.Unix(0, 0))
		cancel()
		if err == nil {
			if len(all) != 12 || unfinished != 2 {
				t.Errorf("%d commits, after %d calls that did not end", len(all), unfinished)
			}
			return
		}
		if !errors.As(err, new(*dispatch.UnfinishedError)) || unfinished > 5 {
			t.Fatalf("call %d: %v", unfinished, err)
		}
	}
}
