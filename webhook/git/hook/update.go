package hook

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// update is one line of git's: a ref that a push moved. old is "" when the ref
// was created, new when it was deleted.
type update struct{ old, new, ref string }

const (
	branchPrefix    = "refs/heads/"
	tagPrefix       = "refs/tags/"
	namespacePrefix = "refs/namespaces/"
)

// parseUpdates reads all of stdin and returns the updates of branches and tags;
// other refs start nothing.
func parseUpdates(stdin io.Reader) ([]update, error) {
	var updates []update
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		f := strings.SplitN(lines.Text(), " ", 3)
		if len(f) != 3 || !isID(f[0]) || !isID(f[1]) || !strings.HasPrefix(f[2], "refs/") {
			return nil, usagef("%q is not git's \"old new ref\"; this command is run by git as a post-receive hook", lines.Text())
		}
		if u := (update{notZeros(f[0]), notZeros(f[1]), f[2]}); u.old != u.new && (isBranch(u.ref) || isTag(u.ref)) {
			updates = append(updates, u)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read git's input: %w", err)
	}
	return updates, nil
}

func isID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// notZeros makes the zeros that stand for no commit "".
func notZeros(id string) string {
	if strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}

func isBranch(ref string) bool { return strings.HasPrefix(plainRef(ref), branchPrefix) }
func isTag(ref string) bool    { return strings.HasPrefix(plainRef(ref), tagPrefix) }

// plainRef is a ref's name without the namespaces that it is in
// (gitnamespaces(7)): the name under which its pusher knows it.
func plainRef(ref string) string {
	for {
		inside, ok := strings.CutPrefix(ref, namespacePrefix)
		if !ok {
			return ref
		}
		if _, ref, ok = strings.Cut(inside, "/"); !ok {
			return ""
		}
	}
}

// inNamespace is the full name of a ref that git names within a namespace.
func inNamespace(namespace, ref string) string {
	prefix := ""
	for part := range strings.SplitSeq(namespace, "/") {
		if part != "" {
			prefix += namespacePrefix + part + "/"
		}
	}
	return prefix + ref
}

// shortRef is what people call the ref.
func shortRef(ref string) string {
	ref = plainRef(ref)
	if name, ok := strings.CutPrefix(ref, tagPrefix); ok {
		return "tag " + name
	}
	return strings.TrimPrefix(ref, branchPrefix)
}
