//go:build unix

package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/internal/cgroup"
	"switchyard/internal/fault"
	"switchyard/internal/proc"
)

// errTimedOut is the cause of a build's context when its own timeout ends it.
var errTimedOut = errors.New("the build exceeded its timeout")

// session is one run of a build.
type session struct {
	h     *Handler
	t     task.Task
	req   *request
	log   *logFile
	group *proc.Group
	res   *buildResult

	// dir is the work directory: src, home, tmp and control, which the build
	// may write to, scripts, which it may read, and passwd, which is made for it.
	dir, src string
	spec     *buildspec
	specText string
	env      environment
	shell    string
	// secretNames are the variables whose values must not be exported.
	secretNames []string
	// secretValues are what secrets were when the build began, by reference.
	secretValues map[string]string
	out          *output
	// scope is whose caches the build uses, of the repository at cacheURL.
	scope    cacheScope
	cacheURL string
	// cacheKey is the buildspec's, and cacheHit says that there is one with it.
	cacheKey string
	cacheHit bool
	// box is there once a command has run, where builds are isolated.
	box *sandbox
	// etc is what the sandbox has as /etc.
	etc *etcCopy
	// cgroup is nil where there is none: then the build is watched.
	cgroup *cgroup.Group
	// launched is true once the build itself, not git for it, has run something.
	launched atomic.Bool
	// exceed ends the build's context when it takes more than it may.
	exceed context.CancelCauseFunc
	// releases let the mirrors go that the build uses.
	releases []func()
	// objects are those of the mirrors, which the checkouts borrow.
	objects []string
	// steps counts the shells that were started, for the names of scripts.
	steps int
	// submodules counts those that were checked out.
	submodules int
	failed     bool
	// held is true while the reserve pauses the build.
	held bool
	// overLimit is true when what the build left is more than it may leave.
	overLimit bool
	// adopt is true when an earlier process ran all of the commands.
	adopt bool
	// fault is what the machine did to the build; nothing runs after it.
	fault *fault.Error
}

// run does one build, from a free slot to its result.
//
// With adopt the commands of the build have ended in an earlier process, and
// only what follows them is done.
func (h *Handler) run(ctx context.Context, t task.Task, req *request, lf *logFile, res *buildResult, adopt bool) (json.RawMessage, error) {
	var err error
	if res.BuildNumber, err = h.numbers.next(req.project); err != nil {
		return nil, res.faulty("SUBMITTED", fmt.Errorf("number the build: %w", err))
	}
	log := h.log.With(zap.String("execution", t.ExecutionName), zap.String("task_id", t.ID), zap.String("build", res.ID))
	log.Info("build begins")

	ctx, cancel := context.WithTimeoutCause(ctx, req.timeout, errTimedOut)
	defer cancel()
	ctx, exceed := context.WithCancelCause(ctx)
	defer exceed(nil)
	var s *session
	for retries := 0; ; retries++ {
		res.Phases = []phaseResult{{PhaseType: "QUEUED", PhaseStatus: statusSucceeded, StartTime: res.StartTime, EndTime: millis(h.now())}}
		s = h.newSession(t, req, lf, res)
		s.adopt, s.exceed = adopt && retries == 0, exceed
		s.openGroup()
		watched := make(chan struct{})
		watching, stopWatching := context.WithCancel(ctx)
		go func() { defer close(watched); s.watch(watching) }()
		again, err := s.attempt(ctx, retries)
		stopWatching()
		<-watched
		if err != nil {
			log.Warn("build can't be cleaned up", zap.Error(err))
			lf.note("clean-up: %v", err)
		}
		if !again {
			break
		}
	}
	if res.BuildStatus == statusSucceeded && ctx.Err() == nil && s.fault == nil {
		s.saveCache(ctx)
	}
	res.end(h.now())
	res.mask(lf.maskText)
	out, err := s.outcome(ctx, log)
	var failure *task.Error
	if err == nil || errors.As(err, &failure) {
		// First the result, then all else goes: a kill in between must not
		// have the build run again.
		if err := h.works.keep(workName(t), out, err); err != nil {
			log.Warn("the result can't be kept; the build may run again if Switchyard is killed now", zap.Error(err))
		}
	} else if errors.Is(err, task.ErrShutdown) && exists(s.control(doneFile)) {
		return out, err // the next process takes it over
	}
	if err := h.works.clean(workName(t)); err != nil {
		log.Warn("build can't be cleaned up", zap.Error(err))
		lf.note("clean-up: %v", err)
	}
	if s.fault != nil && s.fault.Command && fault.HalfFree(h.cfg.DataDir) {
		// The build itself fills the disk: that is not waited for for long.
		s.fault.Brief = true
	}
	return out, err
}

