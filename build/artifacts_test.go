//go:build unix

package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestArtifactsAreBounded(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [head -c 2000 /dev/zero > big]}}\nartifacts: {files: [big]}\n")
	b := run(t, newHandler(t, Config{MaxArtifactBytes: 1000}), newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err == nil || !strings.Contains(b.messages(), "larger than the limit of 1000 bytes") {
		t.Errorf("got %v %s", b.err, b.messages())
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
