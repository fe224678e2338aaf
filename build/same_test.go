//go:build unix

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// treeSpec exports a hash over all that a commit's checkout has: names, kinds,
// modes, contents and link targets.
const treeSpec = `version: 0.2
env: {exported-variables: [TREE]}
phases:
  build:
    commands:
      - |
        TREE=$(find . -name .git -prune -o \( -type f -printf '%m %p ' -exec sha256sum {} \; -o -type l -printf 'l %p %l\n' -o -type d -printf '%m %p\n' \) | LC_ALL=C sort | sha256sum)
      - 'test -z "$(git status --porcelain)"'
      - test "$(find . -name .git -prune -o -type f -print | wc -l)" -gt 8
      - sh ./hostile.sh >/dev/null 2>&1 || true
`

// hostile does what a build can to what comes after it.
const hostile = `m=$(dirname "$(cat .git/objects/info/alternates)")
echo x >> a.txt; rm -f bin/run; ln -sf /etc/passwd link; chmod -R 700 .; touch left-over
git tag -f v9; git checkout -qb other; git gc -q; git config core.autocrlf true
printf '[core]\n\tautocrlf = true\n\thooksPath = /tmp\n' > ~/.gitconfig
mkdir -p ~/.config/git && echo '* eol=crlf' > ~/.config/git/attributes
for d in "$m" "$m/.." .; do
	mkdir -p "$d/hooks" "$d/info"; echo '* eol=crlf' > "$d/info/attributes"
	printf '#!/bin/sh\ntouch %s\n' "$PWNED" > "$d/hooks/post-checkout"; chmod +x "$d/hooks/post-checkout"
	git -C "$d" config core.autocrlf true; git -C "$d" config core.eol crlf; git -C "$d" config core.fsmonitor "touch $PWNED"
done
`

func TestOneCommitIsOneCheckout(t *testing.T) {
	sequential(t)
	for _, isolation := range []string{"", IsolationNone} {
		t.Run("isolation "+isolation, func(t *testing.T) { oneCheckout(t, isolation) })
	}
}

func oneCheckout(t *testing.T, isolation string) {
	lib := newRepo(t)
	libCommit := lib.commit(map[string]string{"lib.txt": "lib\n", "bin/tool": "#!/bin/sh\n"})
	lib.push()
	r := newRepo(t)
	for name, text := range map[string]string{"a.txt": "one\ntwo\n", "bin/run": "#!/bin/sh\n"} {
		write(t, filepath.Join(r.work, name), []byte(text))
	}
	if err := os.Chmod(filepath.Join(r.work, "bin/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.txt", filepath.Join(r.work, "link")); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{
		"buildspec.yml": treeSpec, "hostile.sh": hostile, "crlf.txt": "one\r\ntwo\r\n", "dos.bat": "one\ntwo\n", "id.c": "$Id$\n", "version": "$Format:%H$ $Format:%d$\n",
		".gitattributes": "*.txt text=auto\n*.bat text eol=crlf\nid.c ident\nversion export-subst\n*.bin filter=lfs\n* filter=evil\n",
		"large.bin":      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "deep/er/file": "x",
	})
	commit := r.addLink("lib", "lib", lib.bare, libCommit)
	pwned := filepath.Join(t.TempDir(), "pwned")
	h := newHandler(t, Config{Isolation: isolation, Projects: map[string]Project{"app": {
		CloneURL: r.bare, Submodules: []string{lib.bare}, Env: map[string]string{"PWNED": pwned},
	}}})
	mirror := h.mirrors.get(r.bare, "sha1").dir
	var first string
	same := func(after string) {
		t.Helper()
		b := run(t, h, newTask(t, "t", input{"SourceVersion": commit}))
		if b.err != nil {
			t.Fatalf("after %s: %s\n%s", after, b.messages(), b.log)
		}
		tree := b.result.ExportedEnvironmentVariables[0].Value
		if first == "" {
			first = tree
		}
		if tree != first || tree == "" {
			t.Errorf("after %s the checkout is another: %s", after, tree)
		}
	}
	same("nothing")
	same("a hostile build")
	r.git(r.work, "checkout", "--quiet", "-b", "feature/x")
	r.commit(map[string]string{"a.txt": "other\n", "b.txt": "b\n"})
	r.git(r.work, "tag", "v1")
	r.push()
	r.git(r.work, "push", "--quiet", "origin", "v1")
	if b := run(t, h, newTask(t, "other", input{"SourceVersion": "feature/x"})); b.err != nil {
		t.Fatal(b.messages())
	}
	same("a build of another branch")
	r.git(r.work, "push", "--quiet", "--force", "origin", "HEAD:main")
	if b := run(t, h, newTask(t, "other", input{"SourceVersion": "main"})); b.err != nil {
		t.Fatal(b.messages())
	}
	same("a forced push that takes the commit from its branch")
	r.git(mirror, "gc", "--quiet")
	same("gc")
	r.git(mirror, "repack", "-adfq")
	same("repack")
	r.git(r.work, "push", "--quiet", "origin", commit+":refs/heads/kept")
	if err := os.RemoveAll(mirror); err != nil {
		t.Fatal(err)
	}
	same("the mirror was made anew")

	// How the service is started, and what is set up for its user.
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	same("a start with another umask")
	home := t.TempDir()
	write(t, filepath.Join(home, ".gitconfig"), []byte("[core]\n\tautocrlf = true\n\teol = crlf\n\tsymlinks = false\n\tfileMode = false\n\tattributesFile = "+filepath.Join(home, "attributes")+
		"\n[filter \"evil\"]\n\tsmudge = tr a-z A-Z\n[filter \"lfs\"]\n\tsmudge = cat /etc/passwd\n\trequired = true\n"))
	write(t, filepath.Join(home, "attributes"), []byte("* text eol=crlf\n"))
	write(t, filepath.Join(home, ".config/git/attributes"), []byte("* text eol=crlf\n"))
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.autocrlf")
	t.Setenv("GIT_CONFIG_VALUE_0", "true")
	same("the user's configuration")
	if err := os.RemoveAll(mirror); err != nil {
		t.Fatal(err)
	}
	same("all of it, and another mirror")
	if exists(pwned) {
		t.Error("something of a build ran outside of it")
	}
}

