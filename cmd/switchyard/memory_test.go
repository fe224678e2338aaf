//go:build linux && !race

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// largePush is a signed push of nearly GitHub's 25 MB: long messages, or very
// many paths.
func largePush(t *testing.T, sha string, manyPaths bool) []byte {
	t.Helper()
	type m map[string]any
	commit := m{"id": sha, "message": "large", "distinct": true, "author": m{"name": "Ada"}}
	if manyPaths {
		paths := make([]string, 250_000)
		for i := range paths {
			paths[i] = fmt.Sprintf("generated/services/of/a/large/repository/%06d/some/folder/with/a/name/file_%06d_test.go", i%977, i)
		}
		commit["added"] = paths
	} else {
		commit["message"] = strings.Repeat("a long story. ", 1_700_000)
	}
	body, err := json.Marshal(m{"ref": "refs/heads/main", "before": strings.Repeat("1", 40), "after": sha, "commits": []m{commit},
		"repository": m{"id": 1, "full_name": "acme/api", "clone_url": "https://git.example/acme/api.git"}, "sender": m{"login": "ada"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(body) < 21<<20 || len(body) > 25<<20 {
		t.Fatalf("a push of %d bytes", len(body))
	}
	return body
}

// send posts a body and returns the answer, also where it comes before all of
// the body is sent.
func (p *process) send(id, signature string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.addr+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// memory is a figure of the process in bytes, such as VmHWM: the most that it
// has ever had in memory.
func (p *process) memory(figure string) int64 {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "status"))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, figure+": %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	p.t.Fatalf("/proc/PID/status has no %s", figure)
	return 0
}

// Strangers who send large bodies cost a service with 512 MB no more than its
// share for bodies, and those who have the secret are served meanwhile.
func TestLargeUnsignedBodiesDoNotFillTheMemory(t *testing.T) {
	p := newProcess(t, t.TempDir(), `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`, "")
	t.Setenv("GOMEMLIMIT", "460MiB") // nine tenths of 512 MB
	p.start()
	sign := func(body []byte) string {
		mac := hmac.New(sha256.New, []byte(processSecret))
		mac.Write(body)
		return fmt.Sprintf("sha256=%x", mac.Sum(nil))
	}
	garbage := bytes.Repeat([]byte("x"), 24<<20)
	signed := [][]byte{largePush(t, strings.Repeat("a", 40), false), largePush(t, strings.Repeat("b", 40), true)}

	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			signature := "sha256=" + strings.Repeat("0", 64)
			if i%4 == 0 {
				signature = "sha256=none"
			}
			status, text, err := p.send(fmt.Sprint("stranger-", i), signature, garbage)
			if err == nil && status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
				t.Errorf("a stranger got %d %s", status, text)
			}
		})
	}
	for i, body := range signed {
		all.Go(func() {
			// A git host, or a person at it, sends again what was answered 503.
			for try := range 100 {
				status, text, err := p.send(fmt.Sprint("signed-", i), sign(body), body)
				switch {
				case err != nil:
					t.Errorf("signed %d: %v", i, err)
					return
				case status == http.StatusAccepted:
					t.Logf("signed %d: taken at try %d", i, try+1)
					return
				case status != http.StatusServiceUnavailable:
					t.Errorf("signed %d: %d %s", i, status, text)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("signed %d: never taken", i)
		})
	}
	all.Wait()
	if status, _, text := p.deliver("afterwards", strings.Repeat("c", 40)); status != http.StatusAccepted {
		t.Errorf("afterwards: %d %s", status, text)
	}
	p.eventually("all three are started", func() bool { return len(p.executions()) == 3 })

	most := p.memory("VmHWM")
	t.Logf("at most %d MiB in memory", most>>20)
	if most > 400_000_000 {
		t.Errorf("%d MB in memory at most, want 400", most/1_000_000)
	}
}
