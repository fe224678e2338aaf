//go:build unix

package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecretsAreMasked(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.2
env:
  secrets-manager: {FROM_SPEC: "prod/spec:key"}
  exported-variables: [LEAK, TOKEN, AWS_REGION]
phases:
  build:
    commands:
      - echo "$TOKEN and $FROM_SPEC"
      - printf hunt; printf er2; echo
      - LEAK="is $TOKEN"
      - test "$TOKEN" = hunter2
`)
	h := newHandler(t, Config{Projects: map[string]Project{"app": {Secrets: map[string]Secret{"prod/token": {Value: "hunter2"}, "prod/spec:key": {Value: "s3cret"}}}}})
	b := run(t, h, newTask(t, "t", input{
		"SourceVersion": commit, "SourceLocationOverride": r.bare,
		"EnvironmentVariablesOverride": []variable{{"TOKEN", "prod/token", "SECRETS_MANAGER"}},
	}))
	if b.err != nil {
		t.Fatalf("%v\n%s", b.err, b.log)
	}
	b.wantLog(t, "\n*** and ***\n", "\n***\n", "TOKEN is not exported")
	if strings.Contains(b.log, "hunter2") || strings.Contains(b.log, "s3cret") {
		t.Errorf("log shows a secret:\n%s", b.log)
	}
	if got := b.result.ExportedEnvironmentVariables; len(got) != 1 || got[0] != (nameValue{"LEAK", "is ***"}) {
		t.Errorf("exported %v", got)
	}
	if got := b.result.Environment.EnvironmentVariables; len(got) != 1 || got[0].Value != "prod/token" {
		t.Errorf("result has variables %v", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [\"head -c 3000000 /dev/zero | tr '\\\\0' x\", echo the end]}}\n")
	h := newHandler(t, Config{MaxLogBytes: 1 << 20})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err != nil {
		t.Fatal(b.err)
	}
	if len(b.log) < 1<<20 || len(b.log) > 1<<20+1000 {
		t.Errorf("log has %d bytes", len(b.log))
	}
	if !strings.Contains(b.log, "the log is larger than the 1 MB it may take (engine.embedded.builds.log)") || !strings.HasSuffix(b.log, " build SUCCEEDED\n") {
		t.Errorf("log ends %q", b.log[len(b.log)-400:])
	}
	// All of it, when there is room: nothing is lost on the way.
	h = newHandler(t, Config{})
	b = run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if n := strings.Count(b.log, "x"); n < 3000000 {
		t.Errorf("log has %d of 3000000 bytes", n)
	}
}

func TestFollowCopiesUntilTheBuildEnds(t *testing.T) {
	r := newRepo(t)
	gate := filepath.Join(t.TempDir(), "gate")
	commit := r.spec("version: 0.2\nphases:\n  build:\n    commands:\n      - echo first\n      - 'while [ ! -e " + gate + " ]; do sleep 0.02; done'\n      - echo last\n")
	h := newHandler(t, Config{})
	if err := h.Follow(t.Context(), "run-1", io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Follow before there is a log: %v", err)
	}
	done := make(chan built, 1)
	go func() {
		done <- run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	waitForLog(t, ctx, h.logs.path("run-1", "t"), "\nfirst\n")
	if infos, err := h.Logs("run-1"); err != nil || len(infos) != 1 || !infos[0].Running || infos[0].TaskID != "t" {
		t.Errorf("Logs: %+v, %v", infos, err)
	}

	r2, w := io.Pipe()
	followed := make(chan error, 1)
	go func() {
		err := h.Follow(ctx, "run-1", w)
		w.CloseWithError(err)
		followed <- err
	}()
	buf := make([]byte, 1<<16)
	var got bytes.Buffer
	for !strings.Contains(got.String(), "\nfirst\n") {
		n, err := r2.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	if strings.Contains(got.String(), "\nlast\n") {
		t.Fatal("the build did not wait")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := got.ReadFrom(r2); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; err != nil {
		t.Errorf("Follow: %v", err)
	}
	b := <-done
	if got.String() != b.log {
		t.Errorf("followed %q\nlog is %q", got.String(), b.log)
	}
	// A log that has ended is copied at once.
	var again bytes.Buffer
	if err := h.Follow(ctx, "run-1", &again); err != nil || again.String() != b.log {
		t.Errorf("Follow afterwards: %v, %d bytes", err, again.Len())
	}
}

func TestNamesStayInTheirDirectory(t *testing.T) {
	h := newHandler(t, Config{})
	for _, name := range []string{"..", "../../etc", "a/b", "", "x.y", strings.Repeat("é", 40), "\x00"} {
		path := h.logs.path(name, name)
		rel, err := filepath.Rel(h.logs.root, path)
		if err != nil || !filepath.IsLocal(rel) || strings.Count(rel, "/") != 1 {
			t.Errorf("%q: log is %s", name, path)
		}
		if _, err := h.OpenLog(name, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: OpenLog: %v", name, err)
		}
	}
	tk := newTask(t, "t/../t", input{"SourceLocationOverride": "/nowhere"})
	tk.ExecutionName = "../run"
	run(t, h, tk)
	infos, err := h.Logs("../run")
	if err != nil || len(infos) != 1 {
		t.Fatalf("Logs: %v, %v", infos, err)
	}
	f, err := h.OpenLog("../run", infos[0].TaskID)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestOldLogsArePruned(t *testing.T) {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	h := newHandler(t, Config{KeepLogs: 24 * time.Hour}, WithNow(func() time.Time { return now }))
	write := func(execution string, age time.Duration) string {
		path := h.logs.path(execution, "t")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, filepath.Dir(path)} {
			if err := os.Chtimes(p, now.Add(-age), now.Add(-age)); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	old, recent, open := write("old", 25*time.Hour), write("recent", 23*time.Hour), write("open", 25*time.Hour)
	tk := newTask(t, "t2", input{})
	tk.ExecutionName = "open"
	lf, err := h.logs.create(tk, 1, h.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Dir(open), now.Add(-25*time.Hour), now.Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.prune()
	if err := lf.finish(); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]bool{old: false, recent: true, open: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}
