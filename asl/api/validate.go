package api

import (
	"context"
	"errors"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
)

// maxDiagnostics is how many findings an answer holds, by default and at most.
const maxDiagnostics = 100

type validateStateMachineDefinitionIn struct {
	Definition *string `json:"definition"`
	Type       string  `json:"type"`
	Severity   string  `json:"severity"`
	MaxResults int     `json:"maxResults"`
}

type diagnostic struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
}

type validateStateMachineDefinitionOut struct {
	Result      string       `json:"result"`
	Diagnostics []diagnostic `json:"diagnostics"`
	Truncated   bool         `json:"truncated"`
}

func validateStateMachineDefinition(_ context.Context, _ *engine.Engine, in *validateStateMachineDefinitionIn) (*validateStateMachineDefinitionOut, error) {
	if in.Definition == nil {
		return nil, required("definition", "")
	}
	switch in.Type {
	case "", catalog.TypeStandard, catalog.TypeExpress:
	default:
		return nil, apierror.NotOneOf("type", in.Type, catalog.TypeStandard, catalog.TypeExpress)
	}
	switch asl.Severity(in.Severity) {
	case "", asl.SeverityError, asl.SeverityWarning:
	default:
		return nil, apierror.NotOneOf("severity", in.Severity, string(asl.SeverityError), string(asl.SeverityWarning))
	}
	limit, err := page(in.MaxResults, maxDiagnostics)
	if err != nil {
		return nil, err
	}
	found := asl.Validate([]byte(*in.Definition))
	if in.Type == catalog.TypeExpress {
		found = append(found, notExpress([]byte(*in.Definition))...)
	}
	out := &validateStateMachineDefinitionOut{Result: "OK", Diagnostics: []diagnostic{}}
	for _, d := range found {
		if d.Severity == asl.SeverityError {
			out.Result = "FAIL"
		} else if asl.Severity(in.Severity) != asl.SeverityWarning {
			continue
		}
		if len(out.Diagnostics) == limit {
			out.Truncated = true
			continue
		}
		out.Diagnostics = append(out.Diagnostics, diagnostic{string(d.Severity), d.Code, d.Message, d.Location})
	}
	return out, nil
}

// notExpress finds what only EXPRESS state machines may not have.
func notExpress(definition []byte) []asl.Diagnostic {
	m, err := asl.Parse(definition)
	if err != nil {
		return nil // said already
	}
	var refused *asl.DefinitionError
	if errors.As(m.Express(), &refused) {
		return refused.Diagnostics
	}
	return nil
}
