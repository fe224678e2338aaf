//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// version is a SourceVersion taken apart.
type version struct {
	// commit is a commit's full ID, or "" when ref is to be resolved.
	commit string
	// ref names a branch, tag or other ref, or a commit by the beginning of its
	// ID. "" is the default branch. Beside a commit it says where that is found.
	ref string
}

// parseVersion takes what CodeBuild takes: a commit ID, "" for the default
// branch, a name that could be a ref by the rules of git check-ref-format, and
// a ref with the commit that it held, refs/heads/main^{ID}.
func parseVersion(v string) (version, error) {
	bad := fmt.Errorf("%q is neither a commit ID nor a valid name of a ref", v)
	ref, peel, peeled := strings.Cut(v, "^{")
	if peeled {
		id, ok := strings.CutSuffix(peel, "}")
		switch {
		case !ok || ref == "":
			return version{}, bad
		case isCommitID(id):
			return version{commit: strings.ToLower(id), ref: ref}, checkRef(ref, bad)
		case id == "" || id == "commit": // git's own words for the commit of a tag
		case isShortID(id):
			return version{ref: strings.ToLower(id)}, checkRef(ref, bad)
		default:
			return version{}, bad
		}
	}
	if isCommitID(ref) {
		return version{commit: strings.ToLower(ref)}, nil
	}
	return version{ref: ref}, checkRef(ref, bad)
}

// checkRef returns bad for what can't be the name of a ref.
func checkRef(v string, bad error) error {
	if v == "" {
		return nil
	}
	never := func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) }
	if v[0] == '-' || v == "@" || strings.IndexFunc(v, never) >= 0 || strings.Contains(v, "..") ||
		strings.Contains(v, "@{") || strings.HasSuffix(v, ".") {
		return bad
	}
	for part := range strings.SplitSeq(v, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return bad
		}
	}
	return nil
}

// isShortID reports whether v can be the beginning of a commit's ID, by git's
// rule of at least four digits.
func isShortID(v string) bool { return len(v) >= 4 && len(v) < 64 && isHex(v) }

// isCommitID reports whether v is a full SHA-1 or SHA-256 in hexadecimal.
func isCommitID(v string) bool {
	return (len(v) == 40 || len(v) == 64) && isHex(v)
}

func isHex(v string) bool {
	for i := range len(v) {
		c := v[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// resolve asks the remote what a branch, tag or other ref points to. The
// empty ref is the default branch; pr/12 is CodeBuild's name for a pull
// request. A name that no ref has, and that could be the beginning of a commit's
// ID, is left to be found in the mirror.
func resolve(ctx context.Context, g git, rm remote, ref string) (commit, short, format string, err error) {
	out, err := g.output(ctx, "", "ls-remote", "--", rm.url)
	if err != nil {
		return "", "", "", err
	}
	refs := make(map[string]string)
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && isCommitID(id) {
			refs[name] = id
			format = formatOf(id)
		}
	}
	for _, name := range candidates(ref) {
		// An annotated tag's own ID is not that of its commit.
		for _, n := range []string{name + "^{}", name} {
			if id, ok := refs[n]; ok {
				return id, "", format, nil
			}
		}
	}
	switch {
	case ref == "":
		return "", "", "", errors.New("the repository has no default branch")
	case isShortID(ref) && format != "":
		return "", strings.ToLower(ref), format, nil
	}
	return "", "", "", fmt.Errorf("the repository has no branch or tag %q", ref)
}

// candidates are the refs that a name can mean, the likeliest first.
func candidates(ref string) []string {
	if ref == "" {
		return []string{"HEAD"}
	}
	names := []string{ref, "refs/heads/" + ref, "refs/tags/" + ref, "refs/" + ref}
	if n, ok := strings.CutPrefix(ref, "pr/"); ok {
		names = append(names, "refs/pull/"+n+"/head", "refs/merge-requests/"+n+"/head")
	}
	return names
}

// formatOf is the object format of a repository with such IDs.
func formatOf(commit string) string {
	if len(commit) == 64 {
		return "sha256"
	}
	return "sha1"
}
