// Package definition reads state machine definitions as people keep them: in
// JSON or YAML, with placeholders such as ${NotifyFunction} that SAM's and
// CloudFormation's DefinitionSubstitutions or a template of Terraform fill in.
//
// Findings have the line and column in the file, whatever it was written in.
package definition

import (
	"regexp"
	"slices"
	"strings"

	"switchyard/asl"
	"switchyard/asl/value"
)

// CodePlaceholder is the code of a finding about a placeholder without a value.
// AWS has none for it.
const CodePlaceholder = "UNFILLED_PLACEHOLDER"

// Definition is what a file holds.
type Definition struct {
	// JSON is the definition as Step Functions takes it, with placeholders filled
	// in: a file's own text where it is JSON, "" where nothing can be made of it.
	JSON string
	// Findings are those of [asl.Validate] and about what only a file can hold.
	Findings []asl.Diagnostic
}

// Failed reports whether the definition cannot be used.
func (d *Definition) Failed() bool {
	return slices.ContainsFunc(d.Findings, asl.Diagnostic.Refuses)
}

// Wrong reports whether AWS refuses the definition: there are errors among the
// findings, tolerated ones too.
func (d *Definition) Wrong() bool {
	return slices.ContainsFunc(d.Findings, func(f asl.Diagnostic) bool { return f.Severity == asl.SeverityError })
}

// Read makes a definition of a file's text. A name that ends in .json or .yaml
// (or .yml) says what it is written in; else text that begins with a bracket is
// JSON.
//
// Each ${NAME} of which substitutions has the NAME is replaced. In quotes, the
// value is part of the text; without them it may be a number or true or false.
// See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-stepfunctions-statemachine.html
func Read(name string, text []byte, substitutions map[string]string) *Definition {
	plain := strings.TrimPrefix(string(text), "\ufeff")
	if writtenInYAML(name, plain) {
		return readYAML(plain, substitutions)
	}
	return readJSON(plain, substitutions)
}

func writtenInYAML(name, text string) bool {
	trimmed := strings.TrimSpace(text)
	bracket := strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")
	switch {
	case strings.HasSuffix(name, ".json"), trimmed == "":
		return false
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		// JSON in such a file is read as JSON, which knows more of it: texts with
		// tabs, and AWS's messages.
		_, err := value.ParseString(text)
		return !bracket || err != nil
	default:
		return !bracket
	}
}

// maxUnfilled bounds what a file can make us say of placeholders.
const maxUnfilled = 100

// placeholder is one without a value.
type placeholder struct {
	name string
	at   position // of the value that it is in
	bare bool     // not in a text, so that without a value it is not JSON
}

// position is a line and a column, both counted from 1.
type position struct{ line, column int }

// reference is how templates write a placeholder: of CloudFormation, whose
// names may be those of its pseudo parameters, and of Terraform.
var reference = regexp.MustCompile(`\$\{\s*[A-Za-z_][0-9A-Za-z_]*(?:(?:\.|::|-)[0-9A-Za-z_]+)*\s*\}`)

// nameOf is the name in a reference.
func nameOf(reference string) string { return strings.TrimSpace(reference[2 : len(reference)-1]) }

// escaped reports whether what begins at text[i] is no reference, since
// Terraform writes a literal ${ as $${.
func escaped(text string, i int) bool { return i > 0 && text[i-1] == '$' }

// fill replaces the references in a text, and tells of those without a value.
func fill(text string, substitutions map[string]string, unfilled func(name string)) string {
	var b strings.Builder
	last := 0
	for _, m := range reference.FindAllStringIndex(text, -1) {
		if escaped(text, m[0]) {
			continue
		}
		name := nameOf(text[m[0]:m[1]])
		v, ok := substitutions[name]
		if !ok {
			unfilled(name)
			continue
		}
		b.WriteString(text[last:m[0]])
		b.WriteString(v)
		last = m[1]
	}
	return b.String() + text[last:]
}

// validate finds what is wrong with a definition. origin gives the place in the
// file for one in the JSON that was made of it.
func (d *Definition) validate(origin func(position) position, unfilled []placeholder) {
	d.Findings = asl.Validate([]byte(d.JSON))
	found := map[position]int{} // indexes of findings
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Line == 0 {
			continue
		}
		at := origin(position{f.Line, f.Column})
		f.Line, f.Column = at.line, at.column
		found[at] = i
	}
	named := map[string]bool{}
	for _, p := range unfilled {
		i, wrong := found[p.at]
		switch {
		case wrong && d.Findings[i].Severity == asl.SeverityError: // for want of a value
			d.Findings[i].Detail = p.hint()
			delete(found, p.at)
		case !named[p.name]:
			d.Findings = append(d.Findings, p.finding(asl.SeverityWarning))
		}
		named[p.name] = true
	}
}

func (p *placeholder) hint() string {
	return "${" + p.name + "} is a placeholder that has no value; give it one with --substitute " + p.name + "=VALUE or, in a config, under substitutions"
}

func (p *placeholder) finding(s asl.Severity) asl.Diagnostic {
	message, detail, _ := strings.Cut(p.hint(), "; ")
	return asl.Diagnostic{Severity: s, Code: CodePlaceholder, Message: message, Detail: detail, Line: p.at.line, Column: p.at.column}
}
