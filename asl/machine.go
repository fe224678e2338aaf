// Package asl is the Amazon States Language: it parses and validates state
// machine definitions and compiles what they say, so that running one parses
// nothing more.
//
// [Parse] gives a [Machine]; the paths, payload templates, intrinsic function
// calls and choice rules in it are [Expression] and [Condition] values that
// are evaluated against a [Scope]. [Validate] gives the diagnostics that AWS
// would give at creation, each with its place in the file. What the fields of a
// state evaluate to, in JSONPath or in JSONata, stands behind [Fields].
//
// The facts are those of states-language.net and of the Step Functions
// developer guide; texts of errors are AWS's where they are known.
package asl

import (
	"time"

	"switchyard/asl/intrinsic"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// QueryLanguage names the language of the expressions of a machine or state.
type QueryLanguage string

// The query languages of Step Functions.
const (
	JSONPath QueryLanguage = "JSONPath"
	JSONata  QueryLanguage = "JSONata"
)

// Scope is what an expression can see while a state runs.
type Scope = intrinsic.Scope

// Expression computes a value. It is the seam for query languages: a path, a
// payload template or an intrinsic function call in JSONPath mode. Errors are
// of type [*Error] for what a state machine can see. Safe for concurrent use.
type Expression interface {
	Eval(sc *Scope) (value.Value, error)
	// String is the expression as the definition has it.
	String() string
}

// Condition decides a choice; the seam for query languages. Safe for
// concurrent use.
type Condition interface {
	Match(sc *Scope) (bool, error)
	// String is the condition in a short form for people.
	String() string
}

// Machine is a parsed state machine.
type Machine struct {
	Graph
	Version       string
	QueryLanguage QueryLanguage
	// Timeout is how long an execution may take; 0 is without limit.
	Timeout time.Duration
	// VariableReferences are the names of the variables that states refer to, in
	// order, by the name of the state; those that refer to none are absent.
	VariableReferences map[string][]string
}

// Graph is a set of states and where it starts: a machine, a branch of a
// Parallel state, or what a Map state does with an item.
type Graph struct {
	Comment string
	Start   *State
	// States are in the order of the definition.
	States []*State
	byName map[string]*State
}

// State finds a state of this graph, not of nested ones, by name; nil when it
// has none.
func (g *Graph) State(name string) *State { return g.byName[name] }

// Find finds a state by name in this graph or any graph nested in it; nil
// when there is none. State names are unique over the whole machine.
func (g *Graph) Find(name string) *State {
	if s := g.byName[name]; s != nil {
		return s
	}
	for _, s := range g.States {
		for _, inner := range s.Graphs() {
			if found := inner.Find(name); found != nil {
				return found
			}
		}
	}
	return nil
}

// Type is a state's Type field.
type Type string

// The types of states.
const (
	TypePass     Type = "Pass"
	TypeTask     Type = "Task"
	TypeChoice   Type = "Choice"
	TypeWait     Type = "Wait"
	TypeSucceed  Type = "Succeed"
	TypeFail     Type = "Fail"
	TypeParallel Type = "Parallel"
	TypeMap      Type = "Map"
)

// State is one state. Exactly one of the per-type fields is set, by Type;
// Succeed has none.
type State struct {
	Name          string
	Type          Type
	Comment       string
	QueryLanguage QueryLanguage

	// Next is the state that follows; nil for End, Choice, Succeed and Fail.
	Next *State
	End  bool

	// Fields is what the state's fields evaluate to, in its query language.
	Fields Fields

	// The fields of a state in JSONPath.
	InputPath      Filter
	Parameters     Expression // nil when absent; for Map see Map.ItemSelector
	ResultSelector Expression // nil when absent
	ResultPath     Placement
	OutputPath     Filter
	Assign         *Assignment // nil when absent

	Retry []Retrier
	Catch []Catcher

	Pass     *Pass
	Task     *Task
	Choice   *Choice
	Wait     *Wait
	Fail     *Fail
	Parallel *Parallel
	Map      *Map
}

// Graphs are the graphs nested in the state: a Parallel's branches, a Map's
// processor.
func (s *State) Graphs() []*Graph {
	switch {
	case s.Parallel != nil:
		return s.Parallel.Branches
	case s.Map != nil:
		return []*Graph{&s.Map.Processor.Graph}
	default:
		return nil
	}
}

// Pass is what only a Pass state has.
type Pass struct {
	// Result is the state's result when HasResult; else its effective input is.
	Result    value.Value
	HasResult bool
}

// Task is what only a Task state has.
type Task struct {
	Resource string
	// Timeout and Heartbeat are nil when the state has no such limit.
	Timeout   *Seconds
	Heartbeat *Seconds
	// Credentials is nil when absent.
	Credentials Expression
}

// Choice is what only a Choice state has.
type Choice struct {
	Rules []Rule
	// Default is nil when the state has none.
	Default *State
}

// Rule is one of a Choice state's choices.
type Rule struct {
	Condition
	Comment string
	Next    *State
	Assign  *Assignment // nil when absent
}

// Fail is what only a Fail state has. Each is nil when absent.
type Fail struct {
	Error Expression
	Cause Expression
}

// Parallel is what only a Parallel state has.
type Parallel struct {
	Branches []*Graph
}

// Map is what only a Map state has.
type Map struct {
	Processor Processor
	// ItemsPath selects the array from the effective input.
	ItemsPath Filter
	// ItemSelector makes each iteration's input; nil passes the item itself.
	// It sees the state's effective input, and the item through the context
	// object. The older Parameters of a Map state are the same thing.
	ItemSelector Expression
	// ItemReader, ItemBatcher and ResultWriter are nil when absent; they exist
	// in distributed mode only.
	ItemReader   *ItemReader
	ItemBatcher  *ItemBatcher
	ResultWriter *ResultWriter
	// Label names the Map run of a distributed Map; "" when absent.
	Label string

	maxConcurrency      *intField
	toleratedCount      *intField
	toleratedPercentage *floatField
}

// Processor is what a Map state does with each item.
type Processor struct {
	Graph
	// Distributed runs every iteration as an execution of its own.
	Distributed bool
	// Express makes those executions EXPRESS; else they are STANDARD.
	Express bool
	// Timeout is how long an iteration may take; 0 is without limit.
	Timeout time.Duration
}

// ItemReader says where a distributed Map reads its items.
type ItemReader struct {
	Resource   string
	Parameters Expression // nil when absent
	Config     ReaderConfig
}

// ReaderConfig says how the items are written.
type ReaderConfig struct {
	// InputType is JSON, JSONL, CSV, MANIFEST or PARQUET; "" for a resource
	// that lists objects.
	InputType string
	// Transformation is NONE or LOAD_AND_FLATTEN, "" when absent.
	Transformation string
	// CSVHeaderLocation is FIRST_ROW or GIVEN; CSVHeaders are the given ones.
	CSVHeaderLocation string
	CSVHeaders        []string
	// CSVDelimiter is COMMA (also when absent), PIPE, SEMICOLON, SPACE or TAB.
	CSVDelimiter string
	// ManifestType is S3_INVENTORY or ATHENA_DATA, "" when absent.
	ManifestType string
	// ItemsPointer is a JSON pointer to the array inside a JSON file.
	ItemsPointer string

	maxItems *intField
}

// ItemBatcher groups the items of a distributed Map.
type ItemBatcher struct {
	// BatchInput is merged into every batch; nil when absent.
	BatchInput Expression

	maxItems *intField
	maxBytes *intField
}

// ResultWriter says where a distributed Map writes its results.
type ResultWriter struct {
	Resource   string
	Parameters Expression // nil when absent
	// Transformation is NONE, COMPACT or FLATTEN, and OutputType is JSON or
	// JSONL; "" when absent.
	Transformation string
	OutputType     string
}

// Filter is an InputPath, OutputPath or ItemsPath. The zero Filter lets
// everything through, as "$" does.
type Filter struct {
	path    *jsonpath.Path // nil for "$"
	discard bool           // null in the definition
}

// Placement is a ResultPath. The zero Placement makes the result the output,
// as "$" does.
type Placement struct {
	ref     *jsonpath.Reference // nil for "$"
	discard bool                // null in the definition
}

// Assignment is an Assign field: what it sets, and to what.
type Assignment struct {
	template Expression
}
