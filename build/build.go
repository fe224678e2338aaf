//go:build unix

// Package build runs CodeBuild builds on this machine: the handler for
// arn:aws:states:::codebuild:startBuild.sync.
//
// A build checks out one exact commit into a directory of its own, which
// shares the objects of one mirror per clone URL, and runs the phases of its
// buildspec there, in a clean environment. When Run returns,
// every process of the build is gone and so is its directory; what stays is a
// log and the artifacts.
//
// Builds are strangers: what they run is what a branch's author wrote. Their
// commands run in namespaces of their own (see bubblewrap) where the machine
// can make them. Without isolation builds run as the user that Switchyard runs
// as; a clean environment and directories of their own are order then, and no
// sandbox.
//
// Semantics are those of the AWS CodeBuild user guide: "Buildspec reference",
// "Environment variables in build environments" and "Build phase transitions".
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"switchyard/asl/task"
	"switchyard/internal/cgroup"
	"switchyard/internal/fault"
)

// The resources this package knows. Only the .sync form is run: the other
// returns before the build ends, and a build must not outlive its task.
const (
	ResourceSync  = "arn:aws:states:::codebuild:startBuild.sync"
	resourceAsync = "arn:aws:states:::codebuild:startBuild"
)

// Access says what builds may reach beside what everybody can. It is safe for
// concurrent use.
type Access interface {
	// Configured reports whether a source of the config has the repository: at a
	// path of this machine, or below the URL that its repositories are cloned
	// from.
	Configured(cloneURL string) bool
	// Credentials gives what the host of f wants to see, if builds of the
	// execution may have it. It is called once for each fetch, so that
	// short-lived tokens are fresh. An error that can pass is a [*fault.Error].
	Credentials(ctx context.Context, f Fetch) (Credentials, error)
}

// noAccess is that of builds that nobody gives any.
type noAccess struct{}

func (noAccess) Configured(string) bool { return false }

func (noAccess) Credentials(context.Context, Fetch) (Credentials, error) { return Credentials{}, nil }

// Option replaces what wiring or a test provides.
type Option func(*Handler)

// WithAccess sets what builds may reach. Credentials get to git through its
// environment, never a command line or a file, and never to a build.
func WithAccess(a Access) Option {
	return func(h *Handler) { h.access = a }
}

// ForkCommitFunc reports whether a commit of the repository at a clone URL is
// known from forks alone. The URL has no password. An error keeps the build
// waiting. It is safe for concurrent use.
type ForkCommitFunc func(ctx context.Context, cloneURL, commit string) (bool, error)

// WithForkCommits tells commits of forks where the execution does not say that
// it is about one, as of one that is started by hand.
func WithForkCommits(f ForkCommitFunc) Option {
	return func(h *Handler) { h.forkCommit = f }
}

// WithNow sets the clock for times that are recorded.
func WithNow(now func() time.Time) Option {
	return func(h *Handler) { h.now = now }
}

// Handler runs builds. It is safe for concurrent use.
type Handler struct {
	cfg        Config
	log        *zap.Logger
	access     Access
	forkCommit ForkCommitFunc
	now        func() time.Time

	slots   *semaphore.Weighted
	waiting atomic.Int64
	mirrors mirrors
	numbers counter
	logs    logs
	lock    *os.File
	works   works
	caches  caches
	secrets secretReader
	// renewed are the secrets of the projects, by project and name, once they
	// are others than those of cfg.
	renewed atomic.Pointer[map[string]map[string]Secret]
	forgets sync.WaitGroup
	// bubblewrap is nil when builds run without isolation; exposed says why.
	bubblewrap *bubblewrap
	// containers is not nil when each build runs in one.
	containers *containers
	exposed    string
	// groups is nil where builds can have no cgroups; see LimitedBy.
	groups    *cgroup.Tree
	limitedBy string
	reserve   *reserve
	started   time.Time
	// swept is how many processes each build of an earlier run had left, by the
	// name of its work directory.
	swept map[string]int
	// reaper ends builds when this process is killed, reapAfter later.
	reaper        *reaper
	reapAfter     time.Duration
	reaperStarted func(pid int)

	// firstWait is the wait after the first fault of the machine.
	firstWait time.Duration
	// checked and damaged count the checks of mirrors by what they found.
	checked, damaged atomic.Int64
	// durable is git's configuration for writing to mirrors.
	durable []string

	pruneMu sync.Mutex
	pruned  time.Time
}

var (
	_ task.Handler = (*Handler)(nil)
	_ task.Keeper  = (*Handler)(nil)
)

