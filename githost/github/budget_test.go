package github

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// waits is how long an error asks to wait; the test fails where it asks nothing.
func waits(t *testing.T, err error) time.Duration {
	t.Helper()
	var throttled *dispatch.ThrottledError
	if !errors.As(err, &throttled) {
		t.Fatalf("%v, want to be throttled", err)
	}
	return throttled.After
}

func TestReadsLeaveCallsForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.chain("main", 1, 1)
		f.chain("topic", 11, 11, 1)
		pull := f.repo.OpenPull("topic", "main")
		c := f.client()
		read := func() error {
			_, err := c.Commit(t.Context(), "work", name, f.shas[1])
			return err
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		f.SetRemaining(githubtest.AnyToken, 502)
		for range 2 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		calls := len(f.Calls(""))
		if wait := waits(t, read()); wait < 49*time.Minute || wait > 51*time.Minute || len(f.Calls("")) != calls {
			t.Errorf("wait %v after %d more calls", wait, len(f.Calls(""))-calls)
		}
		f.SetRemaining(githubtest.AnyToken, 2)
		for range 2 {
			if err := c.Comment(t.Context(), name, pull, "x"); err != nil {
				t.Errorf("a write: %v", err)
			}
		}
		waits(t, c.Comment(t.Context(), name, pull, "x"))
		if f.Limited() != 0 {
			t.Errorf("GitHub had to refuse %d calls", f.Limited())
		}
		time.Sleep(51 * time.Minute)
		if err := read(); err != nil {
			t.Errorf("the next hour: %v", err)
		}
	})
}

// A pause that the host asks one call for is one for all.
func TestPauseHoldsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.chain("main", 1, 1)
		c := f.client()
		f.Intercept(func(githubtest.Call) *githubtest.Answer {
			return &githubtest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Retry-After": "90"}, Body: `{"message":"You have exceeded a secondary rate limit"}`}
		})
		if wait := waits(t, c.Comment(t.Context(), name, 1, "x")); wait != 90*time.Second {
			t.Errorf("wait %v", wait)
		}
		f.Intercept(nil)
		time.Sleep(time.Minute)
		if _, err := c.Commit(t.Context(), "work", name, f.shas[1]); waits(t, err) != 30*time.Second || len(f.Calls("GET ")) != 0 {
			t.Errorf("a minute later: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := c.Commit(t.Context(), "work", name, f.shas[1]); err != nil {
			t.Error(err)
		}
	})
}
