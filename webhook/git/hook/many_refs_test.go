package hook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/git"
	"switchyard/webhook/git/hook"
)

// branches makes n branches with a commit each, and returns git's lines of a
// push of them that no hook saw.
func (r *repo) branches(n int) (lines string, want map[string][]string) {
	r.t.Helper()
	base := r.git(r.work, "rev-parse", "main")
	want = map[string][]string{}
	var b strings.Builder
	for i := range n {
		name := fmt.Sprintf("many/%03d", i)
		sha := r.linear(name, base, 1)[0]
		want["refs/heads/"+name] = []string{sha}
		fmt.Fprintf(&b, "%040d %s refs/heads/%s\n", 0, sha, name)
	}
	r.withoutHook(func() { r.push("refs/heads/many/*") })
	return b.String(), want
}

func TestPushOfManyBranchesAsksGitOnce(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	lines, want := r.branches(40)
	// A git that counts its calls.
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	script := fmt.Sprintf("#!/bin/sh\necho \"$3\" >> '%s'\nexec '%s' \"$@\"\n", log, real)
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r.server.take()
	ledgers := 0
	var out bytes.Buffer
	h := r.hook(hook.WithStep(func(step string) {
		if step == "ledger written" {
			ledgers++
		}
	}))
	if err := h.Run(t.Context(), strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(calls), "\n"); n > 8 || ledgers != 1 {
		t.Errorf("git was called %d times and the ledger written %d times for 40 branches:\n%s", n, ledgers, calls)
	}
	if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(out.String(), "\n"); n > 50 || !strings.Contains(out.String(), "… and more") {
		t.Errorf("the pusher was told %d lines:\n%s", n, out.String())
	}
}

// Deliveries of one push to different refs go out at the same time; those of one
// ref, and of different pushes, one after the other.
func TestOrderOfDeliveriesIsKept(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	lines, _ := r.branches(6)
	long := r.linear("long", r.git(r.work, "rev-parse", "main"), 9)
	r.withoutHook(func() { r.push("long") })
	lines += fmt.Sprintf("%040d %s refs/heads/long\n", 0, long[8])
	r.server.answer(http.StatusBadGateway)
	if err := r.hook(hook.WithLimits(3, 1<<20)).Run(t.Context(), strings.NewReader(lines), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	// Another push, to one of the branches.
	r.git(r.work, "checkout", "-q", "many/000")
	last := r.commit("last", "last")
	r.push("many/000")

	var mu sync.Mutex
	var began []string
	atOnce, most := 0, 0
	inFlight := map[string]bool{}
	h := r.hook(hook.WithTransport(roundTripper(func(req *http.Request) (*http.Response, error) {
		var p git.Payload
		if err := json.NewDecoder(req.Body).Decode(&p); err != nil {
			return nil, err
		}
		mu.Lock()
		if inFlight[p.Ref] {
			t.Errorf("two deliveries of %s at once", p.Ref)
		}
		inFlight[p.Ref] = true
		began = append(began, p.After)
		atOnce++
		most = max(most, atOnce)
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			inFlight[p.Ref] = false
			atOnce--
		}()
		return response(202, fmt.Sprintf(`{"delivery":%q,"executions":[]}`, req.Header.Get(git.HeaderDelivery))), nil
	})))
	if err := h.Flush(t.Context(), &bytes.Buffer{}, false, 0); err != nil {
		t.Fatal(err)
	}
	if len(began) != 6+3+1 || began[len(began)-1] != last {
		t.Errorf("%d deliveries, and the last is not the last push's", len(began))
	}
	var ofLong []string
	for _, sha := range began {
		for _, want := range []string{long[2], long[5], long[8]} {
			if sha == want {
				ofLong = append(ofLong, sha)
			}
		}
	}
	if diff := cmp.Diff([]string{long[2], long[5], long[8]}, ofLong); diff != "" {
		t.Error(diff)
	}
	if most > 8 {
		t.Errorf("%d deliveries at once", most)
	}
}

// A second attempt is the first one, byte for byte: what differs under a known
// ID is not taken for the same.
func TestDeliveryIsSentAgainAsItWas(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.branches(3)
	type call struct{ id, body, signature string }
	var mu sync.Mutex
	var calls []call
	up := false
	transport := hook.WithTransport(roundTripper(func(req *http.Request) (*http.Response, error) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(req.Body); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		id := req.Header.Get(git.HeaderDelivery)
		calls = append(calls, call{id, body.String(), req.Header.Get(git.HeaderSignature)})
		if !up {
			return nil, errDown // after it was received, perhaps
		}
		return response(202, fmt.Sprintf(`{"delivery":%q,"executions":[]}`, id)), nil
	}))
	if err := r.hook(transport).Flush(t.Context(), &bytes.Buffer{}, false, 0); err == nil {
		t.Fatal("no error while the server is down")
	}
	r.cfg.CloneURL, r.cfg.Repository = "https://elsewhere.example/x.git", "other/name" // for what comes later
	up = true
	if err := r.hook(transport).Flush(t.Context(), &bytes.Buffer{}, false, 0); err != nil {
		t.Fatal(err)
	}
	first := map[string]call{}
	again := 0
	for _, c := range calls {
		if before, ok := first[c.id]; ok {
			again++
			if c != before {
				t.Errorf("sent again as\n%+v\nafter\n%+v", c, before)
			}
		}
		first[c.id] = c
	}
	if again != 3 || len(first) != 3 {
		t.Errorf("%d deliveries, %d sent again, want 3 each", len(first), again)
	}
}
