//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T) *Tree {
	t.Helper()
	tree, err := Open("switchyard-test", filepath.Join(t.TempDir(), "record"))
	if err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") != "" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
		for _, base := range tree.bases() {
			if exists(base) {
				t.Errorf("%s is still there", base)
			}
		}
	})
	return tree
}

// in is a script that runs in the group.
func in(g *Group, script string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", "for f; do echo 0 > $f || exit; done; " + script, "sh"}, g.Procs()...)...)
}

func TestMemoryEndsWhatTakesMore(t *testing.T) {
	tree := open(t)
	g, err := tree.New("one", Limits{Memory: 32 << 20, Tasks: 50})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := in(g, "head -c 8M /dev/zero | tail -n 1 | wc -c").Output(); err != nil || strings.TrimSpace(string(out)) != "8388608" {
		t.Errorf("within the limit: %q, %v", out, err)
	}
	if g.MemoryExceeded() || g.TasksExceeded() {
		t.Error("exceeded before it was")
	}
	// What is read from files does not count: it can be given up.
	if err := in(g, "cat /usr/bin/* > /dev/null 2>&1; exit 0").Run(); err != nil || g.MemoryExceeded() {
		t.Errorf("reading files: %v, exceeded %v", err, g.MemoryExceeded())
	}
	// Version 1 ends one process only, and goes on to this.
	last := map[int]time.Duration{1: 2 * time.Second, 2: 2 * time.Minute}[tree.version]
	begin := time.Now()
	out, err := in(g, fmt.Sprint("head -c 100M /dev/zero | tail -n 1 | wc -c; sleep ", last.Seconds())).CombinedOutput()
	if strings.Contains(string(out), "104857600") || !g.MemoryExceeded() || g.TasksExceeded() {
		t.Errorf("%q, %v, exceeded %v", out, err, g.MemoryExceeded())
	}
	if all := time.Since(begin) < last; all != (tree.version == 2) {
		t.Errorf("everything was ended: %v", all)
	}
	if err := g.End(); err != nil || exists(g.memory) || exists(g.pids) {
		t.Errorf("End: %v", err)
	}
}

func TestTasksAreRefused(t *testing.T) {
	tree := open(t)
	g, err := tree.New("one", Limits{Tasks: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := in(g, "for i in 1 2 3 4 5; do sleep 0 & done; wait").Run(); err != nil || g.TasksExceeded() {
		t.Errorf("within the limit: %v, exceeded %v", err, g.TasksExceeded())
	}
	if err := in(g, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 60 & done; wait").Run(); err == nil || !g.TasksExceeded() || g.MemoryExceeded() {
		t.Errorf("above the limit: %v, exceeded %v", err, g.TasksExceeded())
	}
	if err := g.End(); err != nil {
		t.Error(err)
	}
}

// Whatever is in a group ends with it, also what goes on to make more of itself.
func TestEndLeavesNothing(t *testing.T) {
	tree := open(t)
	for name, script := range map[string]string{
		"nothing": "exit 0",
		"away":    "env -i setsid sh -c 'trap \"\" TERM HUP INT; sleep 300 & sleep 300' > /dev/null 2>&1 & exit 0",
		"forking": "for i in 1 2 3 4 5 6 7 8; do (while :; do (sleep .002); done) > /dev/null 2>&1 & done; exit 0",
		"stopped": "sh -c 'kill -STOP $$' > /dev/null 2>&1 & sleep .1; exit 0",
		"nested":  "mkdir ${1%/*}/below && echo 0 > ${1%/*}/below/cgroup.procs && (sleep 300 > /dev/null 2>&1 & exit 0)",
	} {
		t.Run(name, func(t *testing.T) {
			g, err := tree.New("one", Limits{Memory: 256 << 20, Tasks: 200})
			if err != nil {
				t.Fatal(err)
			}
			cmd := in(g, script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			_ = cmd.Run()
			var pids []int
			each(g.memory, func(path string) { pids = append(pids, pidsIn(filepath.Join(path, "cgroup.procs"))...) })
			if len(pids) == 0 != (name == "nothing") {
				t.Errorf("in the group: %v", pids)
			}
			if err := g.End(); err != nil {
				t.Fatal(err)
			}
			if exists(g.memory) || exists(g.pids) {
				t.Error("the group is still there")
			}
		})
	}
}

func TestTheNextOneSweeps(t *testing.T) {
	tree := open(t)
	record := filepath.Join(t.TempDir(), "record")
	other := t.TempDir()
	// Of what the record says only directories of the name are touched.
	if err := os.WriteFile(record, []byte(strings.Join(tree.bases(), "\n")+"\n"+other+"\n\nrelative/switchyard-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := tree.New("left", Limits{Tasks: 10})
	if err != nil {
		t.Fatal(err)
	}
	cmd := in(g, "sleep 300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(pidsIn(g.Procs()[0])) == 0 {
		time.Sleep(time.Millisecond)
	}
	again, err := Open("switchyard-test", record)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || exists(g.memory) || exists(g.pids) || !exists(other) {
		t.Errorf("the program ended with %v; its group is there: %v; the other directory: %v", err, exists(g.memory), exists(other))
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestGroupsAreFound(t *testing.T) {
	const mounts = `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`
	const v1 = `33 31 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 31 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	for _, tc := range []struct {
		name, text, mounts string
		want               groups
	}{
		{"version 2", "0::/system.slice/switchyard.service\n", mounts, groups{unified: "/sys/fs/cgroup/system.slice/switchyard.service"}},
		{"version 2, root", "0::/\n", mounts, groups{unified: "/sys/fs/cgroup"}},
		{"version 1 in a container", "4:memory:/docker/abc/x\n3:cpu,pids:/docker/abc\n0::/a\n", v1,
			groups{unified: "/sys/fs/cgroup/unified/a", memory: "/sys/fs/cgroup/memory/x", pids: "/sys/fs/cgroup/pids/docker/abc"}},
		{"what is mounted begins elsewhere", "4:memory:/docker/other\n", v1, groups{}},
		{"nothing is mounted", "0::/a\n4:memory:/b\n", "", groups{}},
	} {
		if got := parseGroups(tc.text, tc.mounts); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
