package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestNamelessFilesOfAGroupAreCounted(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	device := info.Sys().(*syscall.Stat_t).Dev
	g := NewGroup("test", "", 100*time.Millisecond)
	defer func() { _ = g.End() }()
	// One file that two processes hold, one that still has a name, one of memory.
	script := `exec 8>gone 9>named; rm gone; head -c 300000 /dev/zero >&8; head -c 300000 /dev/zero >&9; sleep 300 & echo > ready; sleep 300`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	go func() { _ = g.Run(t.Context(), cmd) }()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not begin")
		}
	}
	if n := g.Nameless(device); n < 300_000 || n > 400_000 {
		t.Errorf("nameless files take %d bytes, want about 300000", n)
	}
	if n := g.Nameless(device + 1); n != 0 {
		t.Errorf("on another device they take %d bytes", n)
	}
}
