package asl

import (
	"fmt"
	"strings"
)

// Express reports what EXPRESS state machines do not support, as a
// [*DefinitionError]; nil when m can be one. The findings have a location, but
// neither line nor column.
func (m *Machine) Express() error {
	var found []Diagnostic
	m.notExpress("", &found)
	if len(found) == 0 {
		return nil
	}
	return &DefinitionError{Diagnostics: found}
}

func (g *Graph) notExpress(at string, found *[]Diagnostic) {
	for _, s := range g.States {
		here := at + "/States/" + s.Name
		add := func(field, message string) {
			*found = append(*found, Diagnostic{
				Severity: SeverityError, Code: CodeSchema, Message: message, Location: here + field, State: s.Name,
			})
		}
		switch {
		case s.Task != nil:
			// The texts are AWS's, the blank at the end of one included.
			switch res := s.Task.Resource; {
			case strings.HasSuffix(res, ".waitForTaskToken"):
				add("/Resource", "Express state machine does not support '.waitForTaskToken' service integration ")
			case strings.HasSuffix(res, ".sync"), strings.HasSuffix(res, ".sync:2"):
				add("/Resource", "Express state machine does not support '.sync' service integration")
			case strings.HasPrefix(res, "arn:") && strings.Contains(res, ":activity:"):
				add("/Resource", "Express state machine does not support Activity ARN")
			}
		case s.Parallel != nil:
			for i, b := range s.Parallel.Branches {
				b.notExpress(fmt.Sprintf("%s/Branches[%d]", here, i), found)
			}
		case s.Map != nil:
			if s.Map.Processor.Distributed {
				add("/ItemProcessor/ProcessorConfig/Mode", "Express state machine does not support Map state in 'DISTRIBUTED' mode")
			}
			s.Map.Processor.notExpress(here+"/ItemProcessor", found)
		}
	}
}
