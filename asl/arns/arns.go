// Package arns writes and reads the ARNs of Step Functions.
package arns

import (
	"fmt"
	"strconv"
	"strings"

	"switchyard/asl/apierror"
	"switchyard/internal/uuid"
)

// Names makes and reads the ARNs of one region and account:
//
//	arn:aws:states:REGION:ACCOUNT:stateMachine:NAME[:QUALIFIER]
//	arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
//	arn:aws:states:REGION:ACCOUNT:express:MACHINE:NAME:UUID
//	arn:aws:states:REGION:ACCOUNT:mapRun:MACHINE/LABEL:RUN
//
// The children of a Map run have MACHINE/LABEL for a machine. In the store that
// is followed by the run, so that the children of a run can be listed, and an
// execution's name leads to it.
type Names struct{ prefix string }

// New returns the names of a region and an account.
func New(region, account string) Names {
	return Names{"arn:aws:states:" + region + ":" + account + ":"}
}

// Machine is the ARN of a state machine, or of that which a Map run's children
// are said to belong to.
func (n Names) Machine(name string) string { return n.prefix + "stateMachine:" + ShownMachine(name) }

// Version is the ARN of a version.
func (n Names) Version(machine string, number int) string {
	return n.Machine(machine) + ":" + strconv.Itoa(number)
}

// Alias is the ARN of an alias.
func (n Names) Alias(machine, alias string) string { return n.Machine(machine) + ":" + alias }

// Execution is the ARN of an execution.
func (n Names) Execution(machine, name string) string {
	return n.prefix + "execution:" + ShownMachine(machine) + ":" + name
}

// Express is the ARN of an EXPRESS execution, which ends in a UUID.
func (n Names) Express(machine, name, suffix string) string {
	return n.prefix + "express:" + machine + ":" + name + ":" + suffix
}

// MapRun is the ARN of the Map run whose children have key for a machine.
func (n Names) MapRun(key string) string { return n.prefix + "mapRun:" + key }

// Activity is the ARN of an activity.
func (n Names) Activity(name string) string { return n.prefix + "activity:" + name }

// ShownMachine leaves the run out of the Machine of its children.
func ShownMachine(machine string) string {
	name, _, _ := strings.Cut(machine, ":")
	return name
}

// BaseMachine is the state machine in which a Map run's children began.
func BaseMachine(machine string) string {
	name, _, _ := strings.Cut(machine, "/")
	return name
}

// ParseMachine returns the name and the qualifier, a version or an alias,
// of a state machine of this engine.
func (n Names) ParseMachine(arn string) (name, qualifier string, err error) {
	rest, ok := strings.CutPrefix(arn, n.prefix+"stateMachine:")
	if !ok {
		if kind, _, ok := Split(arn); ok && kind == "stateMachine" {
			// An ARN of another region or account is well formed; there is
			// just nothing behind it.
			return "", "", apierror.New(apierror.CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
		}
		return "", "", invalid(arn)
	}
	name, qualifier, _ = strings.Cut(rest, ":")
	if !ValidName(name) {
		return "", "", invalid(arn)
	}
	return name, qualifier, nil
}

// ParseExecution returns the Machine of an execution of this engine, and its
// name.
func (n Names) ParseExecution(arn string) (machine, name string, err error) {
	rest, ok := strings.CutPrefix(arn, n.prefix+"execution:")
	if !ok {
		kind, _, ok := Split(arn)
		if ok && kind == "express" {
			return "", "", apierror.New(apierror.CodeInvalidArn, "Invalid Arn: 'Resource type not valid in this context: express'")
		}
		if ok && kind == "execution" {
			return "", "", apierror.New(apierror.CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
		}
		return "", "", invalid(arn)
	}
	machine, name, ok = strings.Cut(rest, ":")
	if ok && IsChild(machine) {
		if ChildIndex(name) < 0 {
			return "", "", apierror.New(apierror.CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
		}
		return machine + ":" + ChildName(name, -1), name, nil
	}
	if !ok || !ValidName(machine) || !ValidName(name) {
		return "", "", invalid(arn)
	}
	return machine, name, nil
}

// invalid refuses a text that is not the ARN it should be.
func invalid(arn string) error {
	if !strings.HasPrefix(arn, "arn:") {
		return apierror.New(apierror.CodeInvalidArn, "Invalid Arn: 'Invalid ARN prefix: %s'", arn)
	}
	return apierror.New(apierror.CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'", arn)
}

// Split gives the type and the rest of any ARN of the service.
func Split(arn string) (kind, rest string, ok bool) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "states" {
		return "", "", false
	}
	return parts[5], parts[6], true
}

// ValidName follows the documentation: 1–80 characters; no white space, no
// brackets, no wildcards, none of "#%\^|~`$&,;:/, no control characters.
func ValidName(s string) bool {
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

// ChildName names a child by its index: it begins as the run's ID does, so that
// a child's ARN leads to its run.
func ChildName(run string, index int) string {
	return fmt.Sprintf("%s%012x", run[:len(run)-12], index+1)
}

// ChildIndex is the inverse of ChildName; -1 when name is no child's.
func ChildIndex(name string) int {
	if len(name) != uuid.Length {
		return -1
	}
	n, err := strconv.ParseUint(name[uuid.Length-12:], 16, 48)
	if err != nil {
		return -1
	}
	return int(n) - 1
}

// IsChild tells the Machine of the children of a Map run from a state
// machine's name, which has no slash.
func IsChild(machine string) bool { return strings.Contains(machine, "/") }

// ParseMapRun returns the Machine of the children of a Map run of this engine,
// and the run's ID.
func (n Names) ParseMapRun(arn string) (key, id string, err error) {
	key, ok := strings.CutPrefix(arn, n.prefix+"mapRun:")
	at := strings.LastIndexByte(key, ':')
	if ok && IsChild(key) && at >= 0 {
		return key, key[at+1:], nil
	}
	if kind, _, ok := Split(arn); ok && kind == "mapRun" {
		return "", "", apierror.New(apierror.CodeResourceNotFound, "Resource not found: '%s'", arn)
	}
	return "", "", invalid(arn)
}

// MapRunKey is the Machine of the children of the Map run with this ARN.
func MapRunKey(arn string) string {
	_, key, _ := Split(arn)
	return key
}

// MapRunID is the ID of the Map run whose children have this Machine.
func MapRunID(key string) string { return key[strings.LastIndexByte(key, ':')+1:] }

// ParseActivity returns the name of an activity of this engine.
func (n Names) ParseActivity(arn string) (name string, err error) {
	name, ok := strings.CutPrefix(arn, n.prefix+"activity:")
	if ok && ValidName(name) {
		return name, nil
	}
	if kind, _, is := Split(arn); !ok && is && kind == "activity" {
		return "", NoActivity(arn)
	}
	return "", invalid(arn)
}

// NoActivity says that the activity with this ARN does not exist.
func NoActivity(arn string) error {
	return apierror.New(apierror.CodeActivityDoesNotExist, "Activity Does Not Exist: '%s'", arn)
}
