package stepfn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// machine is what can be started: a state machine, a version or an alias.
type machine struct {
	arn string
	// executions is the ARN of the machine's executions up to their name. A
	// version or alias is no part of it.
	executions string
	// account is as accountOf has it.
	account string
	place   Place
	api     API
}

// parseMachine reads arn:<partition>:states:<region>:<account>:stateMachine:<name>
// with an optional :<version or alias>, and the #<test case> that engines with
// mocks take.
func parseMachine(s string) (machine, error) {
	a, err := arn.Parse(s)
	if err != nil {
		return machine{}, fmt.Errorf("%q is not an ARN; expected arn:aws:states:<region>:<account>:stateMachine:<name>", s)
	}
	if a.Service != "states" {
		return machine{}, fmt.Errorf("%q is an ARN of %s, not of states", s, a.Service)
	}
	kind, rest, _ := strings.Cut(a.Resource, ":")
	if kind != "stateMachine" {
		return machine{}, fmt.Errorf("%q names %q, not a stateMachine", s, kind)
	}
	rest, _, _ = strings.Cut(rest, "#")
	name, qualifier, qualified := strings.Cut(rest, ":")
	switch {
	case name == "":
		return machine{}, fmt.Errorf("%q names no state machine", s)
	case qualified && (qualifier == "" || strings.Contains(qualifier, ":")):
		return machine{}, fmt.Errorf("%q has no valid version or alias after the name", s)
	case a.Region == "" || a.AccountID == "":
		return machine{}, errors.New("the ARN needs a region and an account: " + s)
	}
	a.Resource = "execution:" + name + ":"
	return machine{arn: s, executions: a.String(), account: accountOf(a), place: Place{Region: a.Region}}, nil
}

func (m machine) execution(name string) string { return m.executions + name }

// isExpress tells by the execution's ARN, arn:…:express:<machine>:<name>:<id>.
// machineOf is the ARN of an execution's state machine.
func machineOf(executionARN string) (string, error) {
	a, err := arn.Parse(executionARN)
	if err != nil {
		return "", fmt.Errorf("%q is not the ARN of an execution", executionARN)
	}
	parts := strings.Split(a.Resource, ":")
	if len(parts) != 3 || parts[0] != "execution" {
		return "", fmt.Errorf("%q is not the ARN of an execution", executionARN)
	}
	a.Resource = "stateMachine:" + parts[1]
	return a.String(), nil
}

func isExpress(executionARN string) bool {
	a, err := arn.Parse(executionARN)
	return err == nil && strings.HasPrefix(a.Resource, "express:")
}
