package hook

import (
	"fmt"
	"io"

	"switchyard/internal/safetext"
)

// teller writes short lines for the pusher.
type teller struct{ out io.Writer }

func (t teller) line(format string, args ...any) {
	// A pusher who hung up misses the line; the push is reported all the same.
	_, _ = fmt.Fprintf(t.out, "switchyard: %s\n", safetext.Line(fmt.Sprintf(format, args...)))
}

// What the pusher is shown of a push: so many refs, so many executions of each.
const (
	shownRefs  = 20
	shownNames = 5
	shownRunes = 72
)

// tellEach tells about deliveries: the first ones in full, and of the others
// only what was refused.
func (h *Hook) tellEach(say teller) func(entry, sent) {
	told := 0
	return func(_ entry, s sent) {
		told++
		if told <= shownRefs || s.refused != nil {
			h.tell(say, s)
		}
		if told == shownRefs+1 {
			say.line("… and more; this list ends here")
		}
	}
}

// tell says in a line or a few what one delivery came to.
func (h *Hook) tell(say teller, s sent) {
	name := shortRef(s.payload.Ref)
	switch {
	case s.refused != nil:
		say.line("%s: refused with %d: %s", name, s.refused.status, safetext.Cut(s.refused.text, 300))
		say.line("kept in %s; once that is repaired: switchyard hook flush --failed", h.failedDir())
		return
	case s.reply.Ignored != "":
		say.line("%s: nothing to start: %s", name, safetext.Cut(s.reply.Ignored, 300))
		return
	case notZeros(s.payload.After) == "":
		say.line("%s deleted: %s", name, s.reply.started())
	default:
		say.line("%s: %s, %s", name, count(len(s.payload.Commits), "commit", "commits"), s.reply.started())
	}
	for i, name := range s.reply.Executions {
		if i == shownNames && len(s.reply.Executions) > shownNames+1 {
			say.line("  … and %d more", len(s.reply.Executions)-shownNames)
			break
		}
		say.line("  %s", safetext.Cut(name, shownRunes))
	}
	if s.reply.Note != "" {
		say.line("  %s", safetext.Cut(s.reply.Note, 300))
	}
	if s.reply.URL != "" {
		say.line("  %s", safetext.Cut(s.reply.URL, 300))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
