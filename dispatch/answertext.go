package dispatch

import (
	"fmt"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// maxAnswer and maxShown bound an answer and one text in it, in characters.
const (
	maxAnswer = 8000
	maxShown  = 300
)

func shownLine(s string) string { return safetext.Cut(safetext.Line(s), maxShown) }

func cutAnswer(s string) string { return safetext.Cut(s, maxAnswer) }

// AnswerText is what an answer says: its text, and a line for each act.
func AnswerText(text string, acts []Ignored) string {
	var b strings.Builder
	b.WriteString(text)
	for i := range acts {
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		b.WriteString("- " + code(acts[i].Execution) + ": " + plain(acts[i].Reason))
	}
	return cutAnswer(b.String())
}

// RefusedText is what an answer says of a command that was not carried out.
func RefusedText(reason string) string { return cutAnswer("Not done: " + plain(reason)) }

// DeniedReason is why nothing is done for somebody who may not write.
func DeniedReason(ev *event.Event) string {
	return fmt.Sprintf("%q may not write to %s, and commands are for those who may", shownLine(ev.Sender), ev.Repository.FullName)
}

// AllowedText is what an answer says of a commit that may run, of which the routes
// have made plan.
func AllowedText(sha string, plan *event.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s may run:", code(sha))
	if len(plan.Requests) == 0 {
		b.Reset()
		fmt.Fprintf(&b, "No route asks for %s:", code(sha))
	}
	for i := range plan.Requests {
		fmt.Fprintf(&b, "\n- %s: route %s", code(plan.Requests[i].ID), code(plan.Requests[i].Route))
	}
	writeReasons(&b, plan.Ignored)
	return cutAnswer(b.String())
}

// Explained is what an answer says of one execution.
type Explained struct {
	Execution string
	Status    StatusChange
	// Reason is why there is the execution.
	Reason string
}

// ExplainedText is what an answer says of a commit: its executions, and why routes
// start nothing for it.
func ExplainedText(sha string, known []Explained, reasons []event.Ignored) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Commit %s:", code(shortSHA(sha)))
	for i := range known {
		fmt.Fprintf(&b, "\n- %s: %s. %s", code(known[i].Execution), plain(known[i].Status.Description), plain(known[i].Reason))
	}
	writeReasons(&b, reasons)
	return cutAnswer(b.String())
}

// writeReasons adds why routes start nothing.
func writeReasons(b *strings.Builder, ignored []event.Ignored) {
	const most = 20
	for i, g := range ignored {
		if i == most {
			fmt.Fprintf(b, "\n- and %d more reasons", len(ignored)-most)
			break
		}
		b.WriteString("\n- ")
		if g.Route != "" {
			b.WriteString("route " + code(g.Route) + ": ")
		}
		if g.Commit != "" {
			b.WriteString("commit " + code(shortSHA(g.Commit)) + ": ")
		}
		b.WriteString(plain(g.Reason))
	}
}

// code shows a text in a code span, in which nothing of it means anything.
func code(text string) string {
	text = strings.ReplaceAll(shownLine(text), "`", "'")
	if text == "" {
		return "it"
	}
	return "`" + text + "`"
}

// plain shows a text as it is where nothing in it can mean anything in
// Markdown, and else in a code span.
func plain(text string) string {
	meant := func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(" ,;:.()", r)
	}
	if strings.ContainsFunc(text, meant) {
		return code(text)
	}
	return text
}
