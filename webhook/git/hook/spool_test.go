package hook_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/git"
	"switchyard/webhook/git/hook"
)

func TestServerDownSpoolsAndDeliversOnceInOrder(t *testing.T) {
	r := newRepo(t)
	r.server.answer(http.StatusBadGateway)
	a := r.commit("a", "a")
	said := r.push("main")
	for _, want := range []string{"switchyard: cannot deliver to " + r.server.URL, "502", "nothing is lost: 1 delivery waits in ", "switchyard hook flush"} {
		if !strings.Contains(said, want) {
			t.Errorf("the pusher did not see %q:\n%s", want, said)
		}
	}
	b := r.commit("b", "b")
	r.push("main")
	if spooled, _ := r.waiting(); spooled != 2 {
		t.Fatalf("%d in the spool, want 2", spooled)
	}
	r.server.answer(0)
	c := r.commit("c", "c")
	said = r.push("main")
	if !strings.Contains(said, "main: 1 commit, 1 execution") || !strings.Contains(said, "sent 2 earlier deliveries that had been waiting") {
		t.Errorf("the pusher saw:\n%s", said)
	}
	var got [][]string
	for _, ev := range r.server.take() {
		got = append(got, shas(ev))
	}
	if diff := cmp.Diff([][]string{{a}, {b}, {c}}, got); diff != "" {
		t.Error(diff)
	}
	if spooled, failed := r.waiting(); spooled+failed != 0 {
		t.Errorf("%d spooled, %d failed", spooled, failed)
	}
	for id, n := range r.server.calls {
		if n != 1 {
			t.Errorf("delivery %s sent %d times", id, n)
		}
	}
}

