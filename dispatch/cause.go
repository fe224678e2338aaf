package dispatch

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"switchyard/internal/safetext"
)

const (
	// maxNested is how deep causes within causes are followed.
	maxNested = 8
	// maxCommand is what is shown of a command at most, in bytes, so that what
	// became of it fits behind.
	maxCommand = 60
)

// sayCause tells in one line what a cause says, "" when that is nothing for a
// person. Services give causes as JSON, each in its own shape; in these the
// command or container that failed is looked for, at any depth.
func sayCause(cause string) string { return safetext.Line(saysCause(cause, 0)) }

func saysCause(cause string, depth int) string {
	cause = strings.TrimSpace(cause)
	if depth > maxNested || cause == "" {
		return ""
	}
	switch cause[0] {
	case '"':
		var text string
		if json.Unmarshal([]byte(cause), &text) == nil {
			return saysCause(text, depth+1)
		}
	case '{':
		var r causeReport
		if err := json.Unmarshal([]byte(cause), &r); err != nil && !json.Valid([]byte(cause)) {
			return sayCommand(cause) // cut off, as long causes are
		}
		return r.say(depth) // a field of another type is passed over
	case '[':
		return ""
	}
	return TitleOf(cause)
}

// causeReport has what the causes of several services have in common with none
// of the others: a field that is there names the shape.
type causeReport struct {
	// A nested execution, or whoever wraps an error.
	Error, Cause json.RawMessage
	// CodeBuild: the build, by itself or below its name.
	Build  *causeReport
	Phases []struct {
		PhaseType, PhaseStatus string
		Contexts               []struct{ Message string }
	}
	BuildStatus string
	// ECS, and Batch with a single container.
	Containers    []causeContainer
	Container     *causeContainer
	StoppedReason string
	StatusReason  string
	Failures      []struct{ Reason string }
	// Lambda and Glue.
	ErrorType, ErrorMessage json.RawMessage
	// HTTP.
	StatusCode json.Number
	StatusText string

	Message json.RawMessage
}

type causeContainer struct {
	Name, Reason string
	ExitCode     *int
}

func (r *causeReport) say(depth int) string {
	if r.Build != nil {
		if said := r.Build.say(depth + 1); said != "" {
			return said
		}
	}
	for _, say := range []func() string{r.sayPhase, r.sayContainer, func() string { return saysCause(textOf(r.Cause), depth+1) }} {
		if said := say(); said != "" {
			return said
		}
	}
	for _, text := range []json.RawMessage{r.ErrorMessage, r.Message, r.Error, r.ErrorType} {
		if said := saysCause(textOf(text), depth+1); said != "" {
			return said
		}
	}
	for _, f := range r.Failures {
		if f.Reason != "" {
			return TitleOf(f.Reason)
		}
	}
	for _, text := range []string{r.StoppedReason, r.StatusReason, strings.TrimSpace(r.StatusCode.String() + " " + r.StatusText)} {
		if text != "" {
			return TitleOf(text)
		}
	}
	return ""
}

// sayPhase names the first phase of a build that did not succeed, and why.
func (r *causeReport) sayPhase() string {
	for _, p := range r.Phases {
		if p.PhaseType == "" || slices.Contains([]string{"", "SUCCEEDED", "IN_PROGRESS", "QUEUED"}, p.PhaseStatus) {
			continue
		}
		for _, c := range p.Contexts {
			if c.Message == "" {
				continue
			}
			if said := sayCommand(c.Message); said != "" {
				return p.PhaseType + ": " + said
			}
			return p.PhaseType + ": " + TitleOf(c.Message)
		}
		return p.PhaseType + ": " + strings.ToLower(strings.ReplaceAll(p.PhaseStatus, "_", " "))
	}
	return ""
}

// failedCommand is how CodeBuild tells of a command.
var failedCommand = regexp.MustCompile(`(?s)Error while executing command: (.*?)\.? Reason: ([^\n."\\]+)`)

// sayCommand finds a command and what became of it.
func sayCommand(message string) string {
	m := failedCommand.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	command, rest, more := strings.Cut(strings.TrimSpace(m[1]), "\n")
	if more && strings.TrimSpace(rest) != "" {
		command += "…"
	}
	return clip(command, maxCommand) + ": " + strings.TrimSpace(m[2])
}

// sayContainer names the first container that did not end well.
func (r *causeReport) sayContainer() string {
	all := r.Containers
	if r.Container != nil {
		all = append(slices.Clone(all), *r.Container)
	}
	for _, c := range all {
		if (c.ExitCode == nil || *c.ExitCode == 0) && (c.Reason == "" || c.ExitCode != nil) {
			continue
		}
		name := "container"
		if c.Name != "" {
			name += " " + c.Name
		}
		var parts []string
		if c.ExitCode != nil {
			parts = append(parts, fmt.Sprintf("exit code %d", *c.ExitCode))
		}
		if c.Reason != "" {
			parts = append(parts, TitleOf(c.Reason))
		}
		return name + ": " + strings.Join(parts, ": ")
	}
	return ""
}

// textOf is a JSON string's text, or an object as it stands.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	if len(raw) > 0 && raw[0] == '{' {
		return string(raw)
	}
	return ""
}
