//go:build unix

package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"switchyard/asl/task"
	"switchyard/internal/proc"
)

// works are the work directories of builds, <root>/<name>, and what is kept in
// them over the end of this process: the result of a build until the engine has
// stored it, and all of a build whose commands have ended. Such a build is not
// run again when its task is; one that was cut off in a command is.
//
// A boot of the machine ends this: what was written before it may not be whole.
type works struct {
	root string

	mu sync.Mutex
	// unclaimed are what an earlier process kept, by name, until their tasks
	// are run again. Those of which the engine had stored the result are not.
	unclaimed map[string]bool
}

// claim says that a task is run.
func (w *works) claim(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.unclaimed, name)
}

// removeUnclaimed removes what no task has asked for.
func (w *works) removeUnclaimed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for name := range w.unclaimed {
		errs = append(errs, removeAll(w.dir(name)))
	}
	clear(w.unclaimed)
	return errors.Join(errs...)
}

// workName names a task's work directory. It is short because sockets in its
// TMPDIR may have paths of about 100 bytes only.
func workName(t task.Task) string { return shortName(t.ExecutionARN + "\n" + t.ID) }

func (w *works) dir(name string) string { return filepath.Join(w.root, name) }

const (
	resultFile   = "result.json"
	doneFile     = "done"  // the last command has ended
	savedFile    = "saved" // and the shell has saved its variables
	progressFile = "progress.json"
)

// claimWithin is by when, after the start, the engine has run all tasks again
// that it is to run again.
const claimWithin = time.Hour

// settle lets shells save their variables whose last command has just ended;
// they are about to be ended.
func (w *works) settle() {
	done, err := filepath.Glob(filepath.Join(w.root, "*", "control", doneFile))
	if err != nil {
		return
	}
	deadline := time.Now().Add(2 * time.Second)
	for _, d := range done {
		for !exists(filepath.Join(filepath.Dir(d), savedFile)) && time.Now().Before(deadline) {
			<-time.After(5 * time.Millisecond)
		}
	}
}

// recover removes what an earlier process left, except what is kept.
func (w *works) recover() error {
	boot := proc.BootID()
	bootFile := w.root + ".boot"
	last, err := os.ReadFile(bootFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if boot == "" || string(last) != boot {
		if err := removeAll(w.root); err != nil {
			return err
		}
		return os.WriteFile(bootFile, []byte(boot), 0o600)
	}
	entries, err := os.ReadDir(w.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := w.dir(e.Name())
		if exists(filepath.Join(dir, resultFile)) || exists(filepath.Join(dir, "control", doneFile)) {
			w.unclaimed[e.Name()] = true
			continue
		}
		if err := removeAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// keptResult is a task's output or error.
type keptResult struct {
	Output json.RawMessage `json:",omitempty"`
	Error  *task.Error     `json:",omitempty"`
}

// keep writes the result of a build, whole or not at all.
func (w *works) keep(name string, output json.RawMessage, result error) error {
	k := keptResult{Output: output}
	if result != nil && !errors.As(result, &k.Error) {
		return nil
	}
	if err := os.MkdirAll(w.dir(name), 0o700); err != nil {
		return err
	}
	return writeJSON(filepath.Join(w.dir(name), resultFile), k)
}

// result gives the result that an earlier process kept.
func (w *works) result(name string) (output json.RawMessage, result error, ok bool) {
	var k keptResult
	b, readErr := os.ReadFile(filepath.Join(w.dir(name), resultFile))
	if readErr != nil || json.Unmarshal(b, &k) != nil {
		return nil, nil, false //nolint:nilerr // none was kept, or not whole
	}
	if k.Error != nil {
		return nil, k.Error, true
	}
	return k.Output, nil, true
}

// clean removes all of a build but its result, if that is kept.
func (w *works) clean(name string) error {
	if !exists(filepath.Join(w.dir(name), resultFile)) {
		return removeAll(w.dir(name))
	}
	entries, err := os.ReadDir(w.dir(name))
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != resultFile {
			errs = append(errs, removeAll(filepath.Join(w.dir(name), e.Name())))
		}
	}
	return errors.Join(errs...)
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// progress is where a build was when its last commands began.
type progress struct {
	Result    buildResult
	Phase     string
	Failed    bool
	Buildspec string
	// Secrets are those that the build has been given. It is the same file
	// system that its shells keep their variables on.
	Secrets map[string]string
	// Fork is whether the commit was found to be a fork's.
	Fork bool
	// Cache is whose caches it uses, of the repository at CacheURL.
	Cache    cacheScope
	CacheURL string
	CacheKey string
	CacheHit bool
}

// lastPhase is the phase after which no command is left; "" when there are
// none at all.
func (b *buildspec) lastPhase() string {
	last := ""
	for _, name := range specPhases {
		if p := b.phases[name]; len(p.commands)+len(p.finally) > 0 {
			last = name
		}
	}
	return last
}

// record lets the next process take the build over should this one be killed
// after the commands of the phase, the last, have ended.
func (s *session) record(phase string) error {
	return writeJSON(s.progress(), progress{Result: *s.res, Phase: phase, Failed: s.failed, Buildspec: s.specText, Secrets: s.secretValues, Fork: s.req.fork,
		Cache: s.scope, CacheURL: s.cacheURL, CacheKey: s.cacheKey, CacheHit: s.cacheHit})
}

// progress is where the build can't write.
func (s *session) progress() string { return filepath.Join(s.dir, progressFile) }

// markDone notes that the last command has ended where its shell could not: it
// ended with exit.
func (s *session) markDone() {
	for _, name := range []string{savedFile, doneFile} {
		f, err := s.openControl(name, os.O_WRONLY|os.O_CREATE)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			s.log.note("the build would run again if Switchyard was killed now: %v", err)
		}
	}
}

// resume takes over a build all of whose commands ended in an earlier process.
func (s *session) resume(ctx context.Context) (phase string, err error) {
	b, err := os.ReadFile(s.progress())
	if err != nil {
		return "", err
	}
	var p progress
	if err := json.Unmarshal(b, &p); err != nil {
		return "", err
	}
	s.scope, s.cacheURL, s.cacheKey, s.cacheHit = p.Cache, p.CacheURL, p.CacheKey, p.CacheHit
	if p.Fork {
		if err := s.asFork(); err != nil {
			return "", err
		}
	}
	if s.spec, err = parseBuildspec(s.specName(), []byte(p.Buildspec)); err != nil {
		return "", err
	}
	if err := s.takeSaved(); err != nil {
		return "", err
	}
	*s.res = p.Result
	s.failed, s.specText, s.secretValues = p.Failed, p.Buildspec, p.Secrets
	return p.Phase, s.prepare(ctx)
}
