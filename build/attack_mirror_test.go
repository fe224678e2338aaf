//go:build linux

package build

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// What keeps the repository's mirror as git wrote it.
const (
	mirrorObjects = "of the mirror a build sees the objects alone, read-only; before each checkout the commit's objects are held against their IDs"
	mirrorRest    = "the mirror's refs, configuration and hooks are not visible to a build"
	gitSettings   = "git runs outside with hooks, fsmonitor and other programs of a repository's configuration off"
)

const configAnew = "a mirror gets its own configuration back before each use, with or without isolation"

// toMirror is where the attack finds its mirror.
const toMirror = `objects=$(cat .git/objects/info/alternates); mirror=${objects%/objects}; chmod -R u+w $mirror
`

// mirrorChanged reports whether a file of the attack's mirror was changed. Main
// must be built right all the same.
func mirrorChanged(s *service, tr *trial) bool {
	now := snapshot(s.mirrorOf(tr))
	if now == tr.seen {
		return false
	}
	tr.b.log += "\n" + diff(tr.seen, now)
	return true
}

func (s *service) mirrorOf(tr *trial) string { return s.h.mirrors.get(tr.repo, "sha1").dir }

// diff has the lines that only one of two texts has.
func diff(before, now string) string {
	var b strings.Builder
	for _, d := range []struct{ mark, text, other string }{{"-", before, now}, {"+", now, before}} {
		for line := range strings.Lines(d.text) {
			if !strings.Contains(d.other, line) {
				b.WriteString(d.mark + line)
			}
		}
	}
	return b.String()
}

// snapshot is all of a mirror: names, modes, sizes and times. One file is the
// service's, to know by its time when the mirror was last used.
func snapshot(dir string) string {
	var b strings.Builder
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() != usedFile {
			if info, err := d.Info(); err == nil {
				fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
			}
		}
		return nil
	})
	return b.String()
}

func seeMirror(s *service, tr *trial) { tr.seen = snapshot(s.mirrorOf(tr)) }

// onMirror is an attack that changes the mirror.
func onMirror(name, stop, script string) attack {
	return attack{name: name, stop: stop, mirror: true, script: toMirror + script, before: seeMirror, got: mirrorChanged}
}

var mirrorAttacks = []attack{
	onMirror("object of main with other content", mirrorObjects, `
id=$(git rev-parse $MAIN:said); evil=$(echo evil | GIT_OBJECT_DIRECTORY=$TMPDIR git hash-object -w --stdin)
to=$objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)
git unpack-objects < $objects/pack/*.pack; rm -f $to $objects/pack/*
mkdir -p ${to%/*} && cp $TMPDIR/$(echo $evil | cut -c1-2)/$(echo $evil | cut -c3-) $to`),
	onMirror("a pack of the mirror deleted", mirrorObjects, `rm -f $objects/pack/*`),
	onMirror("a pack of the mirror cut off", mirrorObjects, `for p in $objects/pack/*.pack; do truncate -s 40 $p; done`),
	onMirror("a new object in the mirror", mirrorObjects, `echo x > $objects/planted`),
	onMirror("mode of an object in the mirror", mirrorObjects, `chmod 600 $objects/pack/*`),
	onMirror("time of an object in the mirror", mirrorObjects, `touch $objects/pack/*`),
	onMirror("alternates of the mirror", mirrorObjects, `mkdir -p $objects/info; echo $PWD/.git/objects > $objects/info/alternates`),
	onMirror("commit graph of the mirror", mirrorObjects, `mkdir -p $objects/info; echo x > $objects/info/commit-graph`),
	{name: "hard link to an object of the mirror", stop: ownLinks, script: `ln "$(find $(cat .git/objects/info/alternates) -type f | head -n 1)" hard`},
	onMirror("branch main of the mirror", mirrorRest, `git rev-parse HEAD > $mirror/refs/heads/main`),
	onMirror("packed refs of the mirror", mirrorRest, `echo "$(git rev-parse HEAD) refs/heads/main" > $mirror/packed-refs`),
	onMirror("HEAD of the mirror", mirrorRest, `echo nonsense > $mirror/HEAD`),
	onMirror("replacement for a commit in the mirror", mirrorRest, `mkdir -p $mirror/refs/replace; git rev-parse HEAD > $mirror/refs/replace/$MAIN`),
	onMirror("graft in the mirror", mirrorRest, `mkdir -p $mirror/info; echo "$MAIN $(git rev-parse HEAD)" > $mirror/info/grafts`),
	onMirror("lock that stops all fetches", mirrorRest, `: > $mirror/packed-refs.lock; : > $mirror/config.lock`),
	onMirror("hook of the mirror", mirrorRest, `mkdir -p $mirror/hooks; echo 'echo planted > $DATA/hook' > $mirror/hooks/reference-transaction; chmod +x $mirror/hooks/*`),
	onMirror("mirror replaced by a link", mirrorRest, `mv $mirror $mirror.away; ln -s $PWD/.git $mirror`),
	{name: "command in the mirror's configuration, run by the service's git", stop: mirrorRest, mirror: true,
		script: toMirror + `git clone -q --bare . $OUTSIDE/other.git; mkdir -p $objects/info; echo $OUTSIDE/other.git/objects > $objects/info/alternates
git --git-dir=$mirror config core.alternateRefsCommand "echo planted > $DATA/by-config; :"
git --git-dir=$mirror config core.fsmonitor "echo planted > $DATA/by-config; :"
git --git-dir=$mirror config core.sshCommand "echo planted > $DATA/by-config; :"`,
		got:      func(s *service, tr *trial) bool { s.buildNext(tr); return changes("data/by-config")(s, tr) },
		harmless: configAnew},
	{name: "other repository in the mirror's configuration", stop: mirrorRest, mirror: true,
		script: toMirror + `git init -q --bare $OUTSIDE/evil.git; git push -q $OUTSIDE/evil.git HEAD:refs/heads/planted; git --git-dir=$mirror config url.$OUTSIDE/evil.git.insteadOf $REPOSITORY`,
		got: func(s *service, tr *trial) bool {
			s.buildNext(tr)
			return exists(filepath.Join(s.mirrorOf(tr), "refs/heads/planted"))
		}, harmless: configAnew},
}

// buildNext pushes a commit to the attack's repository and builds it, for which
// the service's git fetches into the mirror.
func (s *service) buildNext(tr *trial) {
	tree := gitOutput(tr.repo, "rev-parse", s.commits["main"]+"^{tree}")
	id := gitOutput(tr.repo, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit-tree", "-m", "next", tree)
	gitOutput(tr.repo, "update-ref", "refs/heads/next", id)
	s.runQuietly(input{"ProjectName": "app", "SourceLocationOverride": tr.repo, "SourceVersion": id}, tr.name+"-next")
}
