package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
	"switchyard/webhook/git/hook"
)

// Options say how the demo shows itself.
type Options struct {
	// Dir is where everything is made; it must not exist or be empty. Empty
	// means a new temporary folder.
	Dir string
	// Self is the absolute path of the switchyard binary, which the
	// repository's hook runs.
	Self string
	// Keep leaves the service running after the summary, until ctx ends.
	Keep bool
	// Out takes the table and the summary.
	Out io.Writer
	// Live redraws the table in place; otherwise each change is a line.
	Live bool
	// Quiet prints nothing.
	Quiet bool
	Log   *zap.Logger
}

// Result is what the demo proves.
type Result struct {
	// Pushed counts the commits pushed, Skipped those without an execution.
	Pushed     int   `json:"pushed"`
	Skipped    int   `json:"skipped"`
	Executions []Run `json:"executions"`
	// MostAtOnce is how many executions ran at the same time.
	MostAtOnce int `json:"most_at_once"`
	// Untold counts the commits whose notes were not written when the demo
	// ended.
	Untold int64 `json:"untold"`
	// Dir holds the repository, the config and the data.
	Dir  string  `json:"dir"`
	Took Seconds `json:"took_seconds"`
}

// Seconds is a duration that JSON shows in seconds.
type Seconds time.Duration

// MarshalJSON gives seconds with millisecond precision.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

// Run is one commit's execution.
type Run struct {
	Commit      string         `json:"commit"`
	Title       string         `json:"title"`
	Branch      string         `json:"branch"`
	Environment string         `json:"environment"`
	Execution   string         `json:"execution"`
	State       dispatch.State `json:"state"`
	Waited      Seconds        `json:"waited_seconds"`
	Ran         Seconds        `json:"ran_seconds"`

	started, stopped time.Time
}

const configText = `# The config of the demo; see switchyard.example.yaml for all there is.
server: {listen: %q}
data_dir: data
sources:
  git:
    secrets: ["file:secret"]
    repositories: {acme/shop: shop.git}
engine: embedded
state_machines:
  test: {definition: test.asl.json}
environments:
  acceptance: {max_parallel: 1}
routes:
  - name: features
    branches: ["feature/**"]
    state_machine: test
    environment: "dev-{{ .Branch | slug }}"
  - name: acceptance
    branches: [main, "hotfix/**"]
    state_machine: test
    environment: acceptance
`

// Demo runs the demo and returns what it proves. It ends by itself; a commit
// without an execution is an error, beside the result.
func Demo(ctx context.Context, o Options) (*Result, error) {
	dir, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	repo, err := NewRepository(ctx, dir)
	if err != nil {
		return nil, err
	}
	cfg, err := settings(ctx, dir)
	if err != nil {
		return nil, err
	}
	service, err := app.New(ctx, cfg, o.Log)
	if err != nil {
		return nil, err
	}
	_, err = hook.Install(ctx, hook.Config{
		GitDir: repo.Bare, Repository: "acme/shop", CloneURL: repo.Bare, SecretFile: filepath.Join(dir, "secret"),
		URL: "http://" + service.Addr().String() + "/webhooks/git",
	}, o.Self)
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	serveCtx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(serveCtx)
	g.Go(func() error { return service.Run(gctx) })
	var result *Result
	g.Go(func() error {
		defer stop()
		var err error
		result, err = watch(gctx, o, dir, repo, service.Dispatcher())
		if err != nil {
			return err
		}
		if !o.Quiet {
			summary(o, result)
		}
		if result.Skipped > 0 {
			return fmt.Errorf("%d of %d commits have no execution", result.Skipped, result.Pushed)
		}
		if o.Quiet {
			return nil
		}
		if o.Keep {
			fmt.Fprintf(o.Out, "\nThe service runs on at http://%s until you press Ctrl-C. In another terminal:\n  cd %s && echo 'echo more' >> shop/search.sh && git -C shop commit -am 'D1: more' && git -C shop push\n  %s executions list --config %s\n",
				service.Addr(), dir, o.Self, cfg.File())
			<-gctx.Done()
		}
		return nil
	})
	err = g.Wait()
	return result, err
}

