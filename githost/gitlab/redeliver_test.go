package gitlab_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
)

// post gives a commit a status.
func post(t *testing.T, r *rig, sha, context string) {
	t.Helper()
	if _, _, err := r.client.API().Commits.SetCommitStatus(name, sha, &gl.SetCommitStatusOptions{State: gl.Success, Name: &context}); err != nil {
		t.Fatal(err)
	}
}

// receiver counts deliveries by their Idempotency-Key, and answers with a status.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    map[string]int
}

func newReceiver(t *testing.T, status int) *receiver {
	r := &receiver{status: status, got: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[req.Header.Get("Idempotency-Key")]++
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) deliveries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func TestRedeliverWhatDidNotArrive(t *testing.T) {
	r := newRig(t)
	to := newReceiver(t, http.StatusAccepted)
	r.Hook("http://127.0.0.1:1/elsewhere", "s")
	hook := r.Hook(to.URL, "s")
	redeliver := func(mark string) (int, string) {
		t.Helper()
		asked, next, err := r.client.Redeliver(soon(t), name, to.URL, mark, time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return asked, next
	}
	r.Chain("main", 1)
	r.Push()
	asked, mark := redeliver("")
	if asked != 0 {
		t.Fatalf("%d asked for, where all arrived", asked)
	}
	// One is lost on the way, one is refused by a service that cannot write.
	r.server.Lost = func(string) bool { return true }
	r.Chain("main", 1)
	r.Push()
	r.server.Lost = nil
	to.answer(http.StatusServiceUnavailable)
	r.Chain("main", 1)
	r.Push()
	asked, next := redeliver(mark)
	if asked != 2 {
		t.Fatalf("%d asked for", asked)
	}
	waiting := next
	to.answer(http.StatusAccepted)
	if asked, next = redeliver(next); asked != 2 || next != waiting {
		t.Fatalf("%d asked for, want those again that failed again", asked)
	}
	// The five a minute are used up; nothing is left to ask for either.
	if asked, next = redeliver(next); asked != 0 || next == waiting || next == mark {
		t.Errorf("%d asked for, mark %s", asked, next)
	}
	// Three pushes, each one delivery by its Idempotency-Key, and the test that
	// woke the hook after four failures.
	if n := to.deliveries(); n != 4 {
		t.Errorf("%d deliveries", n)
	}
	if hook.Failures != 0 {
		t.Errorf("%d failures in a row", hook.Failures)
	}
}

// After four failures GitLab sends nothing more, until a test arrives.
func TestRedeliverWakesAHookThatIsDisabled(t *testing.T) {
	r := newRig(t)
	to := newReceiver(t, http.StatusServiceUnavailable)
	hook := r.Hook(to.URL, "s")
	for range 4 {
		r.Chain("main", 1)
		r.Push()
	}
	if !hook.Disabled {
		t.Fatal("the stand-in has not disabled the hook")
	}
	to.answer(http.StatusAccepted)
	now := time.Now()
	r.server.Now = func() time.Time { return now }
	asked, _, err := r.client.Redeliver(soon(t), name, to.URL, "", now.Add(-time.Hour))
	if err != nil || asked != 4 || hook.Disabled {
		t.Errorf("%d asked for, %v, disabled %v", asked, err, hook.Disabled)
	}
}

// Also one whose deliveries are settled: it would tell of nothing any more.
func TestRedeliverWakesAHookWithoutFailures(t *testing.T) {
	r := newRig(t)
	to := newReceiver(t, http.StatusAccepted)
	hook := r.Hook(to.URL, "s")
	r.Chain("main", 1)
	r.Push()
	hook.Disabled = true
	if asked, _, err := r.client.Redeliver(soon(t), name, to.URL+"/", "", time.Now().Add(-time.Hour)); err != nil || asked != 0 || hook.Disabled {
		t.Errorf("%d asked for, %v, disabled %v", asked, err, hook.Disabled)
	}
	// Where the test is refused too, that is said.
	hook.Disabled = true
	to.answer(http.StatusUnauthorized)
	if _, _, err := r.client.Redeliver(soon(t), name, to.URL, "", time.Now().Add(-time.Hour)); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}

func TestRedeliverKeepsToTheLimit(t *testing.T) {
	r := newRig(t)
	to := newReceiver(t, http.StatusAccepted)
	hook := r.Hook(to.URL, "s")
	r.server.Lost = func(string) bool { return true }
	r.Chain("main", 1)
	for i := range 7 {
		hook.Disabled = false
		r.Git("update-ref", "refs/heads/b"+strconv.Itoa(i), "refs/heads/main")
		r.Push()
	}
	r.server.Lost, hook.Disabled = nil, false
	now := time.Now()
	r.server.Now = func() time.Time { return now }
	asked, mark, err := r.client.Redeliver(soon(t), name, to.URL, "", now.Add(-time.Hour))
	if err != nil || asked != 5 || mark != "" {
		t.Fatalf("%d asked for, mark %q, error %v", asked, mark, err)
	}
	now = now.Add(time.Minute)
	if asked, mark, err = r.client.Redeliver(soon(t), name, to.URL, mark, now.Add(-time.Hour)); err != nil || asked != 3 {
		t.Errorf("%d asked for, mark %q, error %v", asked, mark, err)
	}
	if to.deliveries() != 8 { // the push of main, too
		t.Errorf("%d deliveries", to.deliveries())
	}
}

func TestRedeliverNothingFromBefore(t *testing.T) {
	r := newRig(t)
	to := newReceiver(t, http.StatusAccepted)
	r.Hook(to.URL, "s")
	r.server.Lost = func(string) bool { return true }
	now := time.Now()
	r.server.Now = func() time.Time { return now.Add(-48 * time.Hour) }
	r.Chain("main", 1)
	r.Push()
	r.server.Lost, r.server.Now = nil, func() time.Time { return now }
	if asked, _, err := r.client.Redeliver(soon(t), name, to.URL, "", now.Add(-time.Hour)); err != nil || asked != 0 {
		t.Errorf("%d asked for, %v", asked, err)
	}
	if _, _, err := r.client.Redeliver(soon(t), name, to.URL, "yesterday", now); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}