// New takes over cfg.DataDir: it locks it, ends the processes that a killed
// Switchyard left behind, and removes their directories. Close gives it back.
func New(log *zap.Logger, cfg Config, opts ...Option) (*Handler, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("build data directory: %w", err)
	}
	// Builds see it at this path, where a link in it would lead nowhere.
	var err error
	if cfg.DataDir, err = filepath.EvalSymlinks(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("build data directory: %w", err)
	}
	h := &Handler{
		cfg:        cfg,
		log:        log.Named("build"),
		access:     noAccess{},
		forkCommit: func(context.Context, string, string) (bool, error) { return false, nil },
		now:        time.Now,
		slots:      semaphore.NewWeighted(int64(cfg.MaxParallel)),
		firstWait:  time.Second,
		reapAfter:  reapAfter,
	}
	h.logs = logs{root: filepath.Join(cfg.DataDir, "logs"), open: make(map[string]*logFile)}
	for _, o := range opts {
		o(h)
	}
	version, err := exec.Command("git", "version").Output() //nolint:noctx // it answers at once
	if err != nil {
		return nil, fmt.Errorf("build: local builds need git: %w", err)
	}
	h.durable = durableConfig(string(version))
	h.mirrors = mirrors{root: filepath.Join(cfg.DataDir, "mirrors"), h: h, byName: make(map[string]*mirror)}
	h.caches = caches{root: filepath.Join(cfg.DataDir, "cache"), limit: cfg.MaxCache, log: h.log, now: h.now}
	h.works = works{root: filepath.Join(cfg.DataDir, "work"), unclaimed: make(map[string]bool)}
	h.secrets.h = h
	h.started = h.now()
	h.numbers = counter{path: filepath.Join(cfg.DataDir, "numbers.json")}

	lock, err := lockFile(filepath.Join(cfg.DataDir, lockName))
	if err != nil {
		return nil, err
	}
	h.lock = lock
	keepDescriptors()
	h.reserve = newReserve(cfg.DataDir, cfg.Reserve, h.log)
	if err := h.isolate(); err != nil {
		lock.Close()
		return nil, err
	}
	if err := h.recover(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("clean up build data directory %s: %w", cfg.DataDir, err)
	}
	h.reaper = startReaper(h.log, orders{DataDir: cfg.DataDir, Wait: h.reapAfter, Grace: cfg.KillGrace, Containers: h.containers.orders()}, h.reaperStarted)
	return h, nil
}

// Close gives the data directory back. No Run may be under way.
func (h *Handler) Close() error {
	h.forgets.Wait()
	h.reaper.close()
	var err error
	if h.groups != nil {
		err = h.groups.Close()
	}
	return errors.Join(err, h.lock.Close())
}

// recover undoes what a killed process left. The lock says that none of it is
// in use.
func (h *Handler) recover() error {
	ended, err := endLeftovers(h.cfg.DataDir, h.cfg.KillGrace, h.containers)
	if err != nil {
		return err
	}
	if h.swept, err = readReaped(h.cfg.DataDir); err != nil {
		return err
	}
	if err := removeAll(filepath.Join(h.cfg.DataDir, reapedFile)); err != nil {
		return err
	}
	for name, n := range ended {
		h.swept[name] += n
	}
	for name, n := range h.swept {
		h.log.Warn("processes of a build of an earlier run were ended", zap.String("work", name), zap.Int("processes", n))
	}
	h.openGroups() // what got away from that is ended with its group
	if err := removeAll(filepath.Join(h.cfg.DataDir, partialDir)); err != nil {
		return err
	}
	if err := h.works.recover(); err != nil {
		return err
	}
	if err := h.caches.recover(); err != nil {
		return err
	}
	return h.mirrors.recover()
}

// heartbeatEvery is how often a build says that it is alive, also while it
// waits for its turn.
const heartbeatEvery = time.Second

