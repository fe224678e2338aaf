package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"switchyard/cmd/switchyard/internal/app"
)

// A machine on which builds can't be isolated takes nothing that strangers
// write, at its start and at a reload.
func TestForksAreRefusedWhereBuildsAreNotIsolated(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"git", "cat"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not installed", name)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	forks := strings.Replace(fmt.Sprintf(settings, secret), "name: features,", "name: features, on: pull_request, forks: allow,", 1)
	refused := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "forks") || !strings.Contains(err.Error(), "install bubblewrap") {
			t.Errorf("got %v", err)
		}
	}
	_, err := app.New(t.Context(), load(t, t.TempDir(), forks, instant), zap.NewNop())
	refused(err)

	dir := t.TempDir()
	a, err := app.New(t.Context(), load(t, dir, fmt.Sprintf(settings, secret), instant), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	refused(a.Reload(t.Context(), load(t, dir, forks, instant)))

	demanding := strings.Replace(fmt.Sprintf(settings, secret), "functions:", "builds: {isolation: bubblewrap}, functions:", 1)
	if _, err := app.New(t.Context(), load(t, t.TempDir(), demanding, instant), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "install bubblewrap") {
		t.Errorf("isolation: bubblewrap without bubblewrap: %v", err)
	}
}
