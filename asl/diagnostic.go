package asl

import (
	"fmt"
	"strings"
)

// Severity tells whether a definition can be used in spite of a diagnostic.
type Severity string

// The severities, in the words of ValidateStateMachineDefinition.
const (
	SeverityError   Severity = "ERROR"
	SeverityWarning Severity = "WARNING"

	// tolerated is that of an error with [Diagnostic.Tolerated].
	tolerated Severity = "TOLERATED"
)

// The codes of diagnostics, as AWS has them but for the last.
const (
	CodeInvalidJSON             = "INVALID_JSON_DESCRIPTION"
	CodeMissingDescription      = "MISSING_DESCRIPTION"
	CodeSchema                  = "SCHEMA_VALIDATION_FAILED"
	CodeMissingEndState         = "MISSING_END_STATE"
	CodeDuplicateStateName      = "DUPLICATE_STATE_NAME"
	CodeInvalidStateName        = "INVALID_STATE_NAME"
	CodeDuplicateLabelName      = "DUPLICATE_LABEL_NAME"
	CodeInvalidLabelName        = "INVALID_LABEL_NAME"
	CodeMissingTransitionTarget = "MISSING_TRANSITION_TARGET"
	CodeTooDeeplyNested         = "TOO_DEEPLY_NESTED"
	CodeNoDollar                = "NO_DOLLAR"
	CodeInvalidJSONata          = "INVALID_JSONATA_EXPRESSION"
	CodeUnsupportedJSONata      = "UNSUPPORTED_JSONATA_EXPRESSION"
	CodePassResultIsStatic      = "PASS_RESULT_IS_STATIC"
	// CodeDuplicateKey is ours: AWS takes the last of equal keys in silence.
	CodeDuplicateKey = "DUPLICATE_KEY"
)

// Diagnostic is one finding about a definition.
type Diagnostic struct {
	Severity Severity
	Code     string
	// Message is AWS's wording where that is known.
	Message string
	// Location is the place in the definition, /States/X/Field; "" for none.
	Location string
	// Detail says more for a person than Message does; may be empty.
	Detail string
	// State is the innermost state concerned, "" for none.
	State string
	// Line and Column count from 1, columns in characters; 0 for none.
	Line, Column int
	// Tolerated is true for an error at which AWS refuses a definition and [Parse]
	// does not: parameters that an integration does not take. The state fails when
	// it is reached.
	Tolerated bool
}

// Refuses reports whether a definition cannot be used because of the finding.
func (d Diagnostic) Refuses() bool { return d.Severity == SeverityError && !d.Tolerated }

// String is the finding as it stands in AWS's error at creation.
func (d Diagnostic) String() string {
	at := d.Location
	if at == "" {
		at = "null"
	}
	return d.Code + ": " + d.Message + " at " + at
}

// Format is the finding for a person, as compilers write theirs:
// file:line:column: state "X": message.
func (d Diagnostic) Format(file string) string {
	var b strings.Builder
	b.WriteString(file)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	b.WriteString(": ")
	if d.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	if d.State != "" {
		fmt.Fprintf(&b, "state %q: ", d.State)
	}
	if d.Detail != "" {
		b.WriteString(strings.TrimSuffix(d.Message, ".") + ": " + d.Detail)
	} else {
		b.WriteString(d.Message)
	}
	fmt.Fprintf(&b, " (%s", d.Code)
	if d.Location != "" {
		b.WriteString(" at " + d.Location)
	}
	b.WriteByte(')')
	return b.String()
}

// DefinitionError says why a definition is refused. Its text is AWS's.
type DefinitionError struct {
	// Diagnostics are the errors among the findings that are not tolerated, never
	// empty.
	Diagnostics []Diagnostic
}

func (e *DefinitionError) Error() string {
	parts := make([]string, len(e.Diagnostics))
	for i, d := range e.Diagnostics {
		parts[i] = d.String()
	}
	return "Invalid State Machine Definition: '" + strings.Join(parts, ", ") + "'"
}

// Parse compiles a definition. The error is a [*DefinitionError].
func Parse(definition []byte) (*Machine, error) {
	m, d := parse(definition, false)
	if err := d.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseStored compiles a definition that was accepted before, perhaps by an
// earlier version: which integrations there are does not matter any more. The
// error is a [*DefinitionError].
func ParseStored(definition []byte) (*Machine, error) {
	m, d := parse(definition, true)
	if err := d.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Validate gives all findings about a definition, errors and warnings. A
// definition without errors, but for tolerated ones, is one that [Parse]
// compiles.
func Validate(definition []byte) []Diagnostic {
	_, d := parse(definition, false)
	return d.diags
}