func folder(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "switchyard-demo-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty; name a new folder with --dir", dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// settings writes the demo's files and reads its config as serve would.
func settings(ctx context.Context, dir string) (*config.Config, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 24)
	rand.Read(secret)
	path := filepath.Join(dir, "switchyard.yaml")
	for name, text := range map[string]string{
		path:                                fmt.Sprintf(configText, addr),
		filepath.Join(dir, "secret"):        hex.EncodeToString(secret) + "\n",
		filepath.Join(dir, "test.asl.json"): string(pipelines.Test),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return config.Load(path)
}

func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// poll is how often the table is drawn.
const poll = 150 * time.Millisecond

// watch pushes and shows what comes of it, until every commit's execution has
// ended.
func watch(ctx context.Context, o Options, dir string, repo *Repository, d *dispatch.Dispatcher) (*Result, error) {
	began := time.Now()
	var mu sync.Mutex
	var pushes []Push
	pushed := make(chan error, 1)
	go func() {
		pushed <- repo.Pushes(ctx, func(p Push) {
			mu.Lock()
			defer mu.Unlock()
			pushes = append(pushes, p)
		})
	}()
	screen := newScreen(o)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	done, mostAtOnce := false, 0
	var settledAt time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-pushed:
			if err != nil {
				return nil, err
			}
			done = true
			continue
		case <-tick.C:
		}
		mu.Lock()
		seen := slices.Clone(pushes)
		mu.Unlock()
		page, err := d.Executions(ctx, dispatch.ExecutionFilter{Limit: 100})
		if err != nil {
			return nil, err
		}
		runs := join(seen, page.Executions)
		mostAtOnce = max(mostAtOnce, count(runs, func(r Run) bool { return r.State == dispatch.StateRunning }))
		screen.draw(seen, runs, time.Since(began))
		if !settled(runs) {
			settledAt = time.Time{}
		} else if settledAt.IsZero() {
			settledAt = time.Now()
		}
		if done && over(runs, settledAt) {
			r := &Result{Executions: runs, MostAtOnce: mostAtOnce, Dir: dir, Took: Seconds(time.Since(began))}
			for _, p := range seen {
				r.Pushed += len(p.Commits)
			}
			r.Skipped = count(runs, func(r Run) bool { return r.Execution == "" })
			r.Untold, err = drain(ctx, d.Depth)
			return r, err
		}
	}
}

// drainTime bounds the wait for statuses that nobody takes.
const drainTime = 15 * time.Second

// drain waits until every commit was told how it fared, and returns how many
// statuses are left after drainTime: the demo shows the notes, so they have to
// be there when it ends.
func drain(ctx context.Context, depth func(context.Context) (dispatch.Depth, error)) (left int64, err error) {
	limit := time.NewTimer(drainTime)
	defer limit.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		d, err := depth(ctx)
		if err != nil || d.Statuses == 0 {
			return d.Statuses, err
		}
		select {
		case <-ctx.Done():
			return d.Statuses, ctx.Err()
		case <-limit.C:
			return d.Statuses, nil
		case <-tick.C:
		}
	}
}

// patience is how long a commit may go without an execution before it counts as
// skipped.
const patience = 10 * time.Second

// settled reports whether every execution that there is has ended.
func settled(runs []Run) bool {
	return !slices.ContainsFunc(runs, func(r Run) bool { return r.Execution != "" && !r.State.Finished() })
}

// over reports whether the demo has shown all there is: every commit's
// execution has ended, or those that are missing will not come any more.
func over(runs []Run, settledAt time.Time) bool {
	if len(runs) == 0 || settledAt.IsZero() {
		return false
	}
	missing := slices.ContainsFunc(runs, func(r Run) bool { return r.Execution == "" })
	return !missing || time.Since(settledAt) >= patience
}

// join finds each pushed commit's execution. A commit that has none yet is
// shown as one that waits to be taken.
func join(pushes []Push, executions []dispatch.Execution) []Run {
	byCommit := map[string]*dispatch.Execution{}
	for i := range executions {
		byCommit[executions[i].SHA] = &executions[i]
	}
	var runs []Run
	for _, p := range pushes {
		for _, c := range p.Commits {
			r := Run{Commit: c.SHA, Title: c.Title, Branch: p.Branch, State: dispatch.StateWaiting}
			if e := byCommit[c.SHA]; e != nil {
				r.Environment, r.Execution, r.State = e.Environment, e.ID, e.State
				r.started, r.stopped = e.StartedAt, e.StoppedAt
				if !e.StartedAt.IsZero() {
					r.Waited = Seconds(e.StartedAt.Sub(e.CreatedAt))
				}
				if !e.StoppedAt.IsZero() {
					r.Ran = Seconds(e.StoppedAt.Sub(e.StartedAt))
				}
			}
			runs = append(runs, r)
		}
	}
	return runs
}

func count(runs []Run, is func(Run) bool) int {
	n := 0
	for _, r := range runs {
		if is(r) {
			n++
		}
	}
	return n
}
