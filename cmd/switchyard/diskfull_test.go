//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"switchyard/dispatch"
)

// While the disk is full every delivery is answered either 202, and is then on
// disk and runs, or 503 with the time to come again, and has then left nothing.
// Nobody has to restart anything once there is room.
func TestFullDiskIsAnsweredWith503AndRecoveredFrom(t *testing.T) {
	const machine = `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`
	t.Run("disk of its own", func(t *testing.T) { // larger than the logs of both files can grow
		dir := t.TempDir()
		data := filepath.Join(dir, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=64m"); err != nil {
			t.Skipf("no tmpfs can be mounted here: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		filler := filepath.Join(data, "filler")
		fullDisk(t, newProcess(t, dir, machine, ""), func() { fill(t, filler) }, func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("limit on the size of files", func(t *testing.T) {
		p := newProcess(t, t.TempDir(), machine, "")
		unlimited := ^uint64(0)
		fullDisk(t, p, func() { limitFiles(t, p.cmd.Process.Pid, 0) }, func() { limitFiles(t, p.cmd.Process.Pid, unlimited) })
	})
}

// fill writes until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size >= 1; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

// limitFiles sets the soft limit on the size of files of another process.
func limitFiles(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Skipf("prlimit: %v", errno)
	}
}

func fullDisk(t *testing.T, p *process, full, free func()) {
	t.Helper()
	p.start()
	sha := func(i int) string { return fmt.Sprintf("%040x", i+1) }
	if status, _, text := p.deliver("before", sha(0)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	p.finished(1)
	// The disk fills up while these are being started.
	acknowledged, refused := []int{0}, []int{}
	var many []string
	for i := range 100 {
		many = append(many, sha(1000+i))
		acknowledged = append(acknowledged, 1000+i)
	}
	if status, _, text := p.deliver("many", many...); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	full()
	for i := 1; i < 400 && len(refused) < 5; i++ {
		switch status, header, text := p.deliver(fmt.Sprint("d", i), sha(i)); status {
		case http.StatusAccepted:
			acknowledged = append(acknowledged, i)
		case http.StatusServiceUnavailable:
			refused = append(refused, i)
			if after, err := strconv.Atoi(header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
				t.Errorf("Retry-After %q", header.Get("Retry-After"))
			}
			if !strings.Contains(text, "send it again") || strings.Contains(text, p.dir) {
				t.Errorf("503 says %s", text)
			}
		default:
			t.Fatalf("delivery %d: %d %s", i, status, text)
		}
	}
	if len(refused) < 5 {
		t.Fatalf("%d deliveries were taken and %d refused: the disk is not full", len(acknowledged), len(refused))
	}
	if resp, err := http.Get("http://" + p.addr + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v %v", resp, err)
	}
	ready := func() (int, string) {
		resp, err := http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, text := ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "cannot be written since") {
		t.Errorf("readyz: %d %s", status, text)
	}
	for _, i := range refused {
		if _, there := p.executions()[sha(i)]; there {
			t.Errorf("delivery %d was refused and is there", i)
		}
	}
	free()
	for _, i := range refused { // as a person presses Redeliver
		p.eventually(fmt.Sprintf("delivery %d is taken", i), func() bool {
			status, _, _ := p.deliver(fmt.Sprint("d", i), sha(i))
			return status == http.StatusAccepted
		})
	}
	all := p.finished(len(acknowledged) + len(refused))
	for _, i := range append(acknowledged, refused...) {
		if e := all[sha(i)]; e.State != dispatch.StateSucceeded {
			t.Errorf("delivery %d: %q %s %s", i, e.State, e.Error, e.LastError)
		}
	}
	if len(all) != len(acknowledged)+len(refused) {
		t.Errorf("%d executions of %d deliveries", len(all), len(acknowledged)+len(refused))
	}
	p.eventually("it is ready again", func() bool { status, _ := ready(); return status == http.StatusOK })
	for line, least := range map[string]int{"delivery not accepted": 1, "not ready": 1, "the journal failed; trying again": 0,
		"starting an execution failed; trying again": 0, "request failed": 0, "cannot store an execution; trying again": 0} {
		// One line when it begins and one for each minute.
		if n := strings.Count(p.stderr.String(), `"`+line+`"`); n < least || n > 3 {
			t.Errorf("the log has %d lines that say %s", n, line)
		}
	}
}
