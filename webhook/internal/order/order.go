// Package order reads commands out of the comments that people write below
// pull requests.
package order

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook/internal/field"
)

const (
	// word begins a command.
	word = "/switchyard"
	// maxRoute is the longest name of a route, in characters.
	maxRoute = 64
	// maxLines bounds how many lines of a comment are looked at.
	maxLines = 2000
	// maxReason is the longest reason for or against an approval, in characters.
	maxReason = 300
)

const known = "rerun [route], stop [route], explain, allow <commit>, approve [commit] [reason], reject [commit] [reason]"

// Parse returns what a comment asks for, false where it holds no command. A
// command is a line of its own that begins with /switchyard, neither quoted nor
// code: what a person pastes, or what a host puts before an answer by e-mail, is
// not what they ask for. What is wrong with a command is told in [event.Order].
//
//	/switchyard rerun [route]
//	/switchyard stop [route]
//	/switchyard explain
//	/switchyard allow <commit>
//	/switchyard approve [commit] [reason]
//	/switchyard reject [commit] [reason]
func Parse(comment string) (event.Order, bool) {
	lines := commands(comment)
	switch len(lines) {
	case 0:
		return event.Order{}, false
	case 1:
		return parse(lines[0]), true
	}
	return event.Order{Wrong: "a comment can hold one command"}, true
}

// parse reads the line of a command, without the word that begins it.
func parse(line string) event.Order {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	o := event.Order{Verb: event.Verb(strings.ToLower(verb))}
	switch o.Verb {
	case event.Rerun, event.Stop:
		switch {
		case utf8.RuneCountInString(rest) > maxRoute || strings.ContainsFunc(rest, unicode.IsControl) || !utf8.ValidString(rest):
			o.Wrong = fmt.Sprintf("%s is not the name of a route", quote(rest))
		default:
			o.Route = rest
		}
	case event.Explain:
		if rest != "" {
			o.Wrong = "explain is about all routes, and takes no name"
		}
	case event.Allow:
		sha, err := field.Tip("allow", rest)
		if err != nil || sha == "" {
			o.Wrong = "allow takes the whole ID of a commit, 40 or 64 hex digits: of a short one there can be another commit by then"
			break
		}
		o.SHA = sha
	case event.Approve, event.Reject:
		o.SHA, o.Reason = seen(rest)
	case "":
		o.Wrong = "no command is named; there are " + known
	default:
		o.Verb, o.Wrong = "", fmt.Sprintf("%s is not a command; there are %s", quote(verb), known)
	}
	return o
}

// commitSeen is the first word behind approve and reject if it is a commit's ID, or
// its first digits.
var commitSeen = regexp.MustCompile(`^(?i:[0-9a-f]{7,64})(?: |$)`)

// seen tells the commit that somebody says to have seen from the reason that they
// give.
func seen(rest string) (sha, reason string) {
	if id := commitSeen.FindString(rest); id != "" {
		sha, rest = strings.ToLower(strings.TrimSpace(id)), rest[len(id):]
	}
	return sha, safetext.Cut(safetext.Line(strings.TrimSpace(rest)), maxReason)
}

func quote(s string) string { return `"` + safetext.Cut(safetext.Line(s), 80) + `"` }

// commands are the lines of a comment that are commands, without the word.
func commands(comment string) []string {
	var found []string
	r := reader{}
	comment = strings.ReplaceAll(strings.ReplaceAll(comment, "\r\n", "\n"), "\r", "\n")
	for n, line := range strings.Split(comment, "\n") {
		if n == maxLines || forwarded.MatchString(line) {
			break
		}
		if !r.plain(line) {
			continue
		}
		rest, ok := strings.CutPrefix(line, word)
		if ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			found = append(found, strings.ReplaceAll(strings.TrimSpace(rest), "\t", " "))
		}
	}
	return found
}

// forwarded begins what an answer by mail repeats of what it answers: somebody
// else's words, which some programs do not mark.
var forwarded = regexp.MustCompile(`^\s*(?:-{3,} ?\S.*\S ?-{3,}|_{10,}|(?:From|Von|De|Da|Van) ?:.*|(?:.*\s)?(?:wrote|writes|schrieb|écrit|escribió|scritto|schreef)(?:\s[^.]*)?:)\s*$`)

// reader goes through the lines of a comment in Markdown. It knows where text is
// not what the author says themselves, and where it cannot be sure takes it for
// that.
type reader struct {
	fence string // what closes the code block, empty outside of one
	quote bool   // in a quotation, which ends at an empty line
	span  bool   // in a paragraph that may have a code span open
	html  int    // quoting elements that are open
	note  bool   // in an HTML comment
}

// plain reports whether a line is the author's own words, from its first
// character.
func (r *reader) plain(line string) bool {
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	text := line[indent:]
	if r.fence != "" {
		if indent <= 3 && strings.HasPrefix(text, r.fence) && strings.Trim(text, r.fence[:1]+" \t") == "" {
			r.fence = ""
		}
		return false
	}
	if text == "" {
		r.quote, r.span = false, false
		return false
	}
	if marks := leading(text); indent <= 3 && marks != "" && r.html == 0 && !r.note {
		r.fence, r.span = marks, false
		return false
	}
	if indent <= 3 && text[0] == '>' {
		r.quote = true
	}
	own := indent == 0 && !r.quote && !r.span && r.html == 0 && !r.note
	r.span = r.span || strings.Contains(text, "`")
	r.elements(strings.ToLower(text))
	return own
}

// leading is the fence that a line begins with, empty if none. One of backticks
// has no other behind it.
func leading(text string) string {
	for _, mark := range []byte("`~") {
		n := 0
		for n < len(text) && text[n] == mark {
			n++
		}
		if n >= 3 && (mark == '~' || !strings.Contains(text[n:], "`")) {
			return text[:n]
		}
	}
	return ""
}

// quoting are the elements whose content is code, or somebody else's.
var quoting = []string{"pre", "code", "blockquote", "samp", "kbd", "script", "style", "textarea"}

// elements counts what a line opens and closes.
func (r *reader) elements(text string) {
	for text != "" {
		if r.note {
			at := strings.Index(text, "-->")
			if at < 0 {
				return
			}
			r.note, text = false, text[at+3:]
			continue
		}
		at := strings.IndexByte(text, '<')
		if at < 0 {
			return
		}
		text = text[at+1:]
		if strings.HasPrefix(text, "!--") {
			r.note, text = true, text[3:]
			continue
		}
		name, closes := strings.CutPrefix(text, "/")
		for _, element := range quoting {
			rest, ok := strings.CutPrefix(name, element)
			if !ok || rest != "" && !strings.ContainsRune(" \t/>", rune(rest[0])) {
				continue
			}
			if closes {
				r.html = max(0, r.html-1)
			} else {
				r.html++
			}
		}
	}
}