func TestUnreachableServerDoesNotFailThePush(t *testing.T) {
	r := newRepo(t)
	r.commit("a", "a")
	r.server.Close()
	said := r.push("main")
	if !strings.Contains(said, "connection refused") || !strings.Contains(said, "nothing is lost") {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestRefusedDeliveryIsParkedUntilAskedFor(t *testing.T) {
	r := newRepo(t)
	if err := os.WriteFile(r.cfg.SecretFile, []byte("another secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := r.commit("a", "a")
	said := r.push("main")
	if !strings.Contains(said, "main: refused with 401: signature does not match") || !strings.Contains(said, "switchyard hook flush --failed") {
		t.Errorf("the pusher saw:\n%s", said)
	}
	if spooled, failed := r.waiting(); spooled != 0 || failed != 1 {
		t.Fatalf("%d spooled, %d failed", spooled, failed)
	}
	reasons, _ := filepath.Glob(filepath.Join(r.bare, "switchyard", "failed", "*.reason"))
	if len(reasons) != 1 {
		t.Fatalf("reasons: %v", reasons)
	}
	if text, _ := os.ReadFile(reasons[0]); !strings.Contains(string(text), "401") {
		t.Errorf("reason %q", text)
	}
	if err := os.WriteFile(r.cfg.SecretFile, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil || len(r.server.take()) != 0 {
		t.Errorf("flushing what waits sent what was refused: %v", err)
	}
	if err := r.hook().Flush(t.Context(), &out, true, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{a}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
	if left, _ := os.ReadDir(filepath.Join(r.bare, "switchyard", "failed")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnswerOfAnotherServerIsNotTaken(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a login page":      {200, "<html>log in</html>", "not as Switchyard does"},
		"other JSON":        {202, `{"ok":true}`, "not as Switchyard does"},
		"a redirect":        {302, "", "leads to"},
		"too many requests": {429, `{"error":"slow down"}`, "slow down"},
		"a proxy's 404":     {404, "default backend - 404", "not as Switchyard does"},
		"a proxy's 403":     {403, "<html>Forbidden</html>", "not as Switchyard does"},
		"request timeout":   {408, "", "408"},
		"no storage":        {507, "", "507"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.server.answer(http.StatusBadGateway)
			r.commit("a", "a")
			r.push("main")
			h := r.hook(hook.WithTransport(roundTripper(func(*http.Request) (*http.Response, error) {
				return response(row.status, row.body), nil
			})))
			err := h.Flush(t.Context(), io.Discard, false, 0)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
			if spooled, failed := r.waiting(); spooled != 1 || failed != 0 {
				t.Errorf("%d spooled, %d failed: the delivery must wait", spooled, failed)
			}
		})
	}
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestFlushTriesAgainUntilItsPatienceIsOver(t *testing.T) {
	r := newRepo(t)
	r.server.answer(http.StatusBadGateway)
	r.commit("a", "a")
	r.push("main")
	synctest.Test(t, func(t *testing.T) {
		attempts, good := 0, 4
		h := r.hook(hook.WithTransport(roundTripper(func(req *http.Request) (*http.Response, error) {
			if attempts++; attempts < good {
				return nil, errDown
			}
			return response(202, fmt.Sprintf(`{"delivery":%q,"executions":[]}`, req.Header.Get(git.HeaderDelivery))), nil
		})))
		start := time.Now()
		good = 1000
		err := h.Flush(t.Context(), io.Discard, false, time.Minute)
		if !errors.Is(err, errDown) || attempts != 6 || time.Since(start) != 31*time.Second {
			t.Errorf("after %d attempts and %v: %v", attempts, time.Since(start), err)
		}
		attempts, good = 0, 4
		start = time.Now()
		if err := h.Flush(t.Context(), io.Discard, false, time.Minute); err != nil || time.Since(start) != 7*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
	if spooled, _ := r.waiting(); spooled != 0 {
		t.Errorf("%d still in the spool", spooled)
	}
}

func TestFlushEndsWhenItsRepositoryIsGone(t *testing.T) {
	r := newRepo(t)
	r.server.answer(http.StatusBadGateway)
	r.commit("a", "a")
	r.push("main")
	synctest.Test(t, func(t *testing.T) {
		h := r.hook(hook.WithTransport(roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, errors.Join(errDown, os.RemoveAll(r.bare))
		})))
		start := time.Now()
		if err := h.Flush(t.Context(), io.Discard, false, time.Hour); err == nil || time.Since(start) > 2*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestConcurrentPushesLoseNothingAndSendNothingTwice(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.server.take()
	const n = 8
	want := map[string]bool{}
	for i := range n {
		// Each two branches have a commit in common.
		if i%2 == 0 {
			r.git(r.work, "checkout", "-q", "--detach", "main")
			want[r.commit(fmt.Sprintf("shared %d", i), "s")] = false
		}
		r.git(r.work, "checkout", "-q", "-b", fmt.Sprintf("feature/%d", i))
		want[r.commit(fmt.Sprintf("own %d", i), "o")] = false
		r.git(r.work, "checkout", "-q", "--detach", "HEAD~1")
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if out, err := r.try(r.work, "push", "origin", fmt.Sprintf("feature/%d", i)); err != nil {
				t.Errorf("push %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	evs := r.server.take()
	if len(evs) != n {
		t.Errorf("%d deliveries, want %d", len(evs), n)
	}
	for _, ev := range evs {
		for _, c := range ev.Commits {
			seen, ok := want[c.SHA]
			if !ok || seen {
				t.Errorf("commit %s: known %v, reported before %v", c.SHA, ok, seen)
			}
			if !c.Distinct {
				t.Errorf("commit %s of %s is new to the repository, but not distinct", c.SHA, ev.Ref)
			}
			want[c.SHA] = true
		}
	}
	for sha, seen := range want {
		if !seen {
			t.Errorf("commit %s was never reported", sha)
		}
	}
	for id, calls := range r.server.calls {
		if calls != 1 {
			t.Errorf("delivery %s sent %d times", id, calls)
		}
	}
}

func TestConcurrentFlushesSendEachDeliveryOnce(t *testing.T) {
	r := newRepo(t)
	r.server.answer(http.StatusBadGateway)
	for i := range 4 {
		r.commit(fmt.Sprint(i), "a")
		r.push("main")
	}
	r.server.answer(0)
	var wg sync.WaitGroup
	for range 4 {
		h := r.hook()
		wg.Go(func() {
			if err := h.Flush(t.Context(), io.Discard, false, 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(r.server.take()); n != 4 {
		t.Errorf("%d deliveries, want 4", n)
	}
	for id, calls := range r.server.calls {
		if calls != 1 {
			t.Errorf("delivery %s sent %d times", id, calls)
		}
	}
}

func TestPushWhoseHookDidNotRunIsReportedWithTheNext(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	r.server.take()
	script := filepath.Join(r.bare, "hooks", "post-receive")
	if err := os.Chmod(script, 0o644); err != nil {
		t.Fatal(err)
	}
	missed := r.commit("missed", "a")
	r.push("main")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	b := r.commit("b", "b")
	r.push("main")
	got := one(t, r.server.take())
	if diff := cmp.Diff([]string{missed, b}, shas(got)); diff != "" || got.Before != base {
		t.Errorf("before %s, want %s; %s", got.Before, base, diff)
	}
}

// Two pushes to one branch, whose hooks run in the other order.
func TestLateHookIsNotReportedTwice(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	script := filepath.Join(r.bare, "hooks", "post-receive")
	if err := os.Chmod(script, 0o644); err != nil {
		t.Fatal(err)
	}
	a := r.commit("a", "a")
	r.push("main")
	b := r.commit("b", "b")
	r.push("main")
	r.server.take()
	run := func(old, new string) {
		t.Helper()
		line := fmt.Sprintf("%s %s refs/heads/main\n", old, new)
		if err := r.hook().Run(t.Context(), strings.NewReader(line), io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	run(a, b)
	if diff := cmp.Diff([]string{a, b}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
	run(base, a)
	if evs := r.server.take(); len(evs) != 0 {
		t.Errorf("reported again: %+v", evs)
	}
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	c := r.commit("c", "c")
	r.push("main")
	if diff := cmp.Diff([]string{c}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

// A crash after the spool was written and before the ledger was: what is
// reported again asks for nothing new.
func TestCrashBeforeTheLedgerReportsAgain(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	ledger := filepath.Join(r.bare, "switchyard", "ledger")
	before, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	a := r.commit("a", "a")
	r.push("main")
	if err := os.WriteFile(ledger, before, 0o600); err != nil {
		t.Fatal(err)
	}
	b := r.commit("b", "b")
	r.server.take()
	r.push("main")
	if diff := cmp.Diff([]string{a, b}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

func TestSpoolThatCannotBeWrittenIsSaidAndCaughtUp(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.server.take()
	// A file in the way stops even root.
	spool := filepath.Join(r.bare, "switchyard", "spool")
	if err := os.RemoveAll(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spool, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := r.commit("a", "a")
	said := r.push("main")
	if !strings.Contains(said, "THIS PUSH IS NOT REPORTED") || !strings.Contains(said, spool) {
		t.Errorf("the pusher saw:\n%s", said)
	}
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	b := r.commit("b", "b")
	r.push("main")
	if diff := cmp.Diff([]string{a, b}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedLedgerNamesTheFileAndTheWayOut(t *testing.T) {
	r := newRepo(t)
	ledger := filepath.Join(r.bare, "switchyard", "ledger")
	if err := os.WriteFile(ledger, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.commit("a", "a")
	if said := r.push("main"); !strings.Contains(said, ledger) || !strings.Contains(said, "delete the file") {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestBackgroundProgramIsStartedWhenTheServerIsDown(t *testing.T) {
	r := newRepo(t)
	started := filepath.Join(t.TempDir(), "started")
	r.server.answer(http.StatusBadGateway)
	r.cfg.Background = []string{"sh", "-c", `echo "$GIT_DIR" > "$0.new" && mv "$0.new" "$0"`, started}
	r.commit("a", "a")
	r.git(r.bare, "fetch", "-q", r.work, "main:feature/x")
	tip := r.git(r.bare, "rev-parse", "feature/x")
	line := fmt.Sprintf("%040d %s refs/heads/feature/x\n", 0, tip)
	var out bytes.Buffer
	if err := r.hook().Run(t.Context(), strings.NewReader(line), &out); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if text, err := os.ReadFile(started); err == nil {
			if got := strings.TrimSpace(string(text)); got != r.bare {
				t.Errorf("GIT_DIR %q, want %q", got, r.bare)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program was not started:\n%s", out.String())
		}
		<-time.After(5 * time.Millisecond)
	}
}
