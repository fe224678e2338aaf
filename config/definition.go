package config

import "switchyard/asl"

// checkDefinition reads and validates a state machine's definition. The places
// in its findings are those of that file.
func (d *decoder) checkDefinition(at, file string, c *Config) {
	if d.offline {
		return
	}
	file = d.resolve(file)
	text, err := d.read.file(file, maxDefinition)
	if err != nil {
		d.failValue(at, "read definition: %v", err)
		return
	}
	for _, finding := range asl.Validate(text) {
		if finding.Severity == asl.SeverityError {
			d.failValue(at, "%s", finding.Format(file))
		} else {
			c.warnings = append(c.warnings, finding.Format(file))
		}
	}
}

// maxDefinition is Step Functions' limit on a definition, in bytes.
const maxDefinition = 1 << 20