// Run does the build that t asks for. A build that fails, or exceeds its own
// timeout, is a [*task.Error] whose cause is the build as JSON.
func (h *Handler) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	if t.Resource != ResourceSync {
		cause := fmt.Sprintf("resource %s is not known to local builds; use %s", t.Resource, ResourceSync)
		if t.Resource == resourceAsync {
			cause = "a local build can't outlive its task; use " + ResourceSync
		}
		return nil, &task.Error{Name: "States.Runtime", Cause: cause}
	}
	req, err := h.parse(t, false)
	if err != nil {
		return nil, err
	}
	lf, err := h.logs.create(t, h.cfg.MaxLogBytes, h.now)
	if err != nil {
		return nil, fmt.Errorf("open log of build %s: %w", t.ID, err)
	}
	defer func() {
		if err := lf.finish(); err != nil {
			h.log.Warn("build log is incomplete", zap.String("execution", t.ExecutionName), zap.String("task_id", t.ID), zap.Error(err))
		}
	}()
	h.works.claim(workName(t))
	adopt := false
	if t.Restarted {
		if out, err, ok := h.works.result(workName(t)); ok {
			lf.note("Switchyard was restarted after this build had ended; its result is taken over")
			return out, err
		}
		if adopt = exists(filepath.Join(h.works.dir(workName(t)), "control", doneFile)); adopt {
			lf.note("Switchyard was restarted after the last command of this build had ended; it goes on from there, and what the command printed meanwhile is missing")
		} else {
			lf.note("the build was interrupted by a restart of Switchyard; %d processes of it were ended; it begins again", h.swept[workName(t)])
		}
	}

	stop := heartbeat(ctx, t.Heartbeat)
	defer stop()

	queued := h.now()
	waits := fault.Waits{First: h.firstWait, Patience: h.cfg.Patience}
	for try := 1; ; try++ {
		out, err := h.turn(ctx, t, req, lf, queued, adopt)
		adopt = false
		var f *buildFaultError
		if !errors.As(err, &f) {
			return out, err
		}
		// The slot is free meanwhile: another repository may be there.
		wait, ok := waits.After(f.fault, time.Now())
		if !ok {
			return f.give(try)
		}
		lf.note("%s; the build is tried again in %v (attempt %d, for at most %v)", f.describe(), wait, try+1, h.cfg.Patience)
		h.log.Warn("build waits for the machine or its repository", zap.String("execution", t.ExecutionName),
			zap.String("task_id", t.ID), zap.Int("try", try), zap.Duration("wait", wait), zap.String("error", lf.maskText(f.fault.Error())))
		if err := fault.Sleep(ctx, wait); err != nil {
			lf.note("build stopped: %v", err)
			return nil, err
		}
	}
}

// turn waits for a slot and does the build once. The error is a [*buildFaultError]
// when the machine, or the repository's host, kept it from running.
func (h *Handler) turn(ctx context.Context, t task.Task, req *request, lf *logFile, queued time.Time, adopt bool) (json.RawMessage, error) {
	if err := h.waitForSlot(ctx, lf); err != nil {
		lf.note("ended before it began: %v", err)
		return nil, err
	}
	defer h.slots.Release(1)
	if !adopt {
		if err := h.reserve.begin(ctx, lf.note); err != nil {
			lf.note("ended before it began: %v", err)
			return nil, err
		}
	}
	res := h.newResult(t, req, queued)
	if err := lf.hold(); err != nil {
		return nil, res.faulty("SUBMITTED", err)
	}
	out, err := h.pullAndRun(ctx, t, req, lf, res, adopt)
	h.prune()
	if closeErr := lf.letGo(); closeErr != nil {
		h.log.Warn("build log can't be closed", zap.String("task_id", t.ID), zap.Error(closeErr))
	}
	return out, err
}

// pullAndRun does a build whose time begins when its image is there.
func (h *Handler) pullAndRun(ctx context.Context, t task.Task, req *request, lf *logFile, res *buildResult, adopt bool) (json.RawMessage, error) {
	if h.containers != nil && !adopt {
		err := h.containers.pull(ctx, req.image, lf, lf.note)
		switch {
		case err != nil && context.Cause(ctx) != nil:
			lf.note("ended before it began: %v", err)
			return nil, err
		case err != nil:
			return nil, res.faulty("PROVISIONING", err)
		}
	}
	return h.run(ctx, t, req, lf, res, adopt)
}

// Forget removes what was kept of a task whose result is stored.
func (h *Handler) Forget(t task.Task) {
	h.forgets.Go(func() {
		if err := removeAll(h.works.dir(workName(t))); err != nil {
			h.log.Warn("result of a build can't be removed", zap.String("task_id", t.ID), zap.Error(err))
		}
	})
}

// heartbeat calls beat until the returned function is called, which waits for
// the last call.
func heartbeat(ctx context.Context, beat func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				beat()
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (h *Handler) waitForSlot(ctx context.Context, lf *logFile) error {
	if h.slots.TryAcquire(1) {
		return nil
	}
	ahead := h.waiting.Add(1) - 1
	defer h.waiting.Add(-1)
	lf.note("waiting for one of %d build slots, %d builds ahead in the queue", h.cfg.MaxParallel, ahead)
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	return nil
}
