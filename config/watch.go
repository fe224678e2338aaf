package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// debounce is how long the files must be left alone before they are read:
// editors and package managers write in several steps.
const debounce = 250 * time.Millisecond

// Watcher reads a config again when one of its files has changed, or when it is
// told to. A config that is wrong is logged, and the current one kept.
type Watcher struct {
	path   string
	opts   []Option
	log    *zap.Logger
	apply  func(context.Context, *Config) error
	reload chan struct{}

	wrong func()
	// read is owned by Run: the files of the config, with the content that was
	// looked at last.
	read *files
}

// NewWatcher watches the files of current. apply takes a new config on; its
// error is logged, and then too the old config stays. apply is called by Run
// alone, one call at a time.
func NewWatcher(current *Config, apply func(context.Context, *Config) error, log *zap.Logger, opts ...Option) (*Watcher, error) {
	if current.File() == "" {
		return nil, errors.New("watch config: it was not read from a file")
	}
	return &Watcher{
		path: current.File(), opts: opts, log: log.Named("config"), apply: apply,
		wrong: func() {}, reload: make(chan struct{}, 1), read: current.read,
	}, nil
}

// OnWrong has f called, by Run, for each changed config that is wrong and so
// never reaches apply. Call it before Run.
func (w *Watcher) OnWrong(f func()) { w.wrong = f }

// Reload asks for the config to be read again although no change was seen, as
// SIGHUP does. It does not wait.
func (w *Watcher) Reload() {
	select {
	case w.reload <- struct{}{}:
	default: // one is asked for already
	}
}

// Run watches until ctx ends. Where the system cannot watch files, it says so
// in the log, and Reload still works.
func (w *Watcher) Run(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files are not watched; SIGHUP still reloads", zap.Error(err))
		return w.loop(ctx, nil, nil, func([]string) {})
	}
	defer notify.Close()
	return w.loop(ctx, notify.Events, notify.Errors, func(dirs []string) { w.follow(notify, dirs) })
}

// follow makes notify watch exactly dirs. Folders, and not files, are watched:
// a file that is replaced by a rename, or reached through a symbolic link that
// is swapped, is another file afterwards.
func (w *Watcher) follow(notify *fsnotify.Watcher, dirs []string) {
	for _, dir := range notify.WatchList() {
		if !slices.Contains(dirs, dir) {
			// Gone already is as good.
			_ = notify.Remove(dir)
		}
	}
	for _, dir := range dirs {
		if err := notify.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.log.Warn("folder is not watched; SIGHUP still reloads", zap.String("folder", dir), zap.Error(err))
		}
	}
}

// loop is Run without the system's part.
func (w *Watcher) loop(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error, follow func(dirs []string)) error {
	follow(folders(w.read.names))
	// What changed between reading the config and watching it.
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if w.concerns(ev) {
				timer.Reset(debounce)
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			// Events may have been lost: look.
			w.log.Warn("watching files", zap.Error(err))
			timer.Reset(debounce)
		case <-timer.C:
			if w.read.changed() {
				w.takeOn(ctx)
			}
			follow(folders(w.read.names))
		case <-w.reload:
			w.takeOn(ctx)
			follow(folders(w.read.names))
		}
	}
}

// concerns leaves out what happens to other files: a journal in the config's
// folder is written to all the time. Anything that appears, goes or moves is
// looked at, since it may be a link on the way to one of the files.
func (w *Watcher) concerns(ev fsnotify.Event) bool {
	if ev.Has(fsnotify.Create) || ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
		return true
	}
	return ev.Has(fsnotify.Write) && slices.ContainsFunc(w.read.names, func(file string) bool {
		return filepath.Base(file) == filepath.Base(ev.Name) || filepath.Base(target(file)) == filepath.Base(ev.Name)
	})
}

// takeOn reads the files as they are now.
func (w *Watcher) takeOn(ctx context.Context) {
	read := new(files)
	cfg, err := load(w.path, read, w.opts)
	if err != nil {
		// A wrong config may not have got to naming the files of the old one.
		read.keep(w.read)
	}
	w.read = read
	if err != nil {
		w.log.Error("config is wrong; the old one stays", zap.String("file", w.path), zap.Strings("errors", strings.Split(err.Error(), "\n")))
		w.wrong()
		return
	}
	if err := w.apply(ctx, cfg); err != nil {
		w.log.Error("config rejected; keeping the current one", zap.String("file", w.path), zap.Error(err))
		return
	}
	w.log.Info("config reloaded", zap.String("file", w.path), zap.Strings("warnings", cfg.Warnings()))
}

// folders lists where a change to one of files shows: the folder of each, and
// of what each symbolic link on the way leads to. Kubernetes swaps a link in
// the folder of a mounted ConfigMap.
func folders(files []string) []string {
	var dirs []string
	for _, file := range files {
		dirs = append(dirs, filepath.Dir(file), filepath.Dir(target(file)))
		// A link may itself be reached by links, folder by folder.
		for link, hops := file, 0; hops < 16; hops++ {
			to, err := os.Readlink(link)
			if err != nil {
				break
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(link), to)
			}
			dirs = append(dirs, filepath.Dir(to))
			link = to
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// target is the file that a path leads to, or the path itself when it leads
// nowhere.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
