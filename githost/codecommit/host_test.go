package codecommit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"switchyard/dispatch"
	"switchyard/internal/codecommittest"
	"switchyard/internal/event"
)

func TestCommitTellsWhatGitDoes(t *testing.T) {
	for name, asOne := range map[string]bool{"renames as two": false, "renames as one": true} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, Config{})
			h.server.PageSize, h.server.RenamesAsOne = 1, asOne
			long := strings.Repeat("the same line\n", 50)
			root := h.repo.Commit("main", "root", map[string]string{"a": "1", "old/name": long})
			side := h.repo.Commit("side", "side", map[string]string{"b": "2"}, root)
			second := h.repo.Commit("main", "second\n\nand why", map[string]string{"a": "", "old/name": "", "new/name": long}, root)
			merge := h.repo.Commit("main", "merge", map[string]string{"b": "2"}, second, side)
			for sha, want := range map[string][]string{root: {"a", "old/name"}, second: {"a", "new/name", "old/name"}, merge: {"b"}} {
				got, err := h.Commit(t.Context(), "codecommit", "api", sha)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, slices.Sorted(slices.Values(got.Paths))); diff != "" || !got.PathsKnown {
					t.Errorf("%s: %s", got.Message, diff)
				}
			}
			got, err := h.Commit(t.Context(), "codecommit", "api", second)
			if err != nil {
				t.Fatal(err)
			}
			got.Paths = nil
			want := event.Commit{
				SHA: second, Message: "second\n\nand why", MessageKnown: true, Author: "Ada", AuthorEmail: "ada@example.test", Distinct: true, PathsKnown: true,
				URL: "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/api/commit/" + second + "?region=eu-west-1",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsHaveTheirVerdict(t *testing.T) {
	fail := func(f codecommittest.FaultError) func(codecommittest.Call) error {
		return func(codecommittest.Call) error { return &f }
	}
	permanent := func(err error) bool { return errors.As(err, new(*dispatch.PermanentError)) }
	cannotAsk := func(err error) bool { return errors.Is(err, dispatch.ErrCannotAsk) }
	throttled := func(err error) bool { return errors.As(err, new(*dispatch.ThrottledError)) }
	again := func(err error) bool {
		return err != nil && !permanent(err) && !cannotAsk(err) && !throttled(err) && !errors.As(err, new(*dispatch.UnfinishedError))
	}
	for name, row := range map[string]struct {
		fault func(codecommittest.Call) error
		is    func(error) bool
		calls int
	}{
		"throttled":             {fail(codecommittest.FaultError{Code: "ThrottlingException"}), throttled, tries},
		"throttled in XML":      {fail(codecommittest.FaultError{Code: "ThrottlingException", XML: true}), throttled, tries},
		"no access":             {fail(codecommittest.FaultError{Code: "AccessDeniedException"}), cannotAsk, 1},
		"unknown credentials":   {fail(codecommittest.FaultError{Code: "UnrecognizedClientException"}), cannotAsk, 1},
		"key may not be used":   {fail(codecommittest.FaultError{Code: "EncryptionKeyAccessDeniedException"}), cannotAsk, 1},
		"repository is gone":    {fail(codecommittest.FaultError{Code: "RepositoryDoesNotExistException"}), permanent, 1},
		"the service fails":     {fail(codecommittest.FaultError{Code: "InternalFailure", Status: 500}), again, tries},
		"the service is away":   {fail(codecommittest.FaultError{Code: "ServiceUnavailable", Status: 503}), again, tries},
		"expired credentials":   {fail(codecommittest.FaultError{Code: "ExpiredTokenException"}), again, tries},
		"the connection is cut": {func(codecommittest.Call) error { return errors.New("cut") }, again, tries},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, Config{})
			sha := h.repo.Commit("main", "one", map[string]string{"a": "1"})
			h.server.Intercept(row.fault)
			if _, err := h.Commits(t.Context(), push("main", "", sha)); !row.is(err) || len(h.server.Calls()) != row.calls {
				t.Errorf("Commits: %T %v after %d calls, want %d", err, err, len(h.server.Calls()), row.calls)
			}
			if _, err := h.Commit(t.Context(), "codecommit", "api", sha); !row.is(err) {
				t.Errorf("Commit: %T %v", err, err)
			}
		})
	}
}

func TestWhatTheRepositoryLacksIsPermanent(t *testing.T) {
	h := newHost(t, Config{})
	h.repo.Commit("main", "one", map[string]string{"a": "1"})
	missing := strings.Repeat("ab", 20)
	var permanent *dispatch.PermanentError
	if _, err := h.Commits(t.Context(), push("main", "", missing)); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "has no commit abababababab") {
		t.Errorf("Commits: %v", err)
	}
	if _, err := h.Commit(t.Context(), "codecommit", "api", missing); !errors.As(err, &permanent) {
		t.Errorf("Commit: %v", err)
	}
}

