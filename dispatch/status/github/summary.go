package github

import (
	"fmt"
	"net/url"
	"strings"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/internal/safetext"
)

const (
	// maxOutput is how long a summary or a text may be; GitHub takes 65,535
	// characters ("Create a check run").
	maxOutput = 60_000
	// maxSaid bounds each text of a stranger in a summary, in characters.
	maxSaid = 300
)

// summary is what a check run shows of an execution, in Markdown.
func summary(s *dispatch.Status, d *status.Details, targetURL string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n", status.Markdown(s.Description, maxDescription))
	if t := d.Tests; t != nil {
		fmt.Fprintf(&b, "\n%d tests, %d failed, %d skipped.\n", t.Total, t.Failed, t.Skipped)
		for i, f := range t.Failures {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "- **%s**", status.Markdown(f.Name, maxSaid))
			if f.Message != "" {
				b.WriteString(": " + status.Markdown(f.Message, maxSaid))
			}
			b.WriteString("\n")
		}
		if more := t.Failed - len(t.Failures); more > 0 {
			fmt.Fprintf(&b, "- and %d more\n", more)
		}
	}
	if u, err := url.Parse(targetURL); err == nil && u.Host != "" {
		fmt.Fprintf(&b, "\n[Execution %s](<%s>)\n", status.Markdown(s.Execution, maxSaid), strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "", "\\", "%5C").Replace(u.String()))
	}
	return safetext.Cut(b.String(), maxOutput)
}

// logText is the end of a log in Markdown, as code: nothing in it is read as
// Markdown, since no run of backticks in it is as long as the fence.
func logText(log string) string {
	log = strings.Trim(log, "\n")
	if log == "" {
		return ""
	}
	log = safetext.Block(strings.ReplaceAll(log, "\r\n", "\n"))
	if len(log) > maxOutput-1000 {
		log = log[len(log)-(maxOutput-1000):]
		if at := strings.IndexByte(log, '\n'); at >= 0 && at < 1000 {
			log = log[at+1:]
		}
		log = strings.ToValidUTF8(log, "")
	}
	longest, run := 2, 0
	for _, r := range log {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", min(longest+1, 400))
	if longest >= 400 {
		log = strings.ReplaceAll(log, "`", "'")
	}
	return fence + "text\n" + log + "\n" + fence
}