// Whatever a mirror or a repository is made to hold, git runs nothing of it and
// fetches from nowhere else.
func TestGitRunsNothingOfRepositories(t *testing.T) {
	sequential(t)
	t.Parallel()
	other := newRepo(t)
	other.spec(trueSpec)
	pwned := filepath.Join(t.TempDir(), "pwned")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+pwned+"\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	set := func(key, value string) func(*testing.T, *repo, string) {
		return func(t *testing.T, r *repo, dir string) { r.git(dir, "config", "--add", key, value) }
	}
	hook := func(name string) func(*testing.T, *repo, string) {
		return func(t *testing.T, r *repo, dir string) {
			text, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "hooks", name), text)
			if err := os.Chmod(filepath.Join(dir, "hooks", name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	type attack struct {
		name string
		do   func(t *testing.T, r *repo, dir string)
	}
	attacks := []attack{
		{"core.fsmonitor", set("core.fsmonitor", program)},
		{"core.hooksPath", func(t *testing.T, r *repo, dir string) {
			hook("reference-transaction")(t, r, dir)
			set("core.hooksPath", filepath.Join(dir, "hooks"))(t, r, dir)
		}},
		{"hook reference-transaction", hook("reference-transaction")},
		{"hook pre-auto-gc", func(t *testing.T, r *repo, dir string) {
			hook("pre-auto-gc")(t, r, dir)
			set("gc.auto", "1")(t, r, dir)
		}},
		{"hook post-checkout", hook("post-checkout")},
		{"core.sshCommand", set("core.sshCommand", program)},
		{"core.gitProxy", set("core.gitProxy", program)},
		{"core.askPass", set("core.askPass", program)},
		{"credential.helper", set("credential.helper", program)},
		{"uploadpack.packObjectsHook", set("uploadpack.packObjectsHook", program)},
		{"core.alternateRefsCommand", func(t *testing.T, r *repo, dir string) {
			set("core.alternateRefsCommand", program)(t, r, dir)
			write(t, filepath.Join(dir, "objects/info/alternates"), []byte(filepath.Join(other.bare, "objects")+"\n"))
		}},
		{"filters", func(t *testing.T, r *repo, dir string) {
			set("filter.evil.smudge", program)(t, r, dir)
			set("filter.evil.process", program)(t, r, dir)
			write(t, filepath.Join(dir, "info/attributes"), []byte("* filter=evil\n"))
		}},
		{"include", func(t *testing.T, r *repo, dir string) {
			write(t, filepath.Join(dir, "more"), []byte("[core]\n\tfsmonitor = "+program+"\n\tsshCommand = "+program+"\n"))
			set("include.path", filepath.Join(dir, "more"))(t, r, dir)
			set("includeIf.gitdir:/.path", filepath.Join(dir, "more"))(t, r, dir)
		}},
		{"core.worktree", func(t *testing.T, r *repo, dir string) {
			set("core.bare", "false")(t, r, dir)
			set("core.worktree", t.TempDir())(t, r, dir)
		}},
		{"a promisor", func(t *testing.T, r *repo, dir string) {
			set("core.repositoryFormatVersion", "1")(t, r, dir)
			set("extensions.partialClone", "evil")(t, r, dir)
			set("remote.evil.promisor", "true")(t, r, dir)
			set("remote.evil.url", "ext::"+program)(t, r, dir)
			set("protocol.ext.allow", "always")(t, r, dir)
		}},
		{"a worktree's config", func(t *testing.T, r *repo, dir string) {
			set("extensions.worktreeConfig", "true")(t, r, dir)
			write(t, filepath.Join(dir, "config.worktree"), []byte("[core]\n\tfsmonitor = "+program+"\n"))
		}},
	}
	// These change where a fetch goes; in a repository that is served they mean
	// nothing.
	elsewhere := []attack{
		{"uploadpack of a remote", func(t *testing.T, r *repo, dir string) { set("remote."+r.bare+".uploadpack", program)(t, r, dir) }},
		{"another address", func(t *testing.T, r *repo, dir string) { set("url."+other.bare+".insteadOf", r.bare)(t, r, dir) }},
		{"another address by ext", func(t *testing.T, r *repo, dir string) {
			set("protocol.ext.allow", "always")(t, r, dir)
			set("url.ext::"+program+" .insteadOf", r.bare)(t, r, dir)
		}},
		{"a shallow history", func(t *testing.T, r *repo, dir string) {
			write(t, filepath.Join(dir, "shallow"), []byte(r.git(dir, "rev-parse", "main")+"\n"))
		}},
		{"a replaced commit", func(t *testing.T, r *repo, dir string) {
			r.git(dir, "update-ref", "refs/replace/"+r.git(r.work, "rev-parse", "main"), r.git(dir, "rev-parse", "main"))
		}},
	}
	for _, place := range []string{"mirror", "source"} {
		all := attacks
		if place == "mirror" {
			all = append(all[:len(all):len(all)], elsewhere...)
		}
		for _, a := range all {
			t.Run(place+"/"+a.name, func(t *testing.T) {
				r := newRepo(t)
				r.spec(trueSpec)
				h := newHandler(t, Config{Isolation: IsolationNone})
				if b := run(t, h, newTask(t, "t", input{"SourceVersion": "main", "SourceLocationOverride": r.bare})); b.err != nil {
					t.Fatal(b.messages())
				}
				want := r.commit(map[string]string{"new": "new\n", "buildspec.yml": "version: 0.2\nphases: {build: {commands: [cat new, git log --format=%s]}}\n"})
				r.push()
				dir := r.bare
				if place == "mirror" {
					dir = h.mirrors.get(r.bare, "sha1").dir
				}
				a.do(t, r, dir)
				b := run(t, h, newTask(t, "t", input{"SourceVersion": "main", "SourceLocationOverride": r.bare}))
				if b.err != nil || b.result.ResolvedSourceVersion != want {
					t.Errorf("%v %s", b.err, b.messages())
				}
				if exists(pwned) {
					t.Errorf("the program ran:\n%s", b.log)
					_ = os.Remove(pwned)
				}
			})
		}
	}
}

// A commit that looks like a repository itself, or brings configuration along,
// is files.
func TestCommitsBringNoConfiguration(t *testing.T) {
	pwned := filepath.Join(t.TempDir(), "pwned")
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch " + pwned + "\n\thooksPath = hooks\n"
	hook := "#!/bin/sh\ntouch " + pwned + "\n"
	r := newRepo(t)
	commit := r.commit(map[string]string{
		"buildspec.yml": trueSpec, "HEAD": "ref: refs/heads/main\n", "config": config, "refs/x": "", "objects/x": "", ".gitconfig": config, ".config/git/config": config,
		"hooks/post-checkout": hook, ".githooks/post-checkout": hook, ".gitattributes": "* filter=evil diff=evil merge=evil\n[attr]evil filter=evil\n",
		".gitmodules": "[submodule \"x\"]\n\tpath = x\n\turl = ext::touch " + pwned + "\n\tupdate = !touch " + pwned + "\n", ".lfsconfig": "[lfs]\n\turl = ext::touch\n",
	})
	r.push()
	for _, p := range []Project{{CloneURL: r.bare}, {CloneURL: r.bare, Submodules: []string{"https://example.com/*"}}} {
		h := newHandler(t, Config{Projects: map[string]Project{"app": p}})
		if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit})); b.err != nil {
			t.Errorf("%s\n%s", b.messages(), b.log)
		}
	}
	if exists(pwned) {
		t.Error("something of the commit ran")
	}
}

// Repositories of this machine often belong to another user than the service's.
func TestRepositoriesOfOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		skipOnLaptop(t, "only root can give files away")
	}
	r := newRepo(t)
	commit := r.spec(trueSpec)
	if out, err := exec.Command("chown", "-R", "65534:65534", r.bare).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	b := run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err != nil || strings.Contains(b.log, "dubious") {
		t.Errorf("%v\n%s", b.err, b.log)
	}
}
