package config

import (
	"fmt"

	"switchyard/asl/definition"
)

// checkDefinition reads and validates a state machine's definition. The places
// in its findings are those of that file.
func (d *decoder) checkDefinition(at string, m StateMachine, c *Config) {
	if d.offline {
		return
	}
	file := d.resolve(m.Definition)
	text, err := d.read.file(file, maxDefinition)
	if err != nil {
		d.failValue(at, "read definition: %v", err)
		return
	}
	for _, finding := range definition.Read(file, text, m.Substitutions).Findings {
		if finding.Refuses() {
			d.failValue(at, "%s", finding.Format(file))
		} else {
			c.warnings = append(c.warnings, finding.Format(file))
		}
	}
}

// Definition is the definition of a state machine of this name as its file has
// it now, in JSON and with its substitutions.
func (c *Config) Definition(name string) (string, error) {
	m := c.StateMachines[name]
	file := c.Resolve(m.Definition)
	text, err := readFile(file, maxDefinition)
	if err != nil {
		return "", fmt.Errorf("state_machines.%s.definition: %w", name, err)
	}
	read := definition.Read(file, text, m.Substitutions)
	for _, finding := range read.Findings {
		if finding.Refuses() {
			return "", fmt.Errorf("state_machines.%s.definition: %s", name, finding.Format(file))
		}
	}
	return read.JSON, nil
}

// maxDefinition is Step Functions' limit on a definition, in bytes.
const maxDefinition = 1 << 20
