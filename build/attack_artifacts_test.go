//go:build linux

package build

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What keeps what is kept of a build to the build's own files.
const (
	confined      = "files of a build are opened below its checkout only (os.Root), whatever links lead to; regular files alone are kept"
	artifactLimit = "limits on the size and number of the files that are kept"
	keptMode      = "kept files get modes of their own, 0600 or 0700"
)

// keeping is a buildspec that keeps files after its command.
func keeping(artifacts map[string]any) func(string) map[string]any {
	return func(command string) map[string]any {
		return map[string]any{"version": "0.2", "phases": map[string]any{"build": map[string]any{"commands": []string{command}}}, "artifacts": artifacts}
	}
}

var everything = keeping(map[string]any{"files": []string{"**/*"}})

// keptCanary reports whether a kept file has a secret of the service.
func keptCanary(s *service, tr *trial) bool {
	return anyKept(tr, func(path string, _ os.FileInfo) bool {
		text, _ := os.ReadFile(path)
		return strings.Contains(string(text), "canary-"+s.nonce)
	})
}

func anyKept(tr *trial, is func(path string, info os.FileInfo) bool) (found bool) {
	_ = filepath.Walk(tr.artifacts, func(path string, info os.FileInfo, err error) error {
		if err == nil && is(path, info) {
			found = true
		}
		return nil
	})
	return found
}

