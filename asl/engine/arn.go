package engine

import "strings"

// The ARNs of Step Functions:
//
//	arn:aws:states:REGION:ACCOUNT:stateMachine:NAME[:QUALIFIER]
//	arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
//	arn:aws:states:REGION:ACCOUNT:express:MACHINE:NAME:UUID
//	arn:aws:states:REGION:ACCOUNT:mapRun:MACHINE/LABEL:RUN
//
// The children of a Map run have MACHINE/LABEL for a machine. In the store that
// is followed by the run, so that the children of a run can be listed, and an
// execution's name leads to it.
func (e *Engine) machineARN(name string) string {
	return e.arnPrefix + "stateMachine:" + shownMachine(name)
}
func (e *Engine) executionARN(m, n string) string {
	return e.arnPrefix + "execution:" + shownMachine(m) + ":" + n
}
func (e *Engine) mapRunARN(key string) string { return e.arnPrefix + "mapRun:" + key }

// shownMachine leaves the run out of the Machine of its children.
func shownMachine(machine string) string {
	name, _, _ := strings.Cut(machine, ":")
	return name
}

// baseMachine is the state machine in which a Map run's children began.
func baseMachine(machine string) string {
	name, _, _ := strings.Cut(machine, "/")
	return name
}

// parseMachineARN returns the name and the qualifier, a version or an alias,
// of a state machine of this engine.
func (e *Engine) parseMachineARN(arn string) (name, qualifier string, err error) {
	rest, ok := strings.CutPrefix(arn, e.arnPrefix+"stateMachine:")
	if !ok {
		if kind, _, ok := splitARN(arn); ok && kind == "stateMachine" {
			// An ARN of another region or account is well formed; there is
			// just nothing behind it.
			return "", "", fail(CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
		}
		return "", "", fail(CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'", arn)
	}
	name, qualifier, _ = strings.Cut(rest, ":")
	if !validName(name) {
		return "", "", fail(CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'", arn)
	}
	return name, qualifier, nil
}

func (e *Engine) parseExecutionARN(arn string) (machine, name string, err error) {
	rest, ok := strings.CutPrefix(arn, e.arnPrefix+"execution:")
	if !ok {
		kind, _, ok := splitARN(arn)
		if ok && kind == "express" {
			return "", "", fail(CodeInvalidArn, "Invalid Arn: 'Resource type not valid in this context: express'")
		}
		if ok && kind == "execution" {
			return "", "", fail(CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
		}
		return "", "", fail(CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'", arn)
	}
	machine, name, ok = strings.Cut(rest, ":")
	if ok && isChild(machine) {
		if childIndex(name) < 0 {
			return "", "", fail(CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
		}
		return machine + ":" + childName(name, -1), name, nil
	}
	if !ok || !validName(machine) || !validName(name) {
		return "", "", fail(CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'", arn)
	}
	return machine, name, nil
}

// splitARN gives the type and the rest of any ARN of the service.
func splitARN(arn string) (kind, rest string, ok bool) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "states" {
		return "", "", false
	}
	return parts[5], parts[6], true
}

// validName follows the documentation: 1–80 characters; no white space, no
// brackets, no wildcards, none of "#%\^|~`$&,;:/, no control characters.
func validName(s string) bool {
	if s == "" {
		return false
	}
	n := 0
	for _, r := range s {
		n++
		if r <= 0x20 || r >= 0x7f && r <= 0x9f || r == 0xfffd || n > 80 || strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/", r) {
			return false
		}
	}
	return true
}
