package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/dispatch"
)

// host enforces what GitHub does, and turns away what comes too often.
type host struct {
	fakePoster
	// broken says what the host answers for a row; nil that it takes it.
	broken func(ctx context.Context, s dispatch.Status) error

	counts   sync.Mutex
	calls    []time.Time
	wasted   []time.Time
	throttle int
	taken    map[string]time.Time // by SHA and state, the time of the first
}

func newHost(broken func(ctx context.Context, s dispatch.Status) error) *host {
	h := &host{broken: broken, taken: map[string]time.Time{}}
	h.limits = Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}
	return h
}

func (h *host) Post(ctx context.Context, s dispatch.Status, _ string) error {
	now := time.Now()
	h.counts.Lock()
	for _, w := range []struct {
		most int
		span time.Duration
	}{{80, time.Minute}, {500, time.Hour}} {
		within := 0
		for i := len(h.calls) - 1; i >= 0 && now.Sub(h.calls[i]) < w.span; i-- {
			within++
		}
		if within >= w.most {
			h.throttle++
			h.counts.Unlock()
			return &dispatch.ThrottledError{After: time.Minute, Err: errors.New("too many")}
		}
	}
	h.calls = append(h.calls, now)
	h.counts.Unlock()
	if h.broken != nil {
		if err := h.broken(ctx, s); err != nil {
			h.counts.Lock()
			defer h.counts.Unlock()
			h.wasted = append(h.wasted, now)
			return err
		}
	}
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	h.counts.Lock()
	defer h.counts.Unlock()
	if key := s.SHA + " " + string(s.State); h.taken[key].IsZero() {
		h.taken[key] = time.Now()
	}
	return nil
}

// wastedInAnHour is the most calls that came to nothing in any hour.
func (h *host) wastedInAnHour() int {
	h.counts.Lock()
	defer h.counts.Unlock()
	most := 0
	for i, from := range h.wasted {
		n := 0
		for _, at := range h.wasted[i:] {
			if at.Sub(from) < time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func of(repository, sha string, state dispatch.StatusState) dispatch.Status {
	return dispatch.Status{Source: "github", Repository: repository, SHA: sha, Context: "switchyard/build", State: state, WantedAt: time.Now()}
}

// ends has a commit of a healthy repository end every so often, and reports
// those whose end the host did not hear of within seconds.
func ends(t *testing.T, outbox *memOutbox, h *host, n int, every time.Duration) {
	t.Helper()
	wanted := map[string]time.Time{}
	for i := range n {
		<-time.After(every)
		sha := fmt.Sprintf("fresh-%d", i)
		wanted[sha] = time.Now()
		outbox.want(int64(1_000_000+i), of("acme/healthy", sha, dispatch.StatusSuccess))
	}
	pass(10 * time.Second)
	h.counts.Lock()
	defer h.counts.Unlock()
	for sha, at := range wanted {
		taken := h.taken[sha+" success"]
		if took := taken.Sub(at); taken.IsZero() || took > 5*time.Second {
			t.Errorf("the end of %s, reached at %v, was told after %v", sha, at.Sub(began), took)
		}
	}
}

// However a host turns down one repository's statuses, and however many wait,
// everybody else's are told at once, and hardly a call is wasted.
func TestWorkerOneRepositoryInTroubleCostsTheOthersNothing(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context) error{
		"not found":      func(context.Context) error { return &RefusedError{errors.New("404")} },
		"forbidden":      func(context.Context) error { return &RefusedError{errors.New("403")} },
		"no such commit": func(context.Context) error { return &dispatch.PermanentError{Err: errors.New("422")} },
		"fails":          func(context.Context) error { return errors.New("500") },
		"hangs":          func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"takes its time": func(ctx context.Context) error {
			<-time.After(20 * time.Second)
			return &RefusedError{errors.New("404")}
		},
		"differs each time": alternating(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rows := 500
				if name == "forbidden" {
					rows = 5000
				}
				outbox := newOutbox()
				for i := range rows {
					state := dispatch.StatusPending
					if i%2 == 0 {
						state = dispatch.StatusFailure
					}
					// Newer than all that is healthy.
					outbox.want(int64(10_000_000+i), of("acme/broken", fmt.Sprint(i), state))
				}
				h := newHost(func(ctx context.Context, s dispatch.Status) error {
					if s.Repository == "acme/broken" {
						return answer(ctx)
					}
					return nil
				})
				running(t, outbox, map[string]Poster{"github": h}, Config{})
				ends(t, outbox, h, 100, 45*time.Second)
				if n := h.wastedInAnHour(); n > 500/20 {
					t.Errorf("%d of 500 calls in an hour were wasted", n)
				}
				if h.throttle > 0 {
					t.Errorf("%d calls were too many", h.throttle)
				}
			})
		})
	}
}