var artifactAttacks = []attack{
	{name: "hard link to a secret as an artifact", stop: ownLinks, spec: everything, script: `ln $DATA/api.token linked`, got: keptCanary},
	{name: "symbolic link to a secret as an artifact", stop: confined, spec: everything, script: `ln -s $DATA/api.token linked; mkdir d; ln -s ../../../../../.. d/up`, got: keptCanary,
		harmless: "links are not followed out of the checkout, with or without isolation"},
	{name: "checkout replaced by a link to the data folder", stop: ownFiles, spec: keeping(map[string]any{"files": []string{"api.token"}}),
		script: `here=$PWD; cd .. && mv src away && ln -s $DATA src`, got: keptCanary},
	{name: "file that becomes a link while it is copied", stop: confined, spec: everything, got: keptCanary,
		script:   `mkdir d; i=0; while [ $i -lt 100 ]; do echo x > d/$i; i=$((i+1)); done; (while :; do for f in d/1 d/50 d/99; do ln -sf $DATA/api.token $f; rm $f; echo x > $f; done; done) >/dev/null 2>&1 & sleep .05`,
		harmless: "links are not followed out of the checkout, with or without isolation"},
	{name: "folder that becomes a link while it is copied", stop: confined, spec: keeping(map[string]any{"files": []string{"**/api.token"}}), got: keptCanary,
		script:   `mkdir -p a; echo x > a/api.token; (while :; do mv a b; ln -s $DATA a; rm a; mv b a; done) >/dev/null 2>&1 & sleep .05`,
		harmless: "links are not followed out of the checkout, with or without isolation"},
	{name: "file that grows while it is copied", stop: artifactLimit, spec: everything, got: keptMore(1 << 20),
		script:   `(while :; do head -c 100000 /dev/zero >> grows; done) & sleep .02`,
		harmless: "the limit holds for what is copied, with or without isolation"},
	{name: "sparse file as an artifact", stop: artifactLimit, spec: everything, script: `truncate -s 50M sparse`, got: keptMore(1 << 20),
		harmless: "the limit holds for what is copied, with or without isolation"},
	{name: "named pipe as an artifact", stop: confined, spec: everything, script: `mkfifo pipe`, got: tookLong,
		harmless: "a pipe is not waited for, with or without isolation"},
	{name: "socket and device as artifacts", stop: confined, spec: everything, script: `mknod null c 1 3; ln -s /dev/zero zero; ln -s /proc/self/environ environ`,
		got: func(_ *service, tr *trial) bool {
			return anyKept(tr, func(path string, info os.FileInfo) bool {
				return strings.Contains(path, "zero") || strings.Contains(path, "environ") || !info.IsDir() && !info.Mode().IsRegular()
			})
		},
		harmless: "only regular files are kept, with or without isolation"},
	{name: "setuid program as an artifact", stop: keptMode, spec: everything, script: `cp /bin/sh shell; chmod 6777 shell`,
		got: func(_ *service, tr *trial) bool {
			return anyKept(tr, func(_ string, info os.FileInfo) bool {
				return info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 || !info.IsDir() && info.Mode().Perm()&0o077 != 0
			})
		},
		harmless: "no bit but the owner's is kept, with or without isolation"},
	{name: "artifact name that leads out", stop: confined, spec: keeping(map[string]any{"files": []string{"said"}, "name": "../../../../led-out"}), script: `true`,
		got: func(s *service, _ *trial) bool {
			return exists(filepath.Join(s.data, "led-out")) || exists(filepath.Join(s.data, "builds/led-out"))
		},
		harmless: "names that lead out are refused, with or without isolation"},
	{name: "artifact name that is a command", stop: ownFiles, spec: keeping(map[string]any{"files": []string{"said"}, "name": "n$(echo planted > $DATA/by-name)"}), script: `true`, got: changes("data/by-name")},
	{name: "base directory that is a link", stop: confined, spec: keeping(map[string]any{"files": []string{"api.token"}, "base-directory": "up"}), script: `ln -s $DATA up`, got: keptCanary,
		harmless: "links are not followed out of the checkout, with or without isolation"},
	{name: "buildspec that is a link to a secret", stop: confined, files: map[string]string{"buildspec.yml": "link:$OUTSIDE/data/api.token"}, early: true,
		got: func(s *service, tr *trial) bool {
			return strings.Contains(tr.b.log+tr.b.messages(), "canary-"+s.nonce)
		},
		harmless: "the buildspec is opened below the checkout, with or without isolation"},
	{name: "saved state that is a link to a secret", stop: confined, got: func(s *service, tr *trial) bool {
		text, _ := os.ReadFile(filepath.Join(s.data, "engine.keys.old"))
		for _, v := range tr.b.result.ExportedEnvironmentVariables {
			if strings.Contains(v.Value, "canary-"+s.nonce) {
				return true
			}
		}
		return !strings.Contains(string(text), canary("old-engine-keys", s.nonce))
	},
		spec: func(command string) map[string]any {
			return map[string]any{"version": "0.2", "env": map[string]any{"exported-variables": []string{"X"}},
				"phases": map[string]any{"build": map[string]any{"commands": []string{command}}}}
		},
		script: `(while :; do for f in at vars done saved; do ln -sf $DATA/engine.keys.old ../control/$f; done; done) >/dev/null 2>&1 & sleep .05`,
	},
	{name: "names of files that are options or commands", stop: "names are never part of a command", spec: everything, script: `test -e said`, files: map[string]string{
		"--option": "x", "-rf": "x", ";touch planted": "x", "$(touch planted)": "x", "a\nb": "x", "`touch planted`": "x", "d/--upload-pack=touch planted": "x"},
		got: func(s *service, tr *trial) bool {
			kept := 0
			anyKept(tr, func(_ string, info os.FileInfo) bool { kept += boolInt(!info.IsDir()); return false })
			return kept != 9 || changes("planted")(s, tr)
		},
		harmless: "names reach no shell, with or without isolation"},
}

// keptMore reports whether a build kept more than it may.
func keptMore(limit int64) func(*service, *trial) bool {
	return func(_ *service, tr *trial) bool {
		var size int64
		anyKept(tr, func(_ string, info os.FileInfo) bool { size += info.Size(); return false })
		return size > limit+64<<10
	}
}

// tookLong reports whether the build, which does nothing, took long.
func tookLong(_ *service, tr *trial) bool { return tr.took > 4*time.Minute }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
