package apierror_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"switchyard/asl/apierror"
)

func TestErrorsAreKnownByTheirCode(t *testing.T) {
	err := fmt.Errorf("start: %w", apierror.New(apierror.CodeInvalidName, "Invalid Name: '%s'", "a b"))
	if got, want := err.Error(), "start: InvalidName: Invalid Name: 'a b'"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !apierror.Is(err, apierror.CodeInvalidName) || apierror.Is(err, apierror.CodeInvalidArn) {
		t.Error("the code is not found behind another error")
	}
	if apierror.Is(errors.New("InvalidName"), apierror.CodeInvalidName) {
		t.Error("an error of another kind has a code")
	}
}

func TestFailuresOfTheStoreAreHiddenFromCallers(t *testing.T) {
	inside := errors.New("disk /secret/path is full")
	err := apierror.Unavailable(fmt.Errorf("write: %w", inside))
	if !apierror.Is(err, apierror.CodeServiceUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("callers are told %q", err)
	}
	if !errors.Is(err, inside) {
		t.Error("the log cannot tell what went wrong")
	}
	known := fmt.Errorf("look: %w", apierror.New(apierror.CodeTaskTimedOut, "late"))
	if got := apierror.Unavailable(known); got.Error() != known.Error() || apierror.Is(got, apierror.CodeServiceUnavailable) {
		t.Errorf("an error of the API became %v", got)
	}
}

func TestNotOneOfNamesValueFieldAndChoices(t *testing.T) {
	err := apierror.NotOneOf("severity", "NOISE", "ERROR", "WARNING")
	const want = "1 validation error detected: Value 'NOISE' at 'severity' failed to satisfy constraint: Member must satisfy enum value set: [ERROR, WARNING]"
	if err.Code != apierror.CodeValidation || err.Message != want {
		t.Errorf("%s: %s", err.Code, err.Message)
	}
}