func (h *Handler) newSession(t task.Task, req *request, lf *logFile, res *buildResult) *session {
	s := &session{h: h, t: t, req: req, log: lf, res: res, group: proc.NewGroup(h.cfg.DataDir, workName(t), h.cfg.KillGrace)}
	s.dir = h.works.dir(workName(t))
	s.src = filepath.Join(s.dir, "src")
	return s
}

// outcome says how the build ended, in its log too.
func (s *session) outcome(ctx context.Context, log *zap.Logger) (json.RawMessage, error) {
	if f := evicted(ctx); f != nil {
		s.fault = f
	} else if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errTimedOut) && exceeded(ctx) == nil {
		s.log.note("build stopped: %v", cause)
		log.Info("build stopped", zap.NamedError("cause", cause))
		return nil, cause
	}
	if s.fault != nil {
		return nil, &buildFaultError{fault: s.fault, res: s.res}
	}
	s.log.note("build %s", s.res.BuildStatus)
	log.Info("build ended", zap.String("status", s.res.BuildStatus))
	if exceeded(ctx) != nil || s.overLimit {
		return s.res.failure(errLimit)
	}
	return s.res.output()
}

// redact removes a password from a URL.
func redact(cloneURL string) string {
	before, rest, ok := strings.Cut(cloneURL, "://")
	if !ok {
		return cloneURL
	}
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 && before != "ssh" {
		authority = authority[at+1:]
	}
	return before + "://" + authority + "/" + path
}

// attempt runs the build once and cleans up after it. It returns true when
// the buildspec asks for another attempt.
func (s *session) attempt(ctx context.Context, retries int) (again bool, err error) {
	if s.out, err = newOutput(s.log); err != nil {
		s.fault = &fault.Error{Err: err}
		s.res.fail("SUBMITTED", err)
		return false, s.closeGroup()
	}
	leave := s.h.reserve.enter(s)
	defer func() {
		leave() // nothing that is stopped could be told of its end
		err = errors.Join(err, s.end(), s.closeGroup(), s.out.close())
		for _, release := range s.releases {
			release()
		}
	}()

	ended := "" // the phase whose commands, the last, an earlier process ran
	if s.adopt {
		if ended, err = s.resume(ctx); err != nil {
			s.log.note("what the earlier process left can't be used, the build begins again: %v", err)
			ended = ""
		}
	}
	if ended == "" {
		s.res.BuildStatus = statusSucceeded
		if !s.phase(ctx, "DOWNLOAD_SOURCE", s.download) {
			return false, nil
		}
	}
	for _, name := range specPhases {
		p := s.spec.phases[name]
		switch {
		case ended == name:
			ended, p.commands, p.finally = "", nil, nil
		case ended != "":
			continue
		case name == s.spec.lastPhase():
			if err := s.record(name); err != nil {
				s.log.note("the build would run again if Switchyard was killed: %v", err)
			}
		}
		if s.phase(ctx, name, func(ctx context.Context) error { return s.runPhase(ctx, name, p) }) {
			if name == s.spec.lastPhase() {
				s.markDone()
			}
			continue
		}
		if ctx.Err() != nil || s.fault != nil {
			return false, nil
		}
		if f := p.onFailure; f.action == failRetry && retries < f.retries && f.match.MatchString(s.lastMessage()) {
			s.log.note("%s failed and asks for another attempt: retry %d of %d", name, retries+1, f.retries)
			return true, nil
		}
		if s.stopsAfter(name) {
			s.exportVariables()
			return false, nil
		}
	}
	s.exportVariables()
	s.phase(ctx, "UPLOAD_ARTIFACTS", s.keepArtifacts)
	return false, nil
}

