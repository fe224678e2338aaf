package hook

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// update is one line of git's: a ref that a push moved. old or new is zeros
// when the ref was created or deleted.
type update struct{ old, new, ref string }

const branchPrefix = "refs/heads/"

func isZero(sha string) bool { return strings.Trim(sha, "0") == "" }

// parseUpdates reads all of stdin and returns the updates of branches; other
// refs start nothing.
func parseUpdates(stdin io.Reader) ([]update, error) {
	var updates []update
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		f := strings.SplitN(lines.Text(), " ", 3)
		if len(f) != 3 || !isID(f[0]) || !isID(f[1]) || !strings.HasPrefix(f[2], "refs/") {
			return nil, fmt.Errorf("%w: %q is not git's \"old new ref\"; this command is run by git as a post-receive hook", ErrUsage, lines.Text())
		}
		if strings.HasPrefix(f[2], branchPrefix) {
			updates = append(updates, update{f[0], f[1], f[2]})
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

// ledger maps each branch to the commit up to which it has been reported.
type ledger map[string]string

func (l ledger) tips() []string {
	tips := slices.Sorted(maps.Values(l))
	return slices.Compact(tips)
}

// note records that u has been reported. Where a hook comes late, and another
// one has reported what follows, the ledger stays ahead.
func (l ledger) note(u update, refs map[string]string) {
	now, exists := refs[u.ref]
	switch {
	case isZero(u.new):
		if !exists || l[u.ref] == u.old {
			delete(l, u.ref)
		}
	case now == u.new, l[u.ref] == u.old, l[u.ref] == "":
		l[u.ref] = u.new
	}
}

// readLedger returns the ledger. Where there is none yet, everything that was
// there before these updates counts as reported.
func (h *Hook) readLedger(refs map[string]string, updates []update) (ledger, error) {
	text, err := os.ReadFile(filepath.Join(h.dir, "ledger"))
	if errors.Is(err, fs.ErrNotExist) {
		l := ledger(maps.Clone(refs))
		for _, u := range updates {
			if isZero(u.old) {
				delete(l, u.ref)
			} else {
				l[u.ref] = u.old
			}
		}
		// At once: should the rest of this run fail, the next one must still
		// know what was new.
		return l, h.writeLedger(l)
	}
	if err != nil {
		return nil, err
	}
	l := ledger{}
	for line := range strings.Lines(string(text)) {
		sha, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !isID(sha) {
			return nil, fmt.Errorf("%s: line %q is damaged; delete the file, and all that is in the repository counts as reported", filepath.Join(h.dir, "ledger"), line)
		}
		l[ref] = sha
	}
	return l, nil
}

func (h *Hook) writeLedger(l ledger) error {
	var b strings.Builder
	for _, ref := range slices.Sorted(maps.Keys(l)) {
		b.WriteString(l[ref])
		b.WriteByte(' ')
		b.WriteString(ref)
		b.WriteByte('\n')
	}
	return h.writeFile(filepath.Join(h.dir, "ledger"), []byte(b.String()))
}
