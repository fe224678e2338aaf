package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const (
	goodMachine  = `{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`
	otherMachine = `{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}`
	watched      = "data_dir: %\nstate_machines: {deploy: {definition: deploy.asl.json}}\n"
)

// watching is a Watcher in a bubble, with the system's events made by the test.
type watching struct {
	t       *testing.T
	dir     string
	w       *Watcher
	events  chan fsnotify.Event
	errs    chan error
	mu      sync.Mutex
	applied []string // data_dir of each config applied
	refuse  error
	logs    *observer.ObservedLogs
	follows [][]string
	stop    func()
}

func watch(t *testing.T) *watching {
	t.Helper()
	s := &watching{t: t, dir: t.TempDir(), events: make(chan fsnotify.Event), errs: make(chan error)}
	s.write("deploy.asl.json", goodMachine)
	s.config("first")
	cfg, err := Load(filepath.Join(s.dir, "switchyard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	s.logs = logs
	s.w, err = NewWatcher(cfg, func(_ context.Context, c *Config) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.applied = append(s.applied, c.DataDir)
		return s.refuse
	}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- s.w.loop(ctx, s.events, s.errs, func(dirs []string) { s.follows = append(s.follows, dirs) })
	}()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return s
}

func (s *watching) write(name, text string) { write(s.t, filepath.Join(s.dir, name), text) }

func (s *watching) config(dataDir string) {
	s.write("switchyard.yaml", strings.Replace(watched, "%", dataDir, 1))
}

func (s *watching) event(op fsnotify.Op, name string) {
	s.events <- fsnotify.Event{Name: filepath.Join(s.dir, name), Op: op}
}

// settle lets more than the debounce pass.
func (s *watching) settle() {
	<-time.After(2 * debounce)
	synctest.Wait()
}

func (s *watching) want(dataDirs ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(dataDirs, s.applied); diff != "" {
		s.t.Errorf("configs applied (-want +got):\n%s", diff)
	}
}

func TestWatcherTakesAChangeOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		defer s.stop()
		s.config("second")
		for range 5 {
			s.event(fsnotify.Write, "switchyard.yaml")
			<-time.After(debounce / 2)
		}
		s.want()
		s.settle()
		s.want("second")
		s.event(fsnotify.Write, "switchyard.yaml") // touched, not changed
		s.settle()
		s.want("second")
	})
}

func TestWatcherSeesAChangeFromBeforeItRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		s.stop()
		s.config("second")
		again, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.w.loop(again, nil, nil, func([]string) {}) }()
		s.settle()
		s.want("second")
		cancel()
		<-done
	})
}

func TestWatcherKeepsTheOldConfigWhenTheNewIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		defer s.stop()
		s.write("switchyard.yaml", "data_dri: x\nlog: {level: loud}\n")
		s.event(fsnotify.Write, "switchyard.yaml")
		s.settle()
		s.want()
		wrong := s.logs.FilterMessage("config is wrong; the old one stays").All()
		if len(wrong) != 1 {
			t.Fatalf("got %d log lines, want 1: %v", len(wrong), s.logs.All())
		}
		if list := wrong[0].ContextMap()["errors"].([]any); len(list) != 2 || !strings.Contains(list[0].(string), "data_dri: unknown key; did you mean data_dir?") {
			t.Errorf("got %v", list)
		}
		// The definition is still watched: its name is from the old config.
		s.event(fsnotify.Write, "deploy.asl.json")
		s.settle()
		if n := s.logs.FilterMessage("config is wrong; the old one stays").Len(); n != 1 {
			t.Errorf("the same wrong config was logged %d times", n)
		}
		s.config("repaired")
		s.event(fsnotify.Create, "switchyard.yaml")
		s.settle()
		s.want("repaired")
	})
}

func TestWatcherSeesDefinitionsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		defer s.stop()
		s.write("deploy.asl.json", otherMachine)
		s.event(fsnotify.Write, "deploy.asl.json")
		s.settle()
		s.want("first")
		s.write("deploy.asl.json", `{"StartAt": "Nowhere"`)
		s.event(fsnotify.Write, "deploy.asl.json")
		s.settle()
		s.want("first")
	})
}

func TestWatcherLeavesOtherFilesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		defer s.stop()
		s.config("second") // as if its own event had been lost
		s.event(fsnotify.Write, "journal.db-wal")
		s.event(fsnotify.Chmod, "switchyard.yaml")
		s.settle()
		s.want()
		s.errs <- fsnotify.ErrEventOverflow
		s.settle()
		s.want("second")
	})
}

func TestReloadReadsWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		defer s.stop()
		s.w.Reload()
		s.w.Reload()
		synctest.Wait()
		s.mu.Lock()
		if len(s.applied) == 0 || len(s.applied) > 2 {
			t.Errorf("applied %d times", len(s.applied))
		}
		s.refuse = errors.New("no")
		s.mu.Unlock()
		s.w.Reload()
		synctest.Wait()
		if s.logs.FilterMessage("config rejected; keeping the current one").Len() != 1 {
			t.Errorf("got %v", s.logs.All())
		}
	})
}

func TestWatcherNeedsAFile(t *testing.T) {
	if _, err := NewWatcher(Default(), nil, zap.NewNop()); err == nil {
		t.Error("a config from nowhere is watched")
	}
}

// The tests below use the system's own events.

func runWatcher(t *testing.T, path string) <-chan string {
	t.Helper()
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	applied := make(chan string, 16)
	w, err := NewWatcher(cfg, func(_ context.Context, c *Config) error {
		applied <- c.DataDir
		return nil
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return applied
}

func receive(t *testing.T, applied <-chan string, want string) {
	t.Helper()
	select {
	case got := <-applied:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("%q was not applied", want)
	}
}

func TestRunSeesEditorsReplaceTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "switchyard.yaml")
	write(t, path, "data_dir: first\n")
	applied := runWatcher(t, path)
	for _, next := range []string{"second", "third"} {
		write(t, path+".swp", "data_dir: "+next+"\n")
		if err := os.Rename(path+".swp", path); err != nil {
			t.Fatal(err)
		}
		receive(t, applied, next)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "data_dir: fourth\n")
	receive(t, applied, "fourth")
}

// A ConfigMap is a folder of links to ..data/FILE, where ..data is a link to a
// folder that is swapped as a whole.
func TestRunSeesKubernetesSwapTheLink(t *testing.T) {
	dir := t.TempDir()
	generation := func(name, dataDir string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "switchyard.yaml"), "data_dir: "+dataDir+"\n")
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	generation("..one", "first")
	path := filepath.Join(dir, "switchyard.yaml")
	if err := os.Symlink("..data/switchyard.yaml", path); err != nil {
		t.Fatal(err)
	}
	applied := runWatcher(t, path)
	generation("..two", "second")
	if err := os.RemoveAll(filepath.Join(dir, "..one")); err != nil {
		t.Fatal(err)
	}
	receive(t, applied, "second")
	generation("..three", "third")
	receive(t, applied, "third")
}
