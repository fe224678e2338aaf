//go:build linux

package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/asl/task"
	"switchyard/internal/fault"
)

// watched is a handler whose waits for the machine a test can wait for.
func watched(t *testing.T, cfg Config) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	cfg.KillGrace = 300 * time.Millisecond
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	isolated(t, &cfg)
	h, err := New(zap.New(core), cfg, WithAccess(anything{}))
	if err != nil {
		t.Fatal(err)
	}
	h.firstWait = 5 * time.Millisecond
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, logs
}

// waits returns once a build waits for the machine for the nth time.
func waits(t *testing.T, logs *observer.ObservedLogs, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); logs.FilterMessage("build waits for the machine or its repository").Len() < n; {
		if time.Now().After(deadline) {
			t.Fatalf("no build waited %d times: %v", n, logs.All())
		}
		time.Sleep(time.Millisecond)
	}
}

type outcome struct {
	out json.RawMessage
	err error
}

func begin(t *testing.T, h *Handler, tk task.Task) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		out, err := h.Run(t.Context(), tk)
		done <- outcome{out, err}
	}()
	return done
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestNoDescriptorsLeftIsWaitedFor(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(trueSpec)
	h, logs := watched(t, Config{})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	// Some room, so that the fault strikes at other places too.
	for room := range 12 {
		seen := logs.Len()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(openFiles(t) - 1 + room), Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		done := begin(t, h, newTask(t, fmt.Sprint("t", room), input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
		var o *outcome
		for o == nil && logs.Len() < seen+2 {
			select {
			case got := <-done:
				o = &got
			case <-time.After(time.Millisecond):
			}
		}
		restore()
		if o == nil {
			got := <-done
			o = &got
		} else if room == 0 {
			t.Error("a build ran without descriptors")
		}
		if o.err != nil {
			t.Errorf("with %d descriptors: %v", room, o.err)
		}
	}
}

func TestQueuedBuildsHoldNoDescriptor(t *testing.T) {
	r := newRepo(t)
	gate := filepath.Join(t.TempDir(), "gate")
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['while ! test -f " + gate + "; do sleep .02; done']}}\n")
	h := newHandler(t, Config{MaxParallel: 1})
	first := begin(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	waitForLog(t, t.Context(), h.logs.path("run-1", "t"), "running command: while")
	before := openFiles(t)
	var queued []<-chan outcome
	for i := range 15 {
		queued = append(queued, begin(t, h, newTask(t, fmt.Sprint("q", i), input{"SourceVersion": commit, "SourceLocationOverride": r.bare})))
	}
	for h.waiting.Load() < 15 {
		time.Sleep(time.Millisecond)
	}
	if n := openFiles(t) - before; n > 5 {
		t.Errorf("15 queued builds hold %d descriptors", n)
	}
	if _, err := os.Create(gate); err != nil {
		t.Fatal(err)
	}
	for _, done := range append(queued, first) {
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
	}
}

func TestRepositoryThatIsAwayIsWaitedFor(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		r := newRepo(t)
		commit := r.spec(trueSpec)
		h, logs := watched(t, Config{})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		backend := gitBackend(t, r)
		done := begin(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": "http://" + addr + "/app.git"}))
		waits(t, logs, 2)
		if l, err = net.Listen("tcp", addr); err != nil {
			skipOnLaptop(t, "the port was taken: %v", err)
		}
		srv := &http.Server{Handler: backend, ReadHeaderTimeout: time.Minute}
		go func() { _ = srv.Serve(l) }()
		defer srv.Close()
		wantSuccess(t, h, done, "Failed to connect", "not the commit")
	})
	t.Run("host answers 503 and 502", func(t *testing.T) {
		r := newRepo(t)
		commit := r.spec(trueSpec)
		h, _ := watched(t, Config{})
		backend := gitBackend(t, r)
		var calls atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if n := calls.Add(1); n <= 3 || n == 5 {
				w.WriteHeader([]int{502, 503}[n%2])
				return
			}
			backend.ServeHTTP(w, req)
		}))
		defer srv.Close()
		wantSuccess(t, h, begin(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": srv.URL + "/app.git"})), "error: 503")
	})
	t.Run("host hangs up in the middle", func(t *testing.T) {
		r := newRepo(t)
		commit := r.spec(trueSpec)
		h, _ := watched(t, Config{})
		backend := gitBackend(t, r)
		var calls atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost && calls.Add(1) <= 6 {
				rec := httptest.NewRecorder()
				backend.ServeHTTP(rec, req)
				w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
				_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
				panic(http.ErrAbortHandler)
			}
			backend.ServeHTTP(w, req)
		}))
		defer srv.Close()
		wantSuccess(t, h, begin(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": srv.URL + "/app.git"})), "not the commit")
	})
	t.Run("moved for a moment", func(t *testing.T) {
		r := newRepo(t)
		commit := r.spec(trueSpec)
		h, logs := watched(t, Config{})
		h.firstWait = 100 * time.Millisecond
		if err := os.Rename(r.bare, r.bare+".away"); err != nil {
			t.Fatal(err)
		}
		done := begin(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
		waits(t, logs, 1)
		if err := os.Rename(r.bare+".away", r.bare); err != nil {
			t.Fatal(err)
		}
		wantSuccess(t, h, done, "the repository could not be used just now")
	})
}

