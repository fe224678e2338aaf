package awssecret

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/internal/awsaccess"
)

// fakeStore answers from a map and counts the calls.
type fakeStore struct {
	mu    sync.Mutex
	texts map[string]versions
	err   error
	calls map[string]int
	slow  time.Duration
	now   int // calls under way
	most  int
}

func (f *fakeStore) get(ctx context.Context, i id, _ bool, _ time.Time) (versions, error) {
	f.mu.Lock()
	f.calls[i.name]++
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	if f.slow > 0 {
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	if ctx.Err() != nil {
		return versions{}, ctx.Err()
	}
	v, ok := f.texts[i.name]
	if f.err != nil || !ok {
		return v, errors.Join(f.err, errors.New("not there"))
	}
	return v, nil
}

func (f *fakeStore) set(name string, v versions, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts[name], f.err = v, err
}

func (f *fakeStore) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func fake(texts map[string]versions) (*Resolver, *fakeStore) {
	f := &fakeStore{texts: texts, calls: map[string]int{}}
	r := New()
	r.open = func(context.Context, awsaccess.Settings) (reader, error) { return f, nil }
	return r, f
}

func secret(name, key string, previous bool) Wanted {
	return Wanted{Ref{Name: name, Key: key}, previous}
}

func TestResolveCallsOnceForEachSecret(t *testing.T) {
	r, f := fake(map[string]versions{"a": {current: `{"x":"1","y":2,"z":null,"e":""}`}, "b": {current: "plain\n"}})
	got := r.Resolve(t.Context(), Settings{}, []Wanted{
		secret("a", "x", false), secret("a", "y", true), secret("a", "x", true), secret("b", "", false), secret("b", "", false),
		secret("a", "z", false), secret("a", "none", false), secret("a", "e", false), secret("b", "k", false), secret("gone", "", false),
	})
	for ref, want := range map[Ref]string{{Name: "a", Key: "x"}: "1", {Name: "a", Key: "y"}: "2", {Name: "b"}: "plain"} {
		if a := got[ref]; a.Text != want || a.Err != nil {
			t.Errorf("%s: %+v", ref, a)
		}
	}
	for ref, want := range map[Ref]string{
		{Name: "a", Key: "z"}: "no key", {Name: "a", Key: "none"}: `no key "none"`, {Name: "a", Key: "e"}: "empty",
		{Name: "b", Key: "k"}: "not a JSON object", {Name: "gone"}: "aws-secret:gone: not there",
	} {
		if a := got[ref]; a.Err == nil || !strings.Contains(a.Err.Error(), want) || strings.Contains(a.Err.Error(), "plain") {
			t.Errorf("%s: %+v, want an error with %q", ref, a, want)
		}
	}
	for name, n := range f.calls {
		if n != 1 {
			t.Errorf("%s was asked for %d times", name, n)
		}
	}
}

func TestResolveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := fake(map[string]versions{})
		f.slow = time.Minute
		var wanted []Wanted
		for i := range 40 {
			wanted = append(wanted, secret(strings.Repeat("x", i+1), "", false))
		}
		began := time.Now()
		for ref, a := range r.Resolve(t.Context(), Settings{}, wanted) {
			if !errors.Is(a.Err, context.DeadlineExceeded) {
				t.Fatalf("%s: %v", ref, a.Err)
			}
		}
		if took := time.Since(began); took != patience {
			t.Errorf("took %v", took)
		}
		if f.most != parallel {
			t.Errorf("%d calls at once", f.most)
		}
	})
}

func TestThePreviousVersionIsGivenForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		r, _ := fake(map[string]versions{"a": {current: "new", previous: "old", rotated: now}})
		wanted := []Wanted{secret("a", "", true)}
		r.Resolve(t.Context(), Settings{}, wanted)
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "old"}, {PreviousFor - time.Second, "old"}, {time.Second, ""}} {
			time.Sleep(step.after)
			changed := r.Refresh(t.Context())
			if got := r.Resolve(t.Context(), Settings{}, wanted)[wanted[0].Ref]; got.Previous != step.want || got.Text != "new" {
				t.Errorf("after %v: %+v, want %q (changed %v)", time.Since(now), got, step.want, changed)
			}
		}
		// What nobody lists has none.
		single := r.Resolve(t.Context(), Settings{}, []Wanted{secret("a", "", false)})
		if got := single[Ref{Name: "a"}]; got.Previous != "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestRunKeepsTheLastGoodValueAndFindsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		r, f := fake(map[string]versions{"a": {current: "one"}})
		r.LogTo(zap.New(core))
		wanted := []Wanted{secret("a", "", false)}
		settings := Settings{Refresh: 5 * time.Minute}
		ask := func() string {
			got := r.Resolve(t.Context(), settings, wanted)[wanted[0].Ref]
			if got.Err != nil {
				t.Error(got.Err)
			}
			return got.Text
		}
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		var changes atomic.Int32
		done.Go(func() {
			r.Run(ctx, func() {
				changes.Add(1)
				before := f.count("a")
				ask()
				if n := f.count("a") - before; n != 0 {
					t.Errorf("%d calls for what was only just read", n)
				}
			})
		})
		time.Sleep(time.Hour) // nothing is wanted: nothing is asked
		if n := f.count("a"); n != 0 {
			t.Errorf("%d calls before anything was wanted", n)
		}
		if got := ask(); got != "one" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		if n := f.count("a"); n < 11 || n > 15 || changes.Load() != 0 {
			t.Errorf("%d calls in an hour, %d changes", n, changes.Load())
		}
		f.set("a", versions{current: "two"}, nil)
		time.Sleep(6 * time.Minute)
		if got := ask(); got != "two" || changes.Load() != 1 {
			t.Errorf("got %q, %d changes", got, changes.Load())
		}
		f.set("a", versions{current: "three"}, errors.New("throttled"))
		time.Sleep(time.Hour)
		if got := ask(); got != "two" || changes.Load() != 1 {
			t.Errorf("while AWS fails: got %q, %d changes", got, changes.Load())
		}
		if s := r.Stats(); s.Failing != 1 || s.Age < time.Hour || s.Age > 67*time.Minute {
			t.Errorf("while AWS fails: %+v", s)
		}
		failures := logs.FilterLevelExact(zap.WarnLevel).All()
		if len(failures) == 0 || len(failures) > 14 || failures[0].ContextMap()["step"] != "aws-secret:a" {
			t.Errorf("%d warnings, such as %v", len(failures), failures)
		}
		f.set("a", versions{current: "three"}, nil)
		time.Sleep(6 * time.Minute)
		if got := ask(); got != "three" || changes.Load() != 2 {
			t.Errorf("afterwards: got %q, %d changes", got, changes.Load())
		}
		if s := r.Stats(); s.Failing != 0 || s.Age > 6*time.Minute {
			t.Errorf("afterwards: %+v", s)
		}
		settings.Refresh = 0
		ask()
		before := f.count("a")
		time.Sleep(time.Hour)
		if f.count("a") != before {
			t.Error("refreshed although refresh is 0")
		}
		stop()
		done.Wait()
		for _, l := range logs.All() {
			for _, v := range []string{"one", "two", "three"} {
				if text, _ := l.ContextMap()["error"].(string); strings.Contains(l.Message+text, v) {
					t.Errorf("a log line shows a secret: %v", l)
				}
			}
		}
	})
}

func TestAFailedReadingOfOthersKeepsWhatIsWanted(t *testing.T) {
	r, _ := fake(map[string]versions{"a": {current: "one"}})
	r.Resolve(t.Context(), Settings{}, []Wanted{secret("a", "", false)})
	r.Resolve(t.Context(), Settings{}, []Wanted{secret("new", "", false)})
	if len(r.wanted) != 1 || r.wanted[0].Name != "a" {
		t.Errorf("%+v is refreshed, want a, which the config in use has", r.wanted)
	}
}
