package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/integration"
	"switchyard/internal/awsmodel"
)

// action is what an integration can do.
type action struct {
	name string
	// patterns are what may follow the name, without the dot.
	patterns []string
	input    *awsmodel.Reference
	// json are the parameters, by their path, that take any JSON besides the text
	// that the service wants.
	json []string
	// any are parameters of Step Functions alone, of which no model tells.
	any []string
}

// writer writes the entry of one service.
type writer struct {
	model *awsmodel.Model
	// named gives a member's names in Step Functions; there is more than one where
	// it is not known which of them it takes.
	named func(string) []string
	// tokens is true where Step Functions wants the tokens that SDKs make up.
	tokens bool

	operations []string
	shapes     []string
	numbers    map[string]int
}

func (w *writer) String() string {
	slices.Sort(w.operations)
	return strings.Join(slices.Concat(w.operations, []string{""}, w.shapes), "\n") + "\n"
}

// operation writes what an action is and takes.
func (w *writer) operation(a action) {
	if w.numbers == nil {
		w.numbers = map[string]int{}
	}
	input := "-" // no parameters
	if a.input != nil {
		input = w.shape(a.input.Shape, "", a)
	}
	w.line(a, input)
}

// unknown writes an action of whose parameters nothing is known.
func (w *writer) unknown(a action) { w.line(a, "a") }

func (w *writer) line(a action, input string) {
	w.operations = append(w.operations, strings.Join(append(append([]string{a.name}, a.patterns...), input), " "))
}

// shape writes a shape and gives its type: a letter, or its line's number. at is
// where it stands in the parameters of a.
func (w *writer) shape(name, at string, a action) string {
	s := w.model.Shapes[name]
	if slices.Contains(a.json, at) {
		return "j"
	}
	if letter := scalar(s); letter != "" {
		return letter
	}
	// A shape that is special for one action has a line of its own.
	key := w.model.Metadata.ServiceID + " " + name
	if len(a.json)+len(a.any) > 0 {
		key += " " + a.name
	}
	if n, ok := w.numbers[key]; ok {
		return strconv.Itoa(n)
	}
	n := len(w.shapes)
	w.numbers[key] = n
	w.shapes = append(w.shapes, "") // what follows has later numbers
	switch s.Type {
	case "list":
		w.shapes[n] = "[ " + w.shape(s.Member.Shape, at, a)
	case "map":
		w.shapes[n] = "< " + w.shape(s.Value.Shape, at, a)
	default:
		w.shapes[n] = strings.Join(append([]string{"{"}, w.members(s, at, a)...), " ")
	}
	return strconv.Itoa(n)
}

func (w *writer) members(s *awsmodel.Shape, at string, a action) []string {
	var fields []string
	for _, member := range slices.Sorted(maps.Keys(s.Members)) {
		r := s.Members[member]
		names := w.named(member)
		mark := ""
		if len(names) == 1 && slices.Contains(s.Required, member) && (w.tokens || !r.IdempotencyToken) {
			mark = "*"
		}
		for _, name := range names {
			fields = append(fields, fmt.Sprintf("%s%s=%s", name, mark, w.shape(r.Shape, at+"/"+name, a)))
		}
	}
	if at == "" {
		for _, name := range a.any {
			fields = append(fields, name+"=a")
		}
	}
	return fields
}

// scalar is the letter of a type that holds no others, "" for one that does.
func scalar(s *awsmodel.Shape) string {
	switch s.Type {
	case "string", "character":
		return "t"
	case "blob":
		return "b"
	case "boolean":
		return "y"
	case "integer", "long":
		return "i"
	case "double", "float":
		return "n"
	case "timestamp":
		return "w"
	case "structure":
		if s.Document {
			return "a"
		}
		return ""
	default:
		return ""
	}
}

// optimizedNames are the names of a member in an optimised integration: the
// service's own, in Pascal case.
func optimizedNames(member string) []string { return []string{integration.UpperFirst(member)} }

// sdkNames are those in an AWS SDK integration.
func sdkNames(member string) []string {
	name := integration.SDKName(member)
	switch name {
	case "Equals":
		return []string{"EqualsValue"} // the developer guide says so
	case "Default", "Import", "Package", "Return", "Continue", "Break", "Final", "Class", "Public", "Private", "Static", "Interface":
		return []string{name, name + "Value"} // the SDK appends the word to Java's own
	case "Bool", "Null", "Ss", "Ns", "Bs":
		return slices.Compact([]string{name, integration.UpperFirst(member)}) // DynamoDB's types of values
	default:
		return []string{name}
	}
}