// stopsAfter says whether the failure of a phase ends the build. By default
// the failure of BUILD does not: POST_BUILD and the artifacts follow.
func (s *session) stopsAfter(name string) bool {
	switch s.spec.phases[name].onFailure.action {
	case failAbort:
		return true
	case failContinue:
		return false
	}
	return name == phaseInstall || name == phasePreBuild
}

// phase runs one phase and records it. It returns true when it succeeded.
func (s *session) phase(ctx context.Context, name string, run func(context.Context) error) bool {
	start := s.h.now()
	s.log.note("entering phase %s", name)
	err := run(ctx)
	end := s.h.now()
	p := phaseResult{
		PhaseType: name, PhaseStatus: statusSucceeded, StartTime: millis(start), EndTime: millis(end),
		DurationInSeconds: int64(end.Sub(start) / time.Second),
	}
	if err != nil {
		s.failed = true
		p.PhaseStatus = statusFailed
		var pe *phaseError
		code, message := "CLIENT_ERROR", err.Error()
		if errors.As(err, &pe) {
			code = pe.code
		}
		if errors.Is(context.Cause(ctx), errTimedOut) {
			p.PhaseStatus, code = statusTimedOut, "BUILD_TIMED_OUT"
			message = fmt.Sprintf("Build has timed out after %v (timeout of its project under engine.embedded.projects, or TimeoutInMinutesOverride).", s.req.timeout)
		} else if limit := exceeded(ctx); limit != nil {
			code, message = codeLimit, limit.Error()
		} else if errors.As(err, new(*limitError)) {
			code, s.overLimit = codeLimit, true
		} else if f := s.machineFault(ctx, err); f != nil {
			s.fault = f
			p.PhaseStatus, code, message = statusFault, codeFault, f.Error()
		}
		message = strings.ToValidUTF8(s.log.maskText(message), "\uFFFD")
		p.Contexts = []phaseContext{{StatusCode: code, Message: message}}
		if s.res.BuildStatus == statusSucceeded {
			s.res.BuildStatus = p.PhaseStatus
		}
		s.log.note("phase %s %s: %s", name, p.PhaseStatus, message)
	} else {
		s.log.note("phase %s %s", name, p.PhaseStatus)
	}
	s.res.Phases = append(s.res.Phases, p)
	return err == nil
}

// machineFault says whether the machine made a phase fail, or ended the build.
func (s *session) machineFault(ctx context.Context, err error) *fault.Error {
	if f := evicted(ctx); f != nil || ctx.Err() != nil {
		return f
	}
	return s.faultOf(err)
}

// evicted is why the reserve ended the build of ctx, or nil.
func evicted(ctx context.Context) *fault.Error {
	var f *fault.Error
	if errors.As(context.Cause(ctx), &f) {
		return f
	}
	return nil
}

// faultOf says whether the machine made a phase fail. Of a command that fails
// for want of room on the disk only the disk can tell.
func (s *session) faultOf(err error) *fault.Error {
	if f := fault.Of(err); f != nil {
		return &fault.Error{Err: err, Brief: f.Brief}
	}
	if !errors.As(err, new(*phaseError)) {
		return nil
	}
	full := fault.Room(s.h.cfg.DataDir)
	if full == nil && s.log.wasFull() {
		full = errors.New("the disk was full while it ran")
	}
	if full == nil {
		return nil
	}
	return &fault.Error{Err: fmt.Errorf("%w (%w)", err, full), Command: true}
}

