package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
)

// running starts a worker whose jitter is always the most, so that backoffs
// are exact; it ends with the test.
func running(t *testing.T, outbox Outbox, posters map[string]Poster, cfg Config, opts ...Option) *Worker {
	t.Helper()
	w, err := New(outbox, posters, cfg, append(opts, WithJitter(func() float64 { return 1 }))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return w
}

// pass lets time go by in the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestWorkerPostsWithLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, poster := newOutbox(), &fakePoster{}
		outbox.want(1, row("a", dispatch.StatusPending))
		w := running(t, outbox, map[string]Poster{"github": poster}, Config{Link: func(id string) string { return "https://yard.example/executions/" + id }})
		synctest.Wait()
		want := []posted{{0, "a", dispatch.StatusPending, "https://yard.example/executions/x-a"}}
		if diff := cmp.Diff(want, poster.seen()); diff != "" {
			t.Errorf("posts (-want +got):\n%s", diff)
		}
		if n := outbox.open(); n != 0 {
			t.Errorf("%d rows left", n)
		}
		// What is wanted later is found by polling.
		outbox.want(1, row("a", dispatch.StatusSuccess))
		pass(time.Second)
		if got := poster.seen(); len(got) != 2 || got[1].StatusState != dispatch.StatusSuccess {
			t.Errorf("posts: %v", got)
		}
		if diff := cmp.Diff([]Stats{{Source: "github", Posted: 2, Lag: time.Second}}, w.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

func TestWorkerKeepsWithinLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const commits = 2048
		outbox := newOutbox()
		for i := range commits {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusSuccess))
		}
		poster := &fakePoster{limits: Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}, answer: func(ctx context.Context, _ dispatch.Status) error {
			select {
			case <-time.After(300 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(4*time.Hour + 10*time.Minute)
		posts := poster.seen()
		if len(posts) != commits || outbox.open() != 0 {
			t.Fatalf("%d posts and %d rows left after four hours, want %d and none", len(posts), outbox.open(), commits)
		}
		for i, p := range posts {
			if i >= 80 && p.At-posts[i-80].At < time.Minute {
				t.Fatalf("posts %d to %d lie within %v", i-80, i, p.At-posts[i-80].At)
			}
			if i >= 500 && p.At-posts[i-500].At < time.Hour {
				t.Fatalf("posts %d to %d lie within %v", i-500, i, p.At-posts[i-500].At)
			}
		}
		// 2,000 in the first four hours, the rest at the start of the fifth.
		if last := posts[commits-1].At; last > 4*time.Hour+10*time.Minute {
			t.Errorf("the last post came after %v: the limits were not used up", last)
		}
		if poster.peak != 4 {
			t.Errorf("%d posts at once, want 4", poster.peak)
		}
	})
}

func TestWorkerTellsNewestFirstAndOnlyTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, poster := newOutbox(), &fakePoster{limits: Limits{PerMinute: 1}}
		for i := range 3 {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusPending))
		}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		synctest.Wait()                                  // tells 2, the newest
		outbox.want(0, row("0", dispatch.StatusSuccess)) // ends before it was told pending
		outbox.want(3, row("3", dispatch.StatusPending)) // arrives later, overtakes
		pass(10 * time.Minute)
		want := []posted{
			{0, "2", dispatch.StatusPending, ""},
			{1 * time.Minute, "0", dispatch.StatusSuccess, ""},
			{2 * time.Minute, "3", dispatch.StatusPending, ""},
			{3 * time.Minute, "1", dispatch.StatusPending, ""},
		}
		if diff := cmp.Diff(want, poster.seen()); diff != "" {
			t.Errorf("posts (-want +got):\n%s", diff)
		}
	})
}

func TestWorkerTellsStateThatCameDuringPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("a", dispatch.StatusPending))
		poster := &fakePoster{answer: func(_ context.Context, s dispatch.Status) error {
			if s.State == dispatch.StatusPending {
				outbox.want(1, row("a", dispatch.StatusFailure))
			}
			return nil
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		synctest.Wait()
		if got := poster.seen(); len(got) != 2 || got[1].StatusState != dispatch.StatusFailure || outbox.open() != 0 {
			t.Errorf("posts %v, %d rows left; want pending, then failure", got, outbox.open())
		}
	})
}

func TestWorkerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("a", dispatch.StatusSuccess))
		poster := &fakePoster{answer: func(context.Context, dispatch.Status) error { return errors.New("502 bad gateway") }}
		w := running(t, outbox, map[string]Poster{"github": poster}, Config{MinBackoff: 2 * time.Second, MaxBackoff: 10 * time.Second})
		pass(35 * time.Second)
		var at []time.Duration
		for _, p := range poster.seen() {
			at = append(at, p.At)
		}
		want := []time.Duration{0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 24 * time.Second, 34 * time.Second}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		if r := outbox.row(row("a", "")); r.Tries != 6 || r.refused != "" || r.done {
			t.Errorf("row = %+v, want it waiting after 6 tries", r)
		}
		if got := w.Stats()[0]; got.Failed != 6 || got.Held != 1 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestWorkerBacksOffWithJitter(t *testing.T) {
	w, err := New(newOutbox(), nil, Config{MinBackoff: 2 * time.Second, MaxBackoff: time.Minute}, WithJitter(func() float64 { return 0 }))
	if err != nil {
		t.Fatal(err)
	}
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 64: 30 * time.Second, 1 << 30: 30 * time.Second} {
		if got := w.backoff(failures, w.cfg.MinBackoff, w.cfg.MaxBackoff); got != want {
			t.Errorf("least backoff after %d failures = %v, want %v", failures, got, want)
		}
	}
}

func TestWorkerSparesHostThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 1000 {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusSuccess))
		}
		var up atomic.Bool
		poster := &fakePoster{limits: Limits{Concurrent: 2}, answer: func(context.Context, dispatch.Status) error {
			if up.Load() {
				return nil
			}
			return errors.New("connection refused")
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(10 * time.Minute)
		if n := len(poster.seen()); n > 30 {
			t.Errorf("%d posts to a host that was down for 10 minutes", n)
		}
		up.Store(true)
		pass(time.Hour)
		if n := outbox.open(); n != 0 {
			t.Errorf("%d rows left an hour after the host came back", n)
		}
	})
}

func TestWorkerOneBadRowDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1000, row("bad", dispatch.StatusSuccess))
		for i := range 100 {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusSuccess))
		}
		poster := &fakePoster{limits: Limits{Concurrent: 2}, answer: func(_ context.Context, s dispatch.Status) error {
			if s.SHA == "bad" {
				return errors.New("500 for this one alone")
			}
			return nil
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(time.Second)
		if n := outbox.open(); n != 1 {
			t.Errorf("%d rows left after a second, want the bad one alone", n)
		}
	})
}

func TestWorkerRecordsRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("gone", dispatch.StatusSuccess))
		outbox.want(2, row("here", dispatch.StatusSuccess))
		poster := &fakePoster{answer: func(_ context.Context, s dispatch.Status) error {
			if s.SHA == "gone" {
				return &dispatch.PermanentError{Err: errors.New("422 No commit found for SHA")}
			}
			return nil
		}}
		w := running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(2 * time.Hour)
		if got := outbox.row(row("gone", "")).refused; got != "422 No commit found for SHA" {
			t.Errorf("recorded reason %q", got)
		}
		if n := len(poster.seen()); n != 2 {
			t.Errorf("%d posts, want one of each", n)
		}
		if got := w.Stats()[0]; got.Refused != 1 || got.Posted != 1 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestWorkerObeysThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 3 {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusSuccess))
		}
		answers := []error{
			&dispatch.ThrottledError{After: 90 * time.Second, Err: errors.New("secondary rate limit")},
			&dispatch.ThrottledError{Err: errors.New("429")}, // does not say how long
			&dispatch.ThrottledError{Err: errors.New("429")},
		}
		poster := &fakePoster{answer: func(context.Context, dispatch.Status) error {
			if len(answers) == 0 {
				return nil
			}
			err := answers[0]
			answers = answers[1:]
			return err
		}}
		w := running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(time.Minute)
		if got := w.Stats()[0].PausedUntil; !got.Equal(began.Add(90 * time.Second)) {
			t.Errorf("paused until %v, want 90 s", got)
		}
		pass(time.Hour)
		var at []time.Duration
		for _, p := range poster.seen() {
			at = append(at, p.At)
		}
		want := []time.Duration{0, 90 * time.Second, 90*time.Second + 4*time.Minute, 90*time.Second + 12*time.Minute}
		want = append(want, want[3], want[3])
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("posts (-want +got):\n%s", diff)
		}
		for i := range 3 {
			if r := outbox.row(row(fmt.Sprint(i), "")); r.Tries != 0 || !r.done {
				t.Errorf("row %d = %+v, want it posted with no failed try", i, r)
			}
		}
		if got := w.Stats()[0]; got.Throttled != 3 || !got.PausedUntil.IsZero() {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestWorkerTakesRowsWithoutPosterAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 250 {
			outbox.want(int64(i), row(fmt.Sprint(i), dispatch.StatusPending))
		}
		running(t, outbox, map[string]Poster{"github": nil}, Config{})
		synctest.Wait()
		if n := outbox.open(); n != 0 {
			t.Errorf("%d rows are stuck", n)
		}
	})
}

func TestWorkerSetPosters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("a", dispatch.StatusSuccess))
		broken := &fakePoster{limits: Limits{PerMinute: 1}, answer: func(context.Context, dispatch.Status) error {
			return &dispatch.ThrottledError{After: time.Hour, Err: errors.New("bad token")}
		}}
		w := running(t, outbox, map[string]Poster{"github": broken}, Config{})
		pass(time.Second)
		// A reload with a good token does not wait out the hour, but the limits.
		fixed, added := &fakePoster{limits: broken.limits}, &fakePoster{}
		outbox.want(2, dispatch.Status{Source: "gitea", Repository: "r", SHA: "b", Context: "c", State: dispatch.StatusSuccess})
		w.SetPosters(map[string]Poster{"github": fixed, "gitea": added})
		synctest.Wait()
		if got := added.seen(); len(got) != 1 {
			t.Errorf("the added source was told %v", got)
		}
		pass(time.Minute)
		if got := fixed.seen(); len(got) != 1 || got[0].At != time.Minute {
			t.Errorf("after the reload: %v, want one post after a minute", got)
		}
		// A source that was taken out has nothing to be told.
		w.SetPosters(map[string]Poster{"github": fixed})
		outbox.want(3, dispatch.Status{Source: "gitea", Repository: "r", SHA: "c", Context: "c", State: dispatch.StatusSuccess})
		pass(time.Second)
		if n := outbox.open(); n != 0 || len(added.seen()) != 1 {
			t.Errorf("%d rows left, posts %v", n, added.seen())
		}
	})
}

func TestWorkerHangingHostTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("a", dispatch.StatusSuccess))
		hangs := true
		poster := &fakePoster{answer: func(ctx context.Context, _ dispatch.Status) error {
			if !hangs {
				return nil
			}
			hangs = false
			<-ctx.Done()
			return ctx.Err()
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{PostTimeout: 30 * time.Second, MinBackoff: 2 * time.Second})
		pass(time.Minute)
		if got := poster.seen(); len(got) != 2 || got[1].At != 32*time.Second || outbox.open() != 0 {
			t.Errorf("posts %v; want a second one after the timeout and backoff", got)
		}
	})
}

func TestWorkerInterruptedIsNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		hangs, through := row("hangs", dispatch.StatusSuccess), row("through", dispatch.StatusSuccess)
		through.Repository = "acme/web" // of each repository one is posted at first
		outbox.want(1, hangs)
		outbox.want(2, through)
		poster := &fakePoster{limits: Limits{Concurrent: 2}, answer: func(ctx context.Context, s dispatch.Status) error {
			<-ctx.Done()
			if s.SHA == "through" {
				return nil // the answer came in just then
			}
			return fmt.Errorf("post: %w", ctx.Err())
		}}
		w, err := New(outbox, map[string]Poster{"github": poster}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if n := len(poster.seen()); n != 2 {
			t.Errorf("%d posts were under way, want both", n)
		}
		if r := outbox.row(hangs); r.Tries != 0 || r.done || r.refused != "" {
			t.Errorf("interrupted row = %+v, want it untouched", r)
		}
		if r := outbox.row(through); !r.done {
			t.Errorf("row that got through = %+v, want it recorded", r)
		}
	})
}