func wantSuccess(t *testing.T, h *Handler, done <-chan outcome, words ...string) {
	t.Helper()
	o := <-done
	text, err := os.ReadFile(h.logs.path("run-1", "t"))
	if err != nil {
		t.Fatal(err)
	}
	if o.err != nil {
		t.Fatalf("%v\n%s", o.err, text)
	}
	for _, w := range words {
		if !strings.Contains(string(text), w) {
			t.Errorf("the log has no %q:\n%s", w, text)
		}
	}
}

// What lasts becomes an error of its own name, with the build as its cause.
func TestFaultThatLastsHasItsOwnName(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(trueSpec)
	h, _ := watched(t, Config{Patience: 100 * time.Millisecond})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer srv.Close()
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": srv.URL + "/app.git"}))
	if b.err == nil || b.err.Name != task.MachineFault || b.result.BuildStatus != statusFault {
		t.Fatalf("%v %s", b.err, b.result.BuildStatus)
	}
	if b.phases() != "DOWNLOAD_SOURCE=FAULT" || !strings.Contains(b.messages(), "not the commit's failure, tried ") || !strings.Contains(b.messages(), "error: 503") {
		t.Errorf("%s: %s", b.phases(), b.messages())
	}
	// A repository that does not come back was never there.
	b = run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare + ".gone"}))
	if b.err == nil || b.err.Name != errFailed || b.result.BuildStatus != statusFailed || b.phases() != "DOWNLOAD_SOURCE=FAILED" {
		t.Errorf("%v %s", b.err, b.phases())
	}
	// Nor is the commit's own failure tried again.
	b = run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": strings.Repeat("ab", 20), "SourceLocationOverride": r.bare}))
	if b.err == nil || b.err.Name != errFailed || strings.Contains(b.log, "tried again") {
		t.Errorf("%s: %s\n%s", b.err.Name, b.messages(), b.log)
	}
}

func TestStopEndsTheWaiting(t *testing.T) {
	h, logs := watched(t, Config{})
	h.firstWait = time.Hour
	done := begin(t, h, newTask(t, "t", input{"SourceLocationOverride": "http://127.0.0.1:1/app.git"}))
	_ = done
	waits(t, logs, 1)
	// The test's context ends with the test; the slot is free meanwhile.
	if !h.slots.TryAcquire(int64(h.cfg.MaxParallel)) {
		t.Error("a build that waits for its repository holds a slot")
	}
	h.slots.Release(int64(h.cfg.MaxParallel))
}

func TestFullDiskIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		skipOnLaptop(t, "no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill := func(room int64) {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4<<10))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(info.Size() - room); err != nil {
			t.Fatal(err)
		}
	}
	r := newRepo(t)
	big := r.commit(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['head -c 4000000 /dev/zero > zeros', 'echo done']}}\n"})
	r.push()
	t.Run("the build fills it", func(t *testing.T) {
		h, _ := watched(t, Config{DataDir: filepath.Join(dir, "data"), Reserve: -1})
		b := run(t, h, newTask(t, "filler", input{"SourceVersion": big, "SourceLocationOverride": r.bare,
			"BuildspecOverride": "version: 0.2\nphases: {build: {commands: ['head -c 20000000 /dev/zero > zeros']}}\n"}))
		if b.err == nil || b.err.Name != errFailed || !strings.Contains(b.messages(), "Reason: exit status 1 (the disk of ") {
			t.Errorf("%v: %s", b.err, b.messages())
		}
	})
	for name, room := range map[string]int64{"nothing can be written": 0, "a command fails": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			h, logs := watched(t, Config{DataDir: filepath.Join(dir, "data"), Reserve: -1})
			fill(room)
			done := begin(t, h, newTask(t, "t", input{"SourceVersion": big, "SourceLocationOverride": r.bare}))
			waits(t, logs, 2)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			wantSuccess(t, h, done, "running command: echo done", "build SUCCEEDED")
			for _, e := range logs.FilterMessage("build waits for the machine or its repository").All() {
				if text := fmt.Sprint(e.ContextMap()); !strings.Contains(text, "no space left") && !strings.Contains(text, "No space left") {
					t.Errorf("waits for another reason: %s", text)
				}
			}
		})
	}
}

func TestJudge(t *testing.T) {
	const (
		commits = iota
		brief
		machine
	)
	for _, tc := range []struct {
		command, text string
		want          int
	}{
		{"fetch", "fatal: unable to access 'https://h/a.git/': Could not resolve host: h", machine},
		{"ls-remote", "fatal: unable to access 'http://h/': Failed to connect to h port 80 after 0 ms: Couldn't connect to server", machine},
		{"fetch", "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.", machine},
		{"fetch", "ssh: Could not resolve hostname h: Temporary failure in name resolution\nfatal: Could not read from remote repository.", machine},
		{"fetch", "error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.\nfatal: early EOF", machine},
		{"fetch", "fatal: unable to access 'https://h/': The requested URL returned error: 502", machine},
		{"fetch", "fatal: unable to access 'https://h/': The requested URL returned error: 429", machine},
		{"fetch", "fatal: unable to access 'https://h/': Operation too slow. Less than 1 bytes/sec transferred the last 60 seconds", machine},
		{"fetch", "fatal: write error: No space left on device\nfatal: index-pack failed", machine},
		{"checkout", "error: unable to write file a\nfatal: cannot create directory at 'b': No space left on device", machine},
		{"init", "fatal: cannot copy: Too many open files", machine},
		{"fetch", "error: cannot fork() for index-pack: Resource temporarily unavailable", machine},
		{"fetch", "fatal: Authentication failed for 'https://h/'", brief},
		{"fetch", "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", brief},
		{"ls-remote", "remote: Repository not found.\nfatal: repository 'https://h/' not found", brief},
		{"fetch", "fatal: unable to access 'https://h/': The requested URL returned error: 403", brief},
		{"ls-remote", "fatal: '/srv/a.git' does not appear to be a git repository\nfatal: Could not read from remote repository.", brief},
		{"fetch", "fatal: remote error: upload-pack: not our ref abab\nfatal: the remote end hung up unexpectedly", commits},
		{"fetch", "fatal: couldn't find remote ref refs/heads/gone", commits},
		{"fetch", "fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate", commits},
		{"checkout", "error: Connection refused by a file of that name", commits},
	} {
		err := judge(&gitError{tc.command, tc.text})
		got := commits
		if f := fault.Of(err); f != nil {
			got = machine
			if f.Brief {
				got = brief
			}
		}
		if got != tc.want {
			t.Errorf("git %s: %s: judged %d, want %d", tc.command, tc.text, got, tc.want)
		}
		if showsDamage(err) {
			t.Errorf("git %s: %s: taken for damage to the mirror", tc.command, tc.text)
		}
	}
}
