//go:build unix

package build

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// cacheScope is whose caches a build reads and writes. What a build writes later
// builds run, so that nobody may write what others read who trust him less: a
// branch writes its own alone, a fork's pull request reads and writes its own
// alone, and where it is not certain whose a commit is nothing is written.
type cacheScope struct {
	// Read are the caches to look for, the likeliest first, and Write is the one
	// to save to; "" for none.
	Read  []string
	Write string
}

func branchScope(branch string) string { return "branch " + branch }

// cacheScope finds out whose caches this build of a commit may use.
func (s *session) cacheScope(ctx context.Context, src *source, g git) cacheScope {
	from := s.req.origin
	switch {
	case s.req.fork && from.Fork && from.PullRequest != 0:
		own := "pull request " + strconv.Itoa(from.PullRequest) + " of " + from.CloneURL
		return cacheScope{Read: []string{own}, Write: own}
	case s.req.fork:
		return cacheScope{}
	}
	branch, isBranch := strings.CutPrefix(from.Ref, "refs/heads/")
	if !isBranch && from.Ref == "" {
		branch = strings.TrimPrefix(s.req.version.ref, "refs/heads/")
	}
	if isBranch = isBranch || from.Ref == ""; !isBranch || !plainBranch(branch) {
		branch = ""
	}
	var scope cacheScope
	if branch != "" && src.onBranch(ctx, g, "refs/heads/"+branch) {
		scope.Write = branchScope(branch)
		scope.Read = append(scope.Read, scope.Write)
		if s.h.caches.has(wantedCache{group: s.cacheGroup(scope.Write), key: s.cacheKey}) {
			return scope
		}
	}
	// The repository says which its default branch is, and where the branch is
	// now: the mirror is as old as the last commit that was new to it.
	standard, tip, err := remoteHead(ctx, g, branch)
	if err != nil {
		s.log.note("cache: the repository's default branch can't be asked for: %s", firstLine(err.Error()))
		return scope
	}
	if scope.Write == "" && branch != "" && tip != "" && src.onBranch(ctx, g, tip) {
		scope.Write = branchScope(branch)
		scope.Read = append(scope.Read, scope.Write)
	}
	if standard != "" && branchScope(standard) != scope.Write {
		scope.Read = append(scope.Read, branchScope(standard))
	}
	return scope
}

// plainBranch refuses what git would read as more than a branch's name.
func plainBranch(name string) bool {
	return name != "" && name[0] != '-' && !strings.ContainsAny(name, "^~:?*[]\\ {}@") && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// onBranch reports whether the mirror holds the commit below a ref or commit.
func (s *source) onBranch(ctx context.Context, g git, tip string) bool {
	_, err := g.output(ctx, s.mirror.dir, "merge-base", "--is-ancestor", s.commit, tip)
	return err == nil
}

// remoteHead asks the repository for its default branch and where a branch is.
func remoteHead(ctx context.Context, g git, branch string) (standard, tip string, err error) {
	args := []string{"ls-remote", "--symref", "--", g.remote.url, "HEAD"}
	if branch != "" {
		args = append(args, "refs/heads/"+branch)
	}
	out, err := g.output(ctx, "", args...)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(out) {
		value, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if ref, ok := strings.CutPrefix(value, "ref: refs/heads/"); ok && name == "HEAD" {
			standard = ref
		}
		if name == "refs/heads/"+branch && isCommitID(value) {
			tip = value
		}
	}
	return standard, tip, nil
}

func (s *session) cacheGroup(scope string) string {
	return cacheGroup(s.req.project, s.cacheURL, scope)
}

// cacheText is how much was copied, for a person.
func cacheText(bytes int64, files int, of *savedCache) string {
	text := fmt.Sprintf("%d files, %.1f MB, of %s", files, float64(bytes)/1e6, of.Scope)
	if of.Key != "" {
		text += fmt.Sprintf(" with the key %q", of.Key)
	}
	return text
}
