// Package mock gives the answers of Task states from a file, so that every
// path of a state machine can be tested without the services it calls.
//
// The file is MockConfigFile.json as Step Functions Local has it (Step
// Functions developer guide, "Configuration file for mocked service
// integrations"):
//
//	{
//	  "StateMachines": {
//	    "deploy": {"TestCases": {"BuildFlaky": {"Build": "FlakyBuild"}}}
//	  },
//	  "MockedResponses": {
//	    "FlakyBuild": {
//	      "0-1": {"Throw": {"Error": "CodeBuild.Timeout", "Cause": "no answer"}},
//	      "2":   {"Return": {"Build": {"BuildStatus": "SUCCEEDED"}}}
//	    }
//	  }
//	}
//
// The keys of a response count the attempts at the state within an execution,
// from 0. An attempt for which there is no answer fails the execution.
package mock

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"switchyard/asl"
	"switchyard/asl/task"
)

// MaxFile is the largest file that is read, in bytes.
const MaxFile = 16 << 20

// Config is a parsed file. It is safe for concurrent use.
type Config struct {
	machines map[string]map[string]map[string]task.Mock // test cases by machine and name
}

// Load reads the file at path.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read mocks: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read mocks: %w", err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read mocks: %s is larger than %d MiB", path, MaxFile>>20)
	}
	return Parse(path, data)
}

// Parse reads the text of a file. Its error names every mistake with file,
// line and column.
func Parse(file string, data []byte) (*Config, error) {
	p := parser{file: file}
	c := p.parse(data)
	if err := p.mistakes(); err != nil {
		return nil, err
	}
	return c, nil
}

// TestCase gives the mocks of a test case by the names of the states.
func (c *Config) TestCase(machine, name string) (states map[string]task.Mock, ok bool) {
	states, ok = c.machines[machine][name]
	return states, ok
}

// Machines are the names of the state machines that have test cases, sorted.
func (c *Config) Machines() []string { return slices.Sorted(maps.Keys(c.machines)) }

// TestCases are the names of a machine's test cases, sorted.
func (c *Config) TestCases(machine string) []string {
	return slices.Sorted(maps.Keys(c.machines[machine]))
}

// response is one entry of MockedResponses.
type response struct {
	name string
	// answers are in order and follow one another without a gap.
	answers []answer
}

var _ task.Mock = (*response)(nil)

// answer is what the attempts from first to last get.
type answer struct {
	first, last int
	output      json.RawMessage
	throw       *task.Error // nil for output
}

// Answer implements [task.Mock].
func (r *response) Answer(try int) (json.RawMessage, error) {
	for _, a := range r.answers {
		if try > a.last {
			continue
		}
		if a.throw != nil {
			return nil, a.throw
		}
		return a.output, nil
	}
	// States.Runtime is what no Retry and no Catch of States.ALL hides.
	return nil, &task.Error{
		Name:  asl.ErrRuntime,
		Cause: fmt.Sprintf("The mocked response '%s' has no answer for attempt %d: its last one is for attempt %d, counted from 0.", r.name, try, r.answers[len(r.answers)-1].last),
	}
}
