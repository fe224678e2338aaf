package app

import (
	"math"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const v1 = "12:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/\n0::/\n"
	for name, row := range map[string]struct {
		files fstest.MapFS
		want  int64 // 0 for none
	}{
		"not Linux":                     {fstest.MapFS{}, 0},
		"version 2":                     {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("536870912\n")}, 536870912},
		"version 2, none":               {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 0},
		"version 2, on the host's root": {fstest.MapFS{"proc/self/cgroup": file("0::/\n")}, 0},
		"version 2, in a slice": {fstest.MapFS{"proc/self/cgroup": file("0::/system.slice/switchyard.service\n"),
			"sys/fs/cgroup/system.slice/switchyard.service/memory.max": file("300000000\n"), "sys/fs/cgroup/system.slice/memory.max": file("max\n")}, 300000000},
		"version 2, less above": {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("300000000\n"), "sys/fs/cgroup/a/memory.max": file("200000000\n")}, 200000000},
		"version 2, the host's path": {fstest.MapFS{"proc/self/cgroup": file("0::/../../kubepods/pod1\n"), "sys/fs/cgroup/memory.max": file("100000000\n")}, 100000000},
		"version 1":                  {fstest.MapFS{"proc/self/cgroup": file(v1), "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": file("268435456\n")}, 268435456},
		"version 1, mounted at its own": {fstest.MapFS{"proc/self/cgroup": file(v1),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("134217728\n")}, 134217728},
		"version 1, none": {fstest.MapFS{"proc/self/cgroup": file(v1), "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": file("9223372036854771712\n")}, 0},
		"nonsense":        {fstest.MapFS{"proc/self/cgroup": file("x\n0::\n\n"), "sys/fs/cgroup/memory.max": file("-1")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := cgroupLimit(row.files)
			if ok != (row.want > 0) || ok && got != row.want {
				t.Errorf("%d, %v; want %d", got, ok, row.want)
			}
		})
	}
}

func TestBuildMemoryIsHalfOfWhatThereIs(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const meminfo = "MemTotal:        8000000 kB\nMemFree:          1000 kB\n"
	for name, row := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"a machine":   {fstest.MapFS{"proc/meminfo": file(meminfo)}, 4000000 << 10},
		"a container": {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("2147483648\n")}, 1 << 30},
		"more than there is": {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("99999999999\n")},
			4000000 << 10},
		"not Linux": {fstest.MapFS{}, 0},
		"nonsense":  {fstest.MapFS{"proc/meminfo": file("MemTotal:\nMemTotal: x kB\n")}, 0},
	} {
		if got := buildMemory(row.files); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
}

func TestBodyBudget(t *testing.T) {
	const mb = 1 << 20
	for name, row := range map[string]struct{ limit, body, want int64 }{
		"unlimited":               {math.MaxInt64, 25 * mb, 96 * mb},
		"a container of 512 MB":   {480 * mb, 25 * mb, 80 * mb},
		"a small one":             {100 * mb, 25 * mb, 75 * mb},
		"a large body is allowed": {480 * mb, 100 * mb, 300 * mb},
		"plenty":                  {64 << 30, 25 * mb, 96 * mb},
	} {
		if got := bodyBudget(row.limit, row.body); got != row.want {
			t.Errorf("%s: %d MiB, want %d", name, got/mb, row.want/mb)
		}
	}
}