func alternating() func(context.Context) error {
	n := 0
	return func(context.Context) error {
		if n++; n%2 == 0 {
			return &RefusedError{errors.New("403")}
		}
		return errors.New("502")
	}
}

// A token that sees a third of an organisation's repositories.
func TestWorkerManyRepositoriesInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		const broken = 300
		for i := range broken * 2 {
			outbox.want(int64(10_000_000+i), of(fmt.Sprintf("acme/broken-%d", i%broken), fmt.Sprint(i), dispatch.StatusFailure))
		}
		h := newHost(func(_ context.Context, s dispatch.Status) error {
			if s.Repository != "acme/healthy" {
				return &RefusedError{errors.New("404")}
			}
			return nil
		})
		outbox.want(1, of("acme/healthy", "known", dispatch.StatusSuccess))
		running(t, outbox, map[string]Poster{"github": h}, Config{})
		pass(time.Minute)
		outbox.want(20_000_000, of("acme/healthy", "known", dispatch.StatusSuccess))
		pass(time.Minute)
		ends(t, outbox, h, 70, time.Minute)
		if n := h.wastedInAnHour(); n > 250+500/20 {
			t.Errorf("%d of 500 calls in an hour were wasted", n)
		}
	})
}

// Whoever waits for the end of a commit does not wait for what is still
// pending, nor for what ended long ago.
func TestWorkerBacklogLeavesRoomForNews(t *testing.T) {
	for name, state := range map[string]dispatch.StatusState{"pending": dispatch.StatusPending, "ended": dispatch.StatusSuccess} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outbox, h := newOutbox(), newHost(nil)
				for i := range 2000 {
					old := of("acme/api", fmt.Sprint(i), state)
					old.WantedAt = began.Add(-time.Hour)
					outbox.want(int64(i), old)
				}
				running(t, outbox, map[string]Poster{"github": h}, Config{})
				ends(t, outbox, h, 90, 90*time.Second)
				if h.throttle > 0 {
					t.Errorf("%d calls were too many", h.throttle)
				}
				if n := 2090 - outbox.open(); n < 500 {
					t.Errorf("%d were told in over two hours: the backlog stands still", n)
				}
			})
		})
	}
}

// Some commits that the host does not have, after a forced push, are no reason
// to leave the repository alone.
func TestWorkerRepositoryWithSomeBadCommitsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 300 {
			outbox.want(int64(i), of("acme/api", fmt.Sprint(i), dispatch.StatusSuccess))
		}
		h := newHost(func(_ context.Context, s dispatch.Status) error {
			if s.SHA[len(s.SHA)-1] == '7' {
				return &dispatch.PermanentError{Err: errors.New("422")}
			}
			return nil
		})
		running(t, outbox, map[string]Poster{"github": h}, Config{})
		pass(5 * time.Minute)
		if n := outbox.open(); n > 0 {
			t.Errorf("%d rows left", n)
		}
	})
}

// A status on which posting panics would end the process at every start.
func TestWorkerGivesUpAStatusOnWhichPostingPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 20 {
			outbox.want(int64(i), of("acme/api", fmt.Sprint(i), dispatch.StatusSuccess))
		}
		h := newHost(func(_ context.Context, s dispatch.Status) error {
			if s.SHA == "7" {
				panic("no author")
			}
			return nil
		})
		running(t, outbox, map[string]Poster{"github": h}, Config{})
		pass(5 * time.Minute)
		if n := outbox.open(); n > 0 {
			t.Errorf("%d rows left", n)
		}
		refused := outbox.rows[keyOf(of("acme/api", "7", dispatch.StatusSuccess))].refused
		if refused != "posting it failed (panic: no author): this is a bug in Switchyard, its log says more" {
			t.Errorf("given up because of %q", refused)
		}
	})
}

func TestWorkerRepositoryThatRecoversIsToldAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 100 {
			outbox.want(int64(i), of("acme/api", fmt.Sprint(i), dispatch.StatusSuccess))
		}
		h := newHost(func(context.Context, dispatch.Status) error {
			if time.Since(began) < 3*time.Hour {
				return &RefusedError{errors.New("403")}
			}
			return nil
		})
		w := running(t, outbox, map[string]Poster{"github": h}, Config{})
		pass(3 * time.Hour)
		if got := w.Stats()[0]; got.Held != 1 || got.Posted != 0 {
			t.Errorf("stats = %+v, want the repository held", got)
		}
		pass(maxHold + 2*time.Minute)
		if n := outbox.open(); n > 0 {
			t.Errorf("%d rows left", n)
		}
		if got := w.Stats()[0]; got.Held != 0 || got.Posted != 100 {
			t.Errorf("stats = %+v", got)
		}
	})
}

// Credentials are a matter of the source: no repository is tried on its own.
func TestWorkerUnknownCredentialsHoldBackTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 1000 {
			outbox.want(int64(i), of(fmt.Sprintf("acme/r%d", i%50), fmt.Sprint(i), dispatch.StatusSuccess))
		}
		h := newHost(func(context.Context, dispatch.Status) error {
			return &UnauthorizedError{errors.New("401 Bad credentials")}
		})
		w := running(t, outbox, map[string]Poster{"github": h}, Config{})
		pass(2 * time.Hour)
		if n := h.wastedInAnHour(); n > 500/20 {
			t.Errorf("%d calls in an hour with credentials that the host does not know", n)
		}
		if got := w.Stats()[0]; got.PausedUntil.IsZero() || got.Held != 0 {
			t.Errorf("stats = %+v, want the source paused", got)
		}
		for i := range 1000 {
			if r := outbox.row(of(fmt.Sprintf("acme/r%d", i%50), fmt.Sprint(i), "")); r.Tries > 0 {
				t.Fatalf("row %d = %+v: it was not its fault", i, r)
			}
		}
		mended := newHost(nil)
		w.SetPosters(map[string]Poster{"github": mended})
		pass(10 * time.Second)
		if n := 1000 - outbox.open(); n < 30 {
			t.Errorf("%d were told ten seconds after the token was replaced", n)
		}
	})
}

// The log names a repository in trouble once, and then counts: not a line for
// each of thousands of statuses.
func TestWorkerLogsTroubleOfARepositoryOnceThenCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		for i := range 500 {
			outbox.want(int64(i), of("acme/broken", fmt.Sprint(i), dispatch.StatusSuccess))
		}
		var mended atomic.Bool
		h := newHost(func(context.Context, dispatch.Status) error {
			if mended.Load() {
				return nil
			}
			return &RefusedError{errors.New("403 Resource not accessible")}
		})
		core, logs := observer.New(zap.InfoLevel)
		w, err := New(outbox, map[string]Poster{"github": h}, Config{}, WithJitter(func() float64 { return 1 }), WithLogger(zap.New(core)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		pass(30 * time.Minute)
		if all := logs.All(); len(all) != 1 || all[0].ContextMap()["repo"] != "acme/broken" || all[0].ContextMap()["error"] != "403 Resource not accessible" {
			t.Errorf("after half an hour: %v", all)
		}
		pass(5 * time.Hour)
		all := logs.All()
		if len(all) < 2 || len(all) > 8 {
			t.Errorf("%d lines after five and a half hours", len(all))
		}
		if last := all[len(all)-1]; last.ContextMap()["times"].(int64) < 10 {
			t.Errorf("the last line does not count: %v", last.ContextMap())
		}
		mended.Store(true)
		logs.TakeAll()
		pass(2 * time.Hour)
		if all := logs.All(); len(all) != 1 || all[0].Message != "the repository's statuses are taken again" {
			t.Errorf("once it is mended: %v", all)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A clock that was ahead puts nothing off once it is corrected.
func TestWorkerClockThatIsSetBackPutsNothingOff(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 3 * 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var back atomic.Bool
				clock := func() time.Time {
					now := time.Now().Round(0) // as the system's, without the monotonic part
					if back.Load() {
						return now
					}
					return now.Add(ahead)
				}
				outbox := newOutbox()
				outbox.want(1, of("acme/api", "a", dispatch.StatusSuccess))
				h := newHost(func(context.Context, dispatch.Status) error {
					if !back.Load() {
						return errors.New("502")
					}
					return nil
				})
				w, err := New(outbox, map[string]Poster{"github": h}, Config{MaxBackoff: 10 * time.Minute}, WithClock(clock))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				pass(5 * time.Minute)
				back.Store(true)
				pass(12 * time.Minute)
				if n := outbox.open(); n > 0 {
					t.Errorf("%d rows left 12 minutes after the clock was set back by %v", n, ahead)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
