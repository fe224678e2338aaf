//go:build linux

package build

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/task"
)

// keptFiles lists the files below dir with their text.
func keptFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

const makeFiles = `version: 0.2
phases:
  build:
    commands:
      - mkdir -p out/deep/er out2 bin
      - echo one > out/one.txt
      - echo two > out/deep/two.txt
      - echo three > out/deep/er/three.bin
      - echo four > out2/four.txt
      - printf '#!/bin/sh\n' > bin/run && chmod +x bin/run
`

func TestArtifactsAreKept(t *testing.T) {
	tests := []struct {
		name, spec string
		want       map[string]string
	}{
		{"a file and a tree", "artifacts: {files: [out/one.txt, 'out/deep/**/*']}",
			map[string]string{"artifacts/out/one.txt": "one\n", "artifacts/out/deep/two.txt": "two\n", "artifacts/out/deep/er/three.bin": "three\n"}},
		{"base directory, excluded", "artifacts: {base-directory: out, files: ['**/*'], exclude-paths: ['**/*.bin']}",
			map[string]string{"artifacts/one.txt": "one\n", "artifacts/deep/two.txt": "two\n"}},
		{"base directories by pattern, paths discarded", "artifacts: {base-directory: 'out*', discard-paths: yes, files: ['**/*']}",
			map[string]string{"artifacts/one.txt": "one\n", "artifacts/two.txt": "two\n", "artifacts/three.bin": "three\n", "artifacts/four.txt": "four\n"}},
		{"base directory by variable", "artifacts: {base-directory: $CODEBUILD_SRC_DIR/out2, files: ['*']}",
			map[string]string{"artifacts/four.txt": "four\n"}},
		{"variables that a phase sets", "  post_build: {commands: [WHERE=out2, WHAT=four]}\nartifacts: {base-directory: $WHERE, files: ['${WHAT}.txt']}",
			map[string]string{"artifacts/four.txt": "four\n"}},
		{"name from the shell", "artifacts: {name: 'v$(echo 1)-$CI', base-directory: out2, files: ['*']}",
			map[string]string{"artifacts/v1-true/four.txt": "four\n"}},
		{"secondary and reports", "artifacts: {secondary-artifacts: {a: {files: [out/one.txt], discard-paths: yes}}}\nreports: {'arn:x/y': {files: ['out2/*']}, none: {files: [nothing]}}",
			map[string]string{"secondary/a/one.txt": "one\n", "reports/arn_x_y/out2/four.txt": "four\n"}},
	}
	r := newRepo(t)
	commit := r.spec("unused")
	h := newHandler(t, Config{})
	dir := filepath.Join(h.cfg.DataDir, "artifacts", "run-1", "t")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := runSpec(t, h, r, "t", commit, makeFiles+tc.spec+"\n")
			if b.err != nil {
				t.Fatalf("%s\n%s", b.messages(), b.log)
			}
			if diff := cmp.Diff(tc.want, keptFiles(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
	b := runSpec(t, h, r, "t", commit, makeFiles+"artifacts: {base-directory: $NOT_SET, files: ['**/*']}\n")
	if b.err == nil || !strings.Contains(b.messages(), "the variable NOT_SET is not set") || len(keptFiles(t, dir)) != 0 {
		t.Errorf("an unset base directory: %v %s", b.err, b.messages())
	}
	b = runSpec(t, h, r, "t", commit, makeFiles+"artifacts: {files: [bin/run]}\n")
	info, err := os.Stat(filepath.Join(b.result.Artifacts.Location, "bin", "run"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("program was kept as %v, %v", info, err)
	}
	in := input{"SourceVersion": commit, "SourceLocationOverride": r.bare, "BuildspecOverride": makeFiles + "artifacts: {files: [bin/run]}\n",
		"ArtifactsOverride": map[string]string{"Type": "NO_ARTIFACTS"}}
	if run(t, h, newTask(t, "t", in)); len(keptFiles(t, dir)) != 0 {
		t.Error("artifacts were kept in spite of NO_ARTIFACTS")
	}
}

func TestArtifactsStayInside(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const tree = `version: 0.2
phases:
  build:
    commands:
      - mkdir out && echo ok > out/ok
      - ln -s SECRET out/file
      - ln -s ../../../../../../../../../../../../SECRET out/up
      - ln -s DIR out/dir
      - ln -s ok out/inside
      - mkfifo out/pipe
      - ln -s /dev/zero out/zero
`
	tests := []struct {
		name, spec, wantMessage string
		want                    map[string]string
	}{
		{"links lead out", "{files: ['**/*'], base-directory: out}", "", map[string]string{"artifacts/ok": "ok\n", "artifacts/inside": "ok\n"}},
		{"only a link that leads out", "{files: [out/file]}", "no matching files found for out/file", nil},
		{"pattern leads out", "{files: ['../*', '../../**/*']}", "no matching files found", nil},
		{"absolute file", "{files: [SECRET]}", "no matching files found", nil},
		{"base directory leads out", "{files: ['*'], base-directory: ../control}", "outside of the source directory", nil},
		{"base directory is absolute", "{files: ['*'], base-directory: DIR}", "outside of the source directory", nil},
		{"base directory is a link", "{files: ['**/*'], base-directory: out/dir}", "no such directory", nil},
		{"name leads out", "{files: [out/ok], name: ../../x}", "leads out of the artifact directory", nil},
		{"name leads out by the shell", "{files: [out/ok], name: '$(echo ../../x)'}", "leads out of the artifact directory", nil},
		{"git's own files", "{files: ['.git/**/*']}", "no matching files found", nil},
	}
	r := newRepo(t)
	commit := r.spec("unused")
	h := newHandler(t, Config{})
	place := strings.NewReplacer("SECRET", secret, "DIR", filepath.Dir(secret))
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := runSpec(t, h, r, "t", commit, place.Replace(tree+"artifacts: "+tc.spec+"\n"))
			if !strings.Contains(b.messages(), tc.wantMessage) || (b.err != nil) != (tc.wantMessage != "") {
				t.Errorf("got %v %q\n%s", b.err, b.messages(), b.log)
			}
			got := keptFiles(t, filepath.Join(h.cfg.DataDir, "artifacts"))
			want := make(map[string]string)
			for name, text := range tc.want {
				want["run-1/t/"+name] = text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// partialFiles is what is left of copying.
func partialFiles(t *testing.T, h *Handler) map[string]string {
	t.Helper()
	return keptFiles(t, filepath.Join(h.cfg.DataDir, partialDir))
}

// Artifacts are kept all or none, reports in any case.
func TestArtifactsAreBounded(t *testing.T) {
	const spec = `version: 0.2
phases: {build: {commands: ['mkdir many && for i in 1 2 3 4 5; do echo $i > many/$i; done', 'head -c 3000 /dev/zero > big', 'truncate -s 1G sparse', 'echo fine > report']}}
reports: {r: {files: [report]}}
artifacts:
  files: [%s]
  secondary-artifacts: {a: {files: [report]}, b: {files: [%s]}}
`
	r := newRepo(t)
	commit := r.spec("unused")
	for _, tc := range []struct{ name, first, second, key string }{
		{"too large", "big", "many/1", "artifacts"},
		{"a sparse file", "sparse", "many/1", "artifacts"},
		{"too large, the last", "many/1", "big", "artifacts"},
		{"too many", "many/*", "report", "artifact_files"},
		{"together too many", "many/1", "many/*", "artifact_files"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHandler(t, Config{MaxArtifactBytes: 2 << 10, MaxArtifactFiles: 5})
			b := runSpec(t, h, r, "t", commit, fmt.Sprintf(spec, tc.first, tc.second))
			wantLimit(t, b, tc.key+")")
			want := map[string]string{"run-1/t/reports/r/report": "fine\n"}
			if diff := cmp.Diff(want, keptFiles(t, filepath.Join(h.cfg.DataDir, "artifacts"))); diff != "" {
				t.Error(diff)
			}
			if left := partialFiles(t, h); len(left) > 0 || b.result.Artifacts.Location != "" {
				t.Errorf("left %v, location %q", left, b.result.Artifacts.Location)
			}
		})
	}
	h := newHandler(t, Config{MaxArtifactBytes: 4 << 10, MaxArtifactFiles: 9})
	if b := runSpec(t, h, r, "t", commit, fmt.Sprintf(spec, "big", "many/*")); b.err != nil || len(partialFiles(t, h)) > 0 {
		t.Errorf("exactly as much as may be: %s", b.messages())
	}
}

// A disk that is full in the middle leaves nothing of the artifacts either.
func TestArtifactsOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		skipOnLaptop(t, "no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['head -c 5M /dev/zero > one; head -c 5M /dev/zero > two']}}\nartifacts: {files: [one, two]}\n")
	h := newHandler(t, Config{DataDir: filepath.Join(dir, "data"), Patience: 50 * time.Millisecond, Reserve: -1})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err == nil || b.err.Name != task.MachineFault || !strings.Contains(b.messages(), "no space left on device") {
		t.Errorf("%v: %s", b.err, b.messages())
	}
	if left, kept := partialFiles(t, h), keptFiles(t, filepath.Join(h.cfg.DataDir, "artifacts")); len(left)+len(kept) > 0 {
		t.Errorf("left %d, kept %d", len(left), len(kept))
	}
}

// A kill in the middle of copying leaves nothing that looks like artifacts; the
// next process has them whole.
func TestKilledWhileArtifactsAreCopied(t *testing.T) {
	r := newRepo(t)
	dataDir := t.TempDir()
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['i=0; while [ $i -lt 3000 ]; do echo $i > file$i; i=$((i+1)); done; truncate -s 300M zeros']}}\nartifacts: {files: ['file*', zeros]}\n")
	in := input{"ProjectName": "app", "SourceVersion": commit, "SourceLocationOverride": r.bare}
	victim := startVictim(t, dataDir, "", in)
	copied := func() int {
		entries, _ := filepath.Glob(filepath.Join(dataDir, partialDir, "*", "artifacts", "*"))
		return len(entries)
	}
	for deadline := time.Now().Add(time.Minute); copied() < 100; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is copied")
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if n := copied(); n < 100 || n > 3000 {
		t.Fatalf("%d files were copied; the test shows nothing", n)
	}
	artifacts := filepath.Join(dataDir, "artifacts")
	if exists(filepath.Join(artifacts, "run-1", "t")) {
		t.Error("there are artifacts though they are not whole")
	}
	h := newHandler(t, Config{DataDir: dataDir})
	if left := partialFiles(t, h); len(left) > 0 {
		t.Errorf("%d partial files are left after the start", len(left))
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	tk := victimTask(string(text))
	tk.Restarted = true
	b := run(t, h, tk)
	b.wantLog(t, "it goes on from there")
	if kept, err := os.ReadDir(b.result.Artifacts.Location); b.err != nil || err != nil || len(kept) != 3001 {
		t.Errorf("%v %v: %d files", b.err, err, len(kept))
	}
}

// A process that the build left changes what is copied while it is: links in place
// of files and directories never lead out.
func TestArtifactsChangeWhileTheyAreCopied(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	commit := r.spec(strings.NewReplacer("SECRET", secret, "DIR", filepath.Dir(secret)).Replace(`version: 0.2
phases:
  build:
    commands:
      - mkdir -p out/dir && for i in 1 2 3 4 5 6 7 8 9; do echo ok > out/$i; echo ok > out/dir/$i; done; echo ok > out/dir/secret
      - (while :; do for i in 1 2 3 4 5 6 7 8 9; do ln -sf SECRET out/$i; rm -f out/$i; mkfifo out/$i; rm -f out/$i; echo ok > out/$i; done; done) > /dev/null 2>&1 &
      - (while :; do mv out/dir out/away; ln -s DIR out/dir; rm out/dir; mv out/away out/dir; done) > /dev/null 2>&1 &
artifacts: {files: ['out/**/*']}
`))
	for i := range 20 {
		h := newHandler(t, Config{Isolation: IsolationNone, KillGrace: time.Millisecond})
		b := run(t, h, newTask(t, fmt.Sprint("t", i), input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
		for name, text := range keptFiles(t, filepath.Join(h.cfg.DataDir, "artifacts")) {
			if text != "ok\n" && text != "" {
				t.Fatalf("%s is %q\n%s", name, text, b.log)
			}
		}
	}
}

func TestWhatIsNoFileIsLeftOut(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.2
phases:
  build:
    commands:
      - echo ok > file; ln file second; mkfifo pipe; mkdir dir; ln -s dir link; ln -s /dev/null null
      - python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
artifacts: {files: [file, second, pipe, sock, link, 'null']}
`)
	h := newHandler(t, Config{})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	want := map[string]string{"run-1/t/artifacts/file": "ok\n", "run-1/t/artifacts/second": "ok\n"}
	if diff := cmp.Diff(want, keptFiles(t, filepath.Join(h.cfg.DataDir, "artifacts"))); diff != "" || b.err != nil {
		t.Errorf("%s %s", b.messages(), diff)
	}
	b.wantLog(t, "pipe is not kept: it is a named pipe", "sock is not kept: it is a socket", "link is not kept: it is a link to a directory", "null is not kept: ")
}

// Lines about files that are not kept don't count as output, and must not take the
// disk in its place.
func TestOfManyFilesThatAreLeftOutSomeAreNamed(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.2
phases: {build: {commands: [echo ok > file, 'for i in $(seq 1 250); do ln -s /etc/passwd l$i; done']}}
artifacts: {files: ['**/*']}
`)
	h := newHandler(t, Config{Isolation: IsolationNone})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if n := strings.Count(b.log, " is not kept: "); n != maxLeftOutNotes || b.err != nil {
		t.Errorf("%d files are named: %v", n, b.err)
	}
	b.wantLog(t, "150 more files are not kept")
}

func TestHardLinksToFilesOfOthersAreLeftOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
	dir := t.TempDir()
	for name, chown := range map[string]bool{"own": false, "others": true} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if chown {
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(path, path+".link"); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + ".link")
		if err != nil {
			t.Fatal(err)
		}
		if err := mayKeep(info); (err != nil) != chown {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadOnlyDirectoriesAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	deep := filepath.Join(dir, "mod", "cache")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{deep, filepath.Dir(deep)} {
		if err := os.Chmod(d, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeAll(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("directory is still there")
	}
}
