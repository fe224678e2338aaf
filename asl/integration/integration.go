// Package integration knows the service integrations of Step Functions,
// arn:aws:states:::service:action and arn:aws:states:::aws-sdk:service:action:
// which there are, and which parameters each takes.
//
// What they take is in models.zip, made from the service models that AWS
// publishes with botocore (Apache License 2.0); the archive's comment names the
// version. It has an entry for each service, which is read when it is asked for.
// An entry is two lists of lines with an empty line between them. The first are
// the actions: the name, the patterns it can be followed by, and its parameters'
// type. The second are types, numbered from 0:
//
//	{ Name*=t Tags=4   an object with these fields, * for one that is required
//	[ t                a list
//	< 7                a map from texts
//
// where a type is a number or one of the letters of [scalars].
//
// Names are those that Step Functions has: in Pascal case, whatever the service
// itself calls them.
//
// Facts and wordings are from the Step Functions developer guide ("Passing
// parameters to a service API", "Learning to use AWS service SDK integrations"),
// and from answers of AWS that others published; docs/conformance.md tells them
// from what is not known.
package integration

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:generate go run ./internal/generate -out models.zip
//go:embed models.zip
var models []byte

// Call is an integration that a Task state names in its Resource. It is safe
// for concurrent use.
type Call struct {
	service *service
	input   string // the type of its parameters
}

// Is reports whether a Task state's Resource has the form of a service
// integration: an ARN of Step Functions without region and account.
func Is(resource string) bool {
	_, _, ok := parse(resource)
	return ok
}

// UnknownError says that Step Functions has no integration of that name. Its
// text is AWS's.
type UnknownError struct {
	Resource string
	// Service, Action and Pattern are the parts of the name, the pattern with its
	// dot; "" for those behind the one that is not known.
	Service, Action, Pattern string
	// Instead are the actions of the service, or the patterns of the action; nil
	// when there is no such service.
	Instead []string
}

func (e *UnknownError) Error() string {
	return "The resource provided " + e.Resource + " is not recognized. The value is not a valid resource ARN, or the resource is not available in this region."
}

// Find gives the integration that a Resource names. The error is an
// [*UnknownError].
func Find(resource string) (*Call, error) {
	entry, rest, _ := parse(resource)
	unknown := &UnknownError{Resource: resource, Service: strings.TrimPrefix(entry, sdk+"/")}
	s, ok := load(entry)
	if !ok {
		return nil, unknown
	}
	name, pattern, followed := strings.Cut(rest, ".")
	unknown.Action = name
	a, ok := s.actions[name]
	if !ok {
		unknown.Instead = slices.Sorted(maps.Keys(s.actions))
		return nil, unknown
	}
	if followed && !slices.Contains(a.patterns, pattern) {
		unknown.Pattern, unknown.Instead = "."+pattern, a.patterns
		return nil, unknown
	}
	return &Call{service: s, input: a.input}, nil
}

// sdk begins the names of AWS SDK integrations.
const sdk = "aws-sdk"

// parse gives the archive's entry for the service that a Resource names, and
// what follows the service: action.pattern.
func parse(resource string) (entry, rest string, ok bool) {
	f := strings.SplitN(resource, ":", 7)
	if len(f) < 7 || f[0] != "arn" || !strings.HasPrefix(f[1], "aws") || f[2] != "states" || f[3] != "" || f[4] != "" {
		return "", "", false
	}
	if f[5] == sdk {
		service, rest, _ := strings.Cut(f[6], ":")
		return sdk + "/" + service, rest, true
	}
	return strings.ReplaceAll(f[5], "/", "?"), f[6], true
}

// service is a parsed entry.
type service struct {
	actions map[string]action
	shapes  []shape
}

type action struct {
	patterns []string
	input    string
}

// shape is a type that holds others.
type shape struct {
	kind   byte // {, [ or <
	elem   string
	fields []field // of {
}

type field struct {
	name, is string
	required bool
}

// entries are the services of the archive, each parsed when it is first asked
// for.
var entries = sync.OnceValue(func() map[string]func() *service {
	archive, err := zip.NewReader(bytes.NewReader(models), int64(len(models)))
	if err != nil {
		panic(err) // it is part of the program
	}
	found := make(map[string]func() *service, len(archive.File))
	for _, file := range archive.File {
		found[file.Name] = sync.OnceValue(func() *service { return read(file) })
	}
	return found
})

func load(entry string) (*service, bool) {
	parse, ok := entries()[entry]
	if !ok {
		return nil, false
	}
	return parse(), true
}

func read(file *zip.File) *service {
	r, err := file.Open()
	if err != nil {
		panic(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", file.Name, err))
	}
	actions, types, _ := strings.Cut(string(text), "\n\n")
	s := &service{actions: map[string]action{}}
	for line := range strings.Lines(actions) {
		f := strings.Fields(line)
		a := action{patterns: f[1 : len(f)-1], input: f[len(f)-1]}
		if strings.HasPrefix(file.Name, sdk) {
			a.patterns = []string{"waitForTaskToken"} // all of them can
		}
		s.actions[f[0]] = a
	}
	for line := range strings.Lines(types) {
		s.shapes = append(s.shapes, readShape(strings.TrimSuffix(line, "\n")))
	}
	return s
}

func readShape(line string) shape {
	kind, rest, _ := strings.Cut(line, " ")
	if kind != "{" {
		return shape{kind: kind[0], elem: rest}
	}
	s := shape{kind: '{'}
	for text := range strings.FieldsSeq(rest) {
		name, is, _ := strings.Cut(text, "=")
		name, required := strings.CutSuffix(name, "*")
		s.fields = append(s.fields, field{name, is, required})
	}
	return s
}
