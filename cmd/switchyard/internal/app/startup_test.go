package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"switchyard/cmd/switchyard/internal/app"
)

// lockVariable makes this program hold a lock on the file it names, in a
// process of its own, until its standard input ends.
const lockVariable = "SWITCHYARD_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockVariable); path != "" {
		if err := holdLock(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func holdLock(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = bufio.NewReader(os.Stdin).ReadByte() // ends with the test
	_ = err
	return nil
}

// lockElsewhere has another process hold the lock until the test ends.
func lockElsewhere(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), lockVariable+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(stdin.Close(), cmd.Wait())
		cancel()
		if err != nil {
			t.Errorf("the process with the lock: %v", err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("%q %v", line, err)
	}
}

// damage overwrites the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) / 3; i < len(text)/3*2; i++ {
		text[i] ^= 0x5a
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What keeps the service from starting is said with the file that it is about
// and with what to do, and the next start without it works.
func TestFaultsOfTheDataFolderAreSaidAtTheStart(t *testing.T) {
	const moveAway = "restore it from a backup"
	for name, row := range map[string]struct {
		file  string
		fault func(t *testing.T, path string)
		want  []string
	}{
		"journal read-only":        {"journal.db", func(t *testing.T, path string) { chmod(t, path, 0o400) }, []string{"cannot be written", "writable for the user"}},
		"journal locked":           {"journal.db", func(t *testing.T, path string) { lockElsewhere(t, path+".lock") }, []string{"in use by", "stop that one"}},
		"journal is another file":  {"journal.db", func(t *testing.T, path string) { replace(t, path, "this is a letter, and no journal at all") }, []string{"no journal at all", moveAway}},
		"journal damaged":          {"journal.db", damage, []string{"damaged", moveAway}},
		"engine store read-only":   {"engine.db", func(t *testing.T, path string) { chmod(t, path, 0o400) }, []string{"writable for the user"}},
		"engine store locked":      {"engine.db", func(t *testing.T, path string) { lockElsewhere(t, path+".lock") }, []string{"stop that one"}},
		"engine store is a letter": {"engine.db", func(t *testing.T, path string) { replace(t, path, strings.Repeat("this is a letter\n", 1000)) }, []string{moveAway}},
		"engine store damaged":     {"engine.db", damage, []string{"damaged", moveAway}},
		"builds locked":            {"builds", func(t *testing.T, path string) { lockElsewhere(t, filepath.Join(path, "lock")) }, []string{"in use by", "stop that one"}},
		"secret emptied":           {"pages.key", func(t *testing.T, path string) { replace(t, path, "") }, []string{"delete it"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := startWith(t, dir, fmt.Sprintf(settings, secret), instant)
			s.deliver(t, "d1", push("feature/a", "one", "two"))
			s.settled(t, 2)
			s.stop()
			path := filepath.Join(dir, "data", row.file)
			row.fault(t, path)
			a, err := app.New(t.Context(), s.cfg, zap.NewNop())
			if err == nil {
				t.Fatal(errors.Join(errors.New("it started"), a.Close()))
			}
			for _, want := range append(row.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestDataFolderThatIsAFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, dir, fmt.Sprintf(settings, secret), instant)
	replace(t, filepath.Join(dir, "data"), "")
	if a, err := app.New(t.Context(), cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "data")) || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("%v %v", a, err)
	}
}

func TestPortThatIsTakenIsNamed(t *testing.T) {
	s := start(t, t.TempDir())
	dir := t.TempDir()
	text := strings.Replace(fmt.Sprintf(settings, secret), "127.0.0.1:0", s.Addr().String(), 1)
	cfg := load(t, dir, text, instant)
	if a, err := app.New(t.Context(), cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "server.listen") || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("%v %v", a, err)
	}
}