func (s *session) lastMessage() string {
	p := s.res.Phases[len(s.res.Phases)-1]
	if len(p.Contexts) == 0 {
		return ""
	}
	return p.Contexts[0].Message
}

// phaseError is a failure with CodeBuild's status code for it.
type phaseError struct {
	code string
	err  error
}

func (e *phaseError) Error() string { return e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// download makes the work directory, checks the commit out and reads its
// buildspec.
func (s *session) download(ctx context.Context) error {
	s.note(slices.Concat(s.req.forkNotes, s.req.notes))
	if err := removeAll(s.dir); err != nil {
		return err
	}
	for _, d := range []string{"src", "home", "tmp", "control", "scripts"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return err
		}
	}
	named := s.h.named(s.req.remote, nil)
	src, g, err := s.fetch(ctx, git{group: s.group, durable: s.h.durable}, s.req.remote, s.req.version, named)
	if err != nil {
		return fmt.Errorf("%s: %w", redact(s.req.cloneURL), err)
	}
	s.res.ResolvedSourceVersion = src.commit
	if err := s.admit(ctx, g.remote, src.commit); err != nil {
		return err
	}
	s.objects = nil
	if err := s.checkout(ctx, src, g, s.src); err != nil {
		return fmt.Errorf("check out commit %s: %w", src.commit, err)
	}
	s.log.note("checked out commit %s of %s", src.commit, redact(s.req.cloneURL))
	if len(s.req.submodules) > 0 {
		if err := s.checkoutSubmodules(ctx, src, g, s.src, 1); err != nil {
			return fmt.Errorf("check out commit %s: %w", src.commit, err)
		}
	}
	if err := s.readSpec(); err != nil {
		return &phaseError{code: "YAML_FILE_ERROR", err: err}
	}
	s.note(s.spec.notes)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	s.noteUnset()
	if err := s.restoreCache(ctx, src, g); err != nil {
		return fmt.Errorf("restore the cache: %w", err)
	}
	return nil
}

// checkout checks a commit out at dir, once more if the mirror had to be healed.
func (s *session) checkout(ctx context.Context, src *source, g git, dir string) error {
	s.objects = append(s.objects, filepath.Join(src.mirror.dir, "objects"))
	seen := src.mirror.renewals.Load()
	err := src.checkout(ctx, g, dir, &s.h.cfg)
	if err == nil {
		return nil
	}
	healed, healErr := src.heal(ctx, g, err, seen, s.log.note)
	if !healed {
		return errors.Join(err, healErr)
	}
	if healErr != nil {
		return healErr
	}
	if err := removeAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return src.checkout(ctx, g, dir, &s.h.cfg)
}

func (s *session) specName() string {
	if s.req.inline {
		return "inline buildspec"
	}
	return s.req.buildspec
}

// readSpec reads the buildspec of the commit, never a file outside of it.
func (s *session) readSpec() error {
	text := []byte(s.req.buildspec)
	if !s.req.inline {
		root, err := os.OpenRoot(s.src)
		if err != nil {
			return err
		}
		defer root.Close()
		f, err := root.Open(s.req.buildspec)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("commit %s has no %s", s.res.ResolvedSourceVersion, s.req.buildspec)
		}
		if err != nil {
			return fmt.Errorf("commit %s: %w", s.res.ResolvedSourceVersion, err)
		}
		defer f.Close()
		if text, err = io.ReadAll(io.LimitReader(f, maxBuildspec+1)); err != nil {
			return fmt.Errorf("commit %s: %w", s.res.ResolvedSourceVersion, err)
		}
	}
	s.specText = string(text)
	var err error
	s.spec, err = parseBuildspec(s.specName(), text)
	return err
}
