package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("SWITCHYARD_TEST_HOLD"); path != "" {
		os.Exit(hold(path))
	}
	if dir := os.Getenv("SWITCHYARD_TEST_SERVE"); dir != "" {
		serve(dir)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// diary is an engine in a file: it outlives the process, as AWS would. A name
// is written before the start is answered.
type diary struct {
	mu   sync.Mutex
	file *os.File
	has  map[string]bool
}

func openDiary(path string) (*diary, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	d := &diary{file: f, has: map[string]bool{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		d.has[lines.Text()] = true
	}
	return d, lines.Err()
}

func (d *diary) Start(_ context.Context, _, name string, _ []byte) (dispatch.Started, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	existed := d.has[name]
	if !existed {
		if _, err := d.file.WriteString(name + "\n"); err != nil {
			return dispatch.Started{}, err
		}
		d.has[name] = true
	}
	return dispatch.Started{ExecutionARN: "arn:" + name, StartedAt: time.Now(), Existed: existed}, nil
}

func (d *diary) Describe(_ context.Context, arn string) (event.Outcome, error) {
	return event.Outcome{ExecutionARN: arn, Name: strings.TrimPrefix(arn, "arn:"), Status: event.Succeeded, StartedAt: time.Now(), StoppedAt: time.Now()}, nil
}

func (d *diary) Stop(context.Context, string, string, string) error { return nil }

// serve accepts deliveries from several goroutines, prints the ID and commits
// of each that was acknowledged, and works until it is killed.
func serve(dir string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	j, err := Open(filepath.Join(dir, "journal.db"))
	if err != nil {
		fail(err)
	}
	e, err := openDiary(filepath.Join(dir, "engine"))
	if err != nil {
		fail(err)
	}
	d, err := dispatch.New(j, e, everyCommit{}, dispatch.Config{PollEvery: 50 * time.Millisecond, PollRate: 1e4})
	if err != nil {
		fail(err)
	}
	go func() {
		if err := d.Run(context.Background()); err != nil {
			fail(err)
		}
	}()
	var out sync.Mutex
	for range 8 {
		go func() {
			for range 40 {
				ev := push(3)
				r, err := d.Accept(context.Background(), ev)
				if err != nil {
					continue
				}
				out.Lock()
				fmt.Println("ack", r.Delivery, strings.Join(r.Executions, " "))
				out.Unlock()
			}
		}()
	}
	select {}
}

// TestKilledProcessLosesNothing kills a real process with SIGKILL under load,
// again and again on the same journal: every acknowledged delivery must be
// there, and each of its commits started exactly once.
func TestKilledProcessLosesNothing(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	acknowledged := map[string][]string{}
	for round := range rounds {
		after := time.Duration(rand.IntN(200)) * time.Millisecond
		for _, line := range killAfter(t, dir, after) {
			f := strings.Fields(line)
			if f[0] != "ack" {
				t.Fatalf("round %d: %s", round, line)
			}
			acknowledged[f[1]] = f[2:]
		}
	}
	if len(acknowledged) < rounds {
		t.Fatalf("only %d deliveries were acknowledged", len(acknowledged))
	}
	j, err := Open(filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	verdict := ""
	if err := j.read(t.Context(), func(s scan) error { return s(&verdict) }, "PRAGMA integrity_check"); err != nil || verdict != "ok" {
		t.Fatalf("integrity: %s, %v", verdict, err)
	}
	e, err := openDiary(filepath.Join(dir, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	finishAll(t, j, e)
	for id, executions := range acknowledged {
		d, err := j.Delivery(t.Context(), id)
		if err != nil {
			t.Errorf("acknowledged delivery %s: %v", id, err)
			continue
		}
		if len(d.Executions) != len(executions) {
			t.Errorf("delivery %s: %d executions, %d were answered", id, len(d.Executions), len(executions))
		}
		for _, name := range executions {
			if !e.has[name] {
				t.Errorf("delivery %s: %s was never started", id, name)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != len(e.has) {
		t.Errorf("%d starts of %d names", lines, len(e.has))
	}
	t.Logf("%d deliveries acknowledged over %d kills, %d executions", len(acknowledged), rounds, len(e.has))
}

// killAfter runs the process for a while and returns what it printed.
func killAfter(t *testing.T, dir string, after time.Duration) []string {
	t.Helper()
	p := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	p.Env = append(os.Environ(), "SWITCHYARD_TEST_SERVE="+dir)
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	var kill *time.Timer
	in := bufio.NewScanner(stdout)
	for in.Scan() {
		if kill == nil { // from the first answer on
			kill = time.AfterFunc(after, func() { _ = p.Process.Kill() })
		}
		lines = append(lines, in.Text())
	}
	_ = p.Wait() // killed, as it should be
	if n := len(lines); n > 0 && !strings.HasPrefix(lines[n-1], "ack") {
		t.Fatal(lines[n-1])
	}
	if n := len(lines); n > 0 && len(strings.Fields(lines[n-1])) < 5 {
		lines = lines[:n-1] // cut off in the middle
	}
	return lines
}

// finishAll runs a dispatcher until the journal holds no unfinished work.
func finishAll(t *testing.T, j *SQLite, e dispatch.Engine) {
	t.Helper()
	d, err := dispatch.New(j, e, everyCommit{}, dispatch.Config{PollEvery: 50 * time.Millisecond, PollRate: 1e5})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	for {
		depth, err := d.Depth(ctx)
		if err != nil {
			t.Fatalf("work is left: %+v, %v", depth, err)
		}
		if depth == (dispatch.Depth{}) {
			break
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // looks at a real process's work from outside
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