func TestWorkerSurvivesJournalFaults(t *testing.T) {
	for _, method := range []string{"next", "posted"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outbox, poster := newOutbox(), &fakePoster{}
				outbox.want(1, row("a", dispatch.StatusSuccess))
				outbox.setFail(method, errors.New("database is locked"))
				running(t, outbox, map[string]Poster{"github": poster}, Config{})
				pass(10 * time.Minute)
				outbox.setFail(method, nil)
				pass(time.Hour)
				if n := outbox.open(); n != 0 {
					t.Errorf("%d rows left after the journal came back", n)
				}
				if n := len(poster.seen()); n != 1 {
					t.Errorf("the host was told %d times of one state", n)
				}
			})
		})
	}
}

func TestWorkerRepeatsRefusalThatWasNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.want(1, row("a", dispatch.StatusSuccess))
		outbox.setFail("failed", errors.New("disk full"))
		poster := &fakePoster{answer: func(context.Context, dispatch.Status) error {
			return &dispatch.PermanentError{Err: errors.New("404")}
		}}
		running(t, outbox, map[string]Poster{"github": poster}, Config{})
		pass(10 * time.Minute)
		if n := len(poster.seen()); n > 15 {
			t.Errorf("%d posts in 10 minutes while the journal could not be written", n)
		}
		outbox.setFail("failed", nil)
		pass(time.Hour)
		if got := outbox.row(row("a", "")).refused; got != "404" {
			t.Errorf("recorded reason %q", got)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	rows := []struct {
		name   string
		outbox Outbox
		cfg    Config
		want   string
	}{
		{"no outbox", nil, Config{}, "no outbox"},
		{"negative interval", newOutbox(), Config{PollInterval: -1}, "negative"},
		{"backoffs reversed", newOutbox(), Config{MinBackoff: time.Hour}, "maximum backoff"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if _, err := New(r.outbox, nil, r.cfg); err == nil || !strings.Contains(err.Error(), r.want) {
				t.Errorf("New = %v, want an error with %q", err, r.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	rows := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"short", "succeeded", 140, "succeeded"},
		{"exact", "abcé", 4, "abcé"},
		{"cut at a character", "abcéf", 4, "abc…"},
		{"cut wide characters", "日本語です", 3, "日本…"},
		{"control characters", "a\x1b[31m\nb\tc\x00\u0085\u2028d", 140, "a [31m b c   d"},
		{"invalid UTF-8", "a\xffb", 140, "a\ufffdb"},
		{"empty", "", 1, ""},
		{"only the mark fits", "ab", 1, "…"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if got := Line(r.in, r.limit); got != r.want {
				t.Errorf("Line(%q, %d) = %q, want %q", r.in, r.limit, got, r.want)
			}
		})
	}
}

// A clock that is set back while a status waits makes it wait no longer.
func TestWorkerTrustsNoClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		outbox := newOutbox()
		tries := 0
		poster := &fakePoster{answer: func(context.Context, dispatch.Status) error {
			if tries++; tries < 3 {
				return errors.New("502 bad gateway")
			}
			return nil
		}}
		clock := WithClock(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		running(t, outbox, map[string]Poster{"github": poster}, Config{MinBackoff: 2 * time.Second}, clock)
		outbox.want(1, row("a", dispatch.StatusSuccess))
		for range 3 {
			pass(time.Second)
			ahead.Add(-int64(time.Hour))
		}
		pass(30 * time.Second)
		if n := outbox.open(); n != 0 {
			t.Errorf("%d statuses still wait after %d tries", n, tries)
		}
	})
}
