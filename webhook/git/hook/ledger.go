package hook

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ledger is what has been reported. Its file has a line for each fact:
//
//	# switchyard ledger, version 2
//	batch 5b1f…                  the last push whose deliveries count as spooled
//	5f0c… refs/heads/main        the branch or tag is reported up to here
//	91aa… was refs/heads/topic   reported, and then left behind or deleted
//
// Version 1 had no first line and knew only branches.
type ledger struct {
	// tips maps each ref to the object up to which it has been reported.
	tips map[string]string
	// past are tips that no ref leads to any more, oldest first.
	past  []pastTip
	batch string
}

type pastTip struct{ id, ref string }

const (
	ledgerHeader = "# switchyard ledger, version 2"
	// maxPast bounds what the ledger remembers of branches that are gone, and of
	// tags. What it forgets would be reported again when it is pushed again.
	maxPast = 1000
)

// known lists commits that have been reported, with all before them. A tag
// reports one commit alone, and so is none of these.
func (l *ledger) known() []string {
	var ids []string
	for ref, id := range l.tips {
		if isBranch(ref) {
			ids = append(ids, id)
		}
	}
	for _, p := range l.past {
		if isBranch(p.ref) {
			ids = append(ids, p.id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// move notes that the ref is reported up to id, "" when it is gone. With
// leaves, commits that it was at are left behind.
func (l *ledger) move(ref, id string, leaves bool) {
	if before := l.tips[ref]; before != "" && (leaves || id == "") {
		l.remember(before, ref)
	}
	if id == "" {
		delete(l.tips, ref)
	} else {
		l.tips[ref] = id
	}
}

// remember notes a reported commit that the ref does not lead to.
func (l *ledger) remember(id, ref string) {
	p := pastTip{id, ref}
	l.past = append(slices.DeleteFunc(l.past, func(q pastTip) bool { return q == p }), p)
	alike := func(q pastTip) bool { return isBranch(q.ref) == isBranch(ref) }
	count := 0
	for _, q := range l.past {
		if alike(q) {
			count++
		}
	}
	if count > maxPast {
		oldest := slices.IndexFunc(l.past, alike)
		l.past = slices.Delete(l.past, oldest, oldest+1)
	}
}

// had reports whether the ref was reported at id before, or, with id "", at all.
func (l *ledger) had(ref, id string) bool {
	return slices.ContainsFunc(l.past, func(p pastTip) bool { return p.ref == ref && (id == "" || p.id == id) })
}

// differences lists the refs that are not as they were reported: branches
// first, the default one before the others.
func (l *ledger) differences(refs refs) []update {
	var list []update
	for ref, id := range refs.tips {
		if l.tips[ref] != id {
			list = append(list, update{l.tips[ref], id, ref})
		}
	}
	for ref, id := range l.tips {
		if _, exists := refs.tips[ref]; !exists {
			list = append(list, update{id, "", ref})
		}
	}
	rank := func(u update) int {
		switch {
		case u.ref == refs.head:
			return 0
		case isBranch(u.ref):
			return 1
		default:
			return 2
		}
	}
	slices.SortFunc(list, func(a, b update) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.ref, b.ref))
	})
	return list
}

func (l *ledger) encode() []byte {
	var b strings.Builder
	b.WriteString(ledgerHeader + "\n")
	if l.batch != "" {
		b.WriteString("batch " + l.batch + "\n")
	}
	for _, ref := range slices.Sorted(maps.Keys(l.tips)) {
		b.WriteString(l.tips[ref] + " " + ref + "\n")
	}
	for _, p := range l.past {
		b.WriteString(p.id + " was " + p.ref + "\n")
	}
	return []byte(b.String())
}

// decodeLedger also returns the version that wrote it.
func decodeLedger(text string) (l *ledger, version int, err error) {
	l, version = &ledger{tips: map[string]string{}}, 1
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		first, rest, ok := strings.Cut(line, " ")
		past, isPast := strings.CutPrefix(rest, "was ")
		switch {
		case line == ledgerHeader:
			version = 2
		case first == "batch" && ok:
			l.batch = rest
		case !ok || !isID(first):
			return nil, 0, fmt.Errorf("line %q is damaged", line)
		case isPast:
			l.past = append(l.past, pastTip{first, past})
		default:
			l.tips[rest] = first
		}
	}
	return l, version, nil
}

func (h *Hook) ledgerFile() string { return filepath.Join(h.dir, "ledger") }

// readLedger returns the ledger as it is on disk, nil when there is none.
func (h *Hook) readLedger() (l *ledger, version int, err error) {
	text, err := os.ReadFile(h.ledgerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if l, version, err = decodeLedger(string(text)); err != nil {
		return nil, 0, fmt.Errorf("%s: %w; delete the file, and all that is in the repository now counts as reported", h.ledgerFile(), err)
	}
	return l, version, nil
}

// openLedger returns the ledger. What it has never kept a record of, all refs
// where there is no ledger yet and tags where it is of version 1, counts as
// reported as it was before these updates. first says that there was none.
func (h *Hook) openLedger(refs refs, updates []update) (l *ledger, first bool, err error) {
	l, version, err := h.readLedger()
	if err != nil || version == 2 {
		return l, false, err
	}
	if first = l == nil; first {
		l = &ledger{tips: map[string]string{}}
	}
	before := maps.Clone(refs.tips)
	for _, u := range updates {
		if before[u.ref] = u.old; u.old == "" {
			delete(before, u.ref)
		}
	}
	for ref, id := range before {
		if first || !strings.HasPrefix(ref, branchPrefix) {
			l.tips[ref] = id
		}
	}
	// At once: should the rest of this run fail, the next one must still know
	// what was new.
	return l, first, h.writeLedger(l)
}

func (h *Hook) writeLedger(l *ledger) error { return h.writeFile(h.ledgerFile(), l.encode()) }
