//go:build unix

package build

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"switchyard/asl/task"
	"switchyard/internal/fault"
)

// logs are the log files of all builds, <root>/<execution>/<task>.log. What a
// build wrote is kept byte for byte, except for secrets: whoever shows a log
// must escape it. Lines of our own begin with "[switchyard] ".
type logs struct {
	root string

	mu sync.Mutex
	// open has the logs of builds that wait or run, by path.
	open map[string]*logFile
}

func (l *logs) path(execution, taskID string) string {
	return filepath.Join(l.root, pathName(execution), pathName(taskID)+".log")
}

// create begins the log of a build, or goes on with it for a task that is run
// again after a crash. It holds no descriptor until [logFile.hold].
func (l *logs) create(t task.Task, limit int64, now func() time.Time) (*logFile, error) {
	path := l.path(t.ExecutionName, t.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[path]; ok {
		return nil, fmt.Errorf("task %s is already running", t.ID)
	}
	lf := &logFile{
		path: path, limit: limit, now: now,
		changed: make(chan struct{}),
		onEnd: func() {
			l.mu.Lock()
			delete(l.open, path)
			l.mu.Unlock()
		},
	}
	if info, err := os.Stat(path); err == nil {
		lf.size, lf.began = info.Size(), info.Size()
		lf.limit += lf.size
	}
	l.open[path] = lf
	return lf, nil
}

// find gives the log that is being written at path, or nil.
func (l *logs) find(path string) *logFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[path]
}

// remove removes the logs of an execution, unless one is being written. They
// are moved away under the lock, so that a build that begins now starts anew.
func (l *logs) remove(dirName string) error {
	l.mu.Lock()
	for path := range l.open {
		if filepath.Base(filepath.Dir(path)) == dirName {
			l.mu.Unlock()
			return nil
		}
	}
	// No name of an execution has the ending of its own: see pathName.
	moved := filepath.Join(l.root, dirName+".removed")
	err := os.Rename(filepath.Join(l.root, dirName), moved)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return os.RemoveAll(moved)
}

// logFile is the log of one build. It is safe for concurrent use.
type logFile struct {
	path  string
	now   func() time.Time
	onEnd func()

	mu sync.Mutex
	// f is nil while the build waits: hundreds may.
	f       *os.File
	size    int64
	limit   int64
	began   int64 // the size that it had already
	dropped bool
	// lineOpen is true when the last byte written is not a line break.
	lineOpen bool
	mask     masker
	// err is the first failure to write: a full disk alone does not fail a
	// build. lost counts the bytes since then that are not in the log.
	err  error
	lost int64
	// full is true when the machine kept something from being written since
	// the build was last begun.
	full bool
	// changed is closed, and replaced, whenever there is more to read; when
	// ended it stays closed.
	changed chan struct{}
	ended   bool
}

// hide masks a secret in all that is written from now on.
func (l *logFile) hide(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mask.add(secret)
}

// maskText is s without the secrets.
func (l *logFile) maskText(s string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mask.all(s)
}

// Write takes output of the build. It never fails: the build goes on.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.output(l.mask.write(p))
	return len(p), nil
}

func (l *logFile) output(p []byte) {
	if len(p) == 0 || l.dropped {
		return
	}
	if room := l.limit - l.size; int64(len(p)) > room {
		l.append(p[:room])
		l.dropped = true
		l.line(fmt.Sprintf("the log is larger than the %s it may take (engine.embedded.builds.log); the rest of the output is not kept", sizeText(l.limit-l.began)))
		return
	}
	l.append(p)
}

// note writes a line of our own, also past the limit.
func (l *logFile) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.output(l.mask.flush())
	l.line(l.mask.all(fmt.Sprintf(format, args...)))
}

func (l *logFile) line(text string) {
	s := "[switchyard] " + l.now().UTC().Format("15:04:05") + " " + text + "\n"
	if l.lineOpen {
		s = "\n" + s
	}
	l.append([]byte(s))
}

func (l *logFile) append(p []byte) {
	if len(p) == 0 {
		return
	}
	if l.lost > 0 {
		gap := fmt.Sprintf("\n[switchyard] %d bytes of output could not be written: %v\n", l.lost, l.err)
		if n, err := l.write([]byte(gap)); err != nil || n < len(gap) {
			l.lost += int64(len(p))
			return
		}
		l.lost = 0
	}
	n, err := l.write(p)
	if err != nil {
		l.lost += int64(len(p) - n)
		if l.err == nil {
			l.err = err
		}
		l.full = l.full || fault.Of(err) != nil
	}
	l.lineOpen = p[len(p)-1] != '\n'
	close(l.changed)
	l.changed = make(chan struct{})
}

// write appends to the file, which is opened for it when it is not held.
func (l *logFile) write(p []byte) (int, error) {
	f := l.f
	if f == nil {
		var err error
		if f, err = l.openFile(); err != nil {
			return 0, err
		}
		defer f.Close()
	}
	n, err := f.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) openFile() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// hold opens the file for as long as the build runs.
func (l *logFile) hold() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.openFile()
	if err != nil {
		return err
	}
	l.f, l.full = f, false
	return nil
}

// letGo gives the descriptor back.
func (l *logFile) letGo() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// wasFull reports whether the machine kept something from being written since
// [logFile.hold].
func (l *logFile) wasFull() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full
}

// tail is the end of the log, at most n bytes; nothing where that can't be read.
func (l *logFile) tail(n int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.Open(l.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, min(n, l.size))
	got, _ := f.ReadAt(b, l.size-int64(len(b)))
	return b[:got]
}

// finish ends the log: its followers return when they have read it all. The
// error says why the log is not complete.
func (l *logFile) finish() error {
	l.mu.Lock()
	l.output(l.mask.flush())
	l.ended = true
	err := l.err
	close(l.changed)
	l.mu.Unlock()
	l.onEnd()
	return err
}

// more gives a channel that is closed when there is more to read, and whether
// the log has ended.
func (l *logFile) more() (<-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed, l.ended
}