// Names that could lead elsewhere are not asked about.
func TestHostileNamesAreRefused(t *testing.T) {
	h := newHost(t, Config{})
	for _, row := range [][2]string{{"a/b", commitName(1)}, {"", commitName(1)}, {strings.Repeat("a", 101), commitName(1)}, {"api\n", commitName(1)}, {"api", "HEAD"}, {"api", "--all"}, {"api", ""}, {"api", strings.Repeat("A", 40)}} {
		if _, err := h.Commit(t.Context(), "codecommit", row[0], row[1]); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%q: %v", row, err)
		}
	}
	if n := len(h.server.Calls()); n > 0 {
		t.Errorf("%d calls were made", n)
	}
}

// One call that fails in passing costs that call, and nothing that came before.
func TestFailuresInPassingCostOneCall(t *testing.T) {
	h := newHost(t, Config{})
	var after string
	before := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	for i := range 12 {
		after = h.repo.Commit("main", fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
	}
	var n atomic.Int64
	h.server.Intercept(func(codecommittest.Call) error {
		switch n.Add(1) {
		case 5:
			return &codecommittest.FaultError{Code: "ThrottlingException", XML: true}
		case 8, 9:
			return errors.New("cut")
		}
		return nil
	})
	if got := h.shas(t, push("main", before, after)); len(got) != 12 {
		t.Errorf("got %d commits", len(got))
	}
	if n := n.Load(); n != 12+3 && n != 13+3 {
		t.Errorf("%d calls", n)
	}
}

// A call that ends with its time goes on where it was.
func TestLongHistoriesAreFinishedByLaterCalls(t *testing.T) {
	h := newHost(t, Config{})
	var after string
	before := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	for i := range 10 {
		after = h.repo.Commit("main", fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
	}
	// Each call has time for three: the pace leaves no more.
	h.pace = rate.NewLimiter(rate.Every(time.Hour), 3)
	unfinished := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		all, err := h.Commits(ctx, push("main", before, after))
		cancel()
		if err == nil {
			if len(all) != 10 {
				t.Errorf("%d commits", len(all))
			}
			break
		}
		if !errors.As(err, new(*dispatch.UnfinishedError)) || unfinished > 5 {
			t.Fatalf("after %d calls: %T %v", unfinished, err, err)
		}
		unfinished++
		h.pace = rate.NewLimiter(rate.Every(time.Hour), 3)
	}
	if unfinished < 3 {
		t.Errorf("it ended after %d calls", unfinished+1)
	}
	// Without anything found out, it is an error as any other.
	h.Client = connect(t, h.server, Config{})
	h.pace = rate.NewLimiter(rate.Every(time.Hour), 1)
	h.pace.Allow()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := h.Commits(ctx, push("main", before, after)); errors.As(err, new(*dispatch.UnfinishedError)) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%T %v", err, err)
	}
}

func TestTooManyCommitsArePermanent(t *testing.T) {
	h := newHost(t, Config{MaxCommits: 4})
	before := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	var after string
	for i := range 5 {
		if after = h.repo.Commit("main", fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)}); i == 3 {
			if got := h.shas(t, push("main", before, after)); len(got) != 4 {
				t.Errorf("%d commits", len(got))
			}
		}
	}
	if _, err := h.Commits(t.Context(), push("main", before, after)); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "more than 4 commits") {
		t.Errorf("%v", err)
	}
}

// Who may not ask for merge bases has them found by walking.
func TestMergesAreFoundWithoutMergeBases(t *testing.T) {
	h := newHost(t, Config{})
	h.server.Intercept(func(c codecommittest.Call) error {
		if c.Operation == "GetMergeCommit" {
			return &codecommittest.FaultError{Code: "AccessDeniedException"}
		}
		return nil
	})
	base := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	before := h.repo.Commit("main", "before", map[string]string{"a": "2"})
	side := h.repo.Commit("side", "side", map[string]string{"b": "2"}, base)
	merge := h.repo.Commit("main", "merge", map[string]string{"b": "2"}, before, side)
	if got := h.shas(t, push("main", before, merge)); !cmp.Equal(got, []string{side, merge}) {
		t.Errorf("got %v", got)
	}
}

func TestATagBringsItsCommit(t *testing.T) {
	h := newHost(t, Config{})
	h.repo.Commit("main", "base", map[string]string{"a": "1"})
	tip := h.repo.Commit("main", "tip", map[string]string{"a": "2"})
	e := push("", "", tip)
	e.Ref = "refs/tags/v1"
	if got := h.shas(t, e); !cmp.Equal(got, []string{tip}) {
		t.Errorf("got %v", got)
	}
}

func TestConsoleIsThatOfThePartition(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1":     "https://us-east-1.console.aws.amazon.com/codesuite/codecommit/repositories/api/commit/1?region=us-east-1",
		"cn-north-1":    "https://cn-north-1.console.amazonaws.cn/codesuite/codecommit/repositories/api/commit/1?region=cn-north-1",
		"us-gov-west-1": "https://us-gov-west-1.console.amazonaws-us-gov.com/codesuite/codecommit/repositories/api/commit/1?region=us-gov-west-1",
	} {
		c := &Client{cfg: Config{}}
		c.cfg.Region = region
		if got := c.console("api", "1"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
