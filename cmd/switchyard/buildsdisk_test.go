//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"switchyard/dispatch"
)

// A build that fills the disk takes nothing from the journal: deliveries are
// answered 202 all the while, and the build comes to its end by itself once there is
// room.
func TestBuildThatFillsTheDiskLeavesDeliveriesAlone(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=256m"); err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") != "" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	marks := t.TempDir()
	gate := filepath.Join(marks, "gate")
	bare, shas := commits(t, 12, "version: 0.2\nphases: {build: {commands: ['test -f "+gate+" || while :; do head -c 1M /dev/zero >> zeros && sleep .005; done']}}\n")
	p := newProcess(t, dir, buildOf(bare), fmt.Sprintf("engine: {embedded: {max_builds: 1, builds: {reserve: 128MB, isolation: none, writable: [%q]}, projects: {api: {repository: %q}}}}", marks, bare))
	p.start()
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + p.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	deliver := func(i int) {
		t.Helper()
		if status, _, text := p.deliver(fmt.Sprint("d", i), shas[i]); status != http.StatusAccepted {
			t.Errorf("delivery %d: %d %s", i, status, text)
		}
	}
	deliver(0)
	p.eventually("the build is paused", func() bool {
		_, text := get("/metrics")
		return strings.Contains(text, "switchyard_builds_paused 1\n")
	})
	if status, text := get("/readyz"); status != http.StatusOK || !strings.Contains(text, "builds: 1 paused") || !strings.Contains(text, "128 MB are kept for the service") {
		t.Errorf("readyz: %d %s", status, text)
	}
	for i := 1; i < len(shas); i++ {
		deliver(i)
	}
	// It is ended for that, and not for good.
	p.eventually("the build has given its room back", func() bool {
		_, text := get("/readyz")
		return !strings.Contains(text, "paused")
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for sha, e := range p.finished(len(shas)) {
		if e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %q: %s", sha, e.State, e.Error)
		}
	}
}
