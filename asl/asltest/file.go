// Package asltest runs tests of state machines: executions in memory whose Task
// states answer what the tests say, under virtual time, so that an hour's Wait
// takes no time.
//
// A test file stands beside its definition, deploy.test.yaml beside
// deploy.asl.json. docs/testing.md describes it for users; [File] is its form.
package asltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"switchyard/asl"
	"switchyard/asl/definition"
	"switchyard/asl/task"
	"switchyard/asl/task/mock"
)

// File is a test file.
type File struct {
	// Path is where it was read.
	Path string `yaml:"-"`
	// Definition is the file with the state machine, relative to the test file.
	// Without it, it is the one beside it that has the same name.
	Definition string `yaml:"definition"`
	// Substitutions fill in the definition's placeholders: ${NAME}.
	Substitutions map[string]string `yaml:"substitutions"`
	// MockFile is a file in the format of MockConfigFile.json whose test cases the
	// tests may name, relative to the test file.
	MockFile string `yaml:"mock_file"`
	// Machine is what the mock file calls the state machine; without it the only
	// one there, else the name of the definition's file.
	Machine string `yaml:"machine"`
	Tests   []Test `yaml:"tests"`

	machine    *asl.Machine
	definition string
	mocks      *mock.Config
}

// Test is one execution and what must come of it.
type Test struct {
	Name string `yaml:"name"`
	// Given is the input, any JSON; {} without it. InputFile is read instead, relative to the
	// test file.
	Given     any    `yaml:"input"`
	InputFile string `yaml:"input_file"`
	// Start is when the execution starts, 2026-01-01T00:00:00Z without it.
	Start time.Time `yaml:"start"`
	// MockCase is a test case of the mock file.
	MockCase string `yaml:"mock_case"`
	// Mocks are what Task states answer, by their names: an answer to each
	// attempt. They come before those of MockCase.
	Mocks  map[string][]Answer `yaml:"mocks"`
	Expect Expect              `yaml:"expect"`

	input string // a JSON text
}

// Answer is what a Task state answers to one or more attempts.
type Answer struct {
	Return any    `yaml:"return"`
	Throw  *Throw `yaml:"throw"`
	// Times is for how many attempts, 1 without it.
	Times int `yaml:"times"`
}

// Throw is an error that Retry and Catch see.
type Throw struct {
	Error string `yaml:"error"`
	Cause string `yaml:"cause"`
}

// Expect is what must come of an execution. What is left out may be anything,
// but for the status.
type Expect struct {
	// Status is SUCCEEDED, FAILED or TIMED_OUT. Without it, it is FAILED where
	// Error or Cause is expected, and else SUCCEEDED.
	Status string `yaml:"status"`
	// Output must be equal, OutputContains be part of it: objects may have more
	// members.
	Output         any    `yaml:"output"`
	OutputContains any    `yaml:"output_contains"`
	Error          string `yaml:"error"`
	Cause          string `yaml:"cause"`
	CauseContains  string `yaml:"cause_contains"`
	// Path are the states in the order in which they are entered, with those in
	// branches and iterations. PathContains may leave out some.
	Path         []string `yaml:"path"`
	PathContains []string `yaml:"path_contains"`
	// Attempts is how often the work of a Task state was tried, by its name.
	Attempts map[string]int `yaml:"attempts"`
	// Calls are the parameters of each attempt at a Task state, by its name;
	// objects may have more members.
	Calls map[string][]any `yaml:"calls"`
	// Took is how long the execution took, by its own clock: 1h30m.
	Took string `yaml:"took"`
}

// suffixes end the names of test files.
var suffixes = []string{".test.yaml", ".test.yml", ".test.json"}

// definitionSuffixes end the names of definitions.
var definitionSuffixes = []string{".asl.json", ".asl.yaml", ".asl.yml"}

// Find lists the test files in folders and below, and the definitions there. A
// path to a file stands for itself.
func Find(paths []string) (tests, definitions []string, err error) {
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
				return fs.SkipDir
			case d.IsDir():
			case hasSuffix(path, suffixes) || path == root:
				tests = append(tests, path)
			case hasSuffix(path, definitionSuffixes):
				definitions = append(definitions, path)
			}
			return nil
		})
		if err != nil {
			return nil, nil, fmt.Errorf("look for tests: %w", err)
		}
	}
	slices.Sort(tests)
	slices.Sort(definitions)
	return slices.Compact(tests), slices.Compact(definitions), nil
}

func hasSuffix(path string, all []string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(path, s) })
}

// maxFile is the largest test file, in bytes.
const maxFile = 16 << 20

// Load reads a test file and its definition, and finds what is wrong with
// them. Errors name the file.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read tests: %w", err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	f := &File{Path: path}
	if err := yaml.UnmarshalWithOptions(text, f, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if err := f.complete(); err != nil {
		return nil, err
	}
	return f, nil
}

// beside is a path as a test file gives it.
func (f *File) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.Path), path)
}

func (f *File) complete() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", f.Path, fmt.Sprintf(format, args...))
	}
	if f.Definition == "" {
		f.Definition = f.neighbour()
		if f.Definition == "" {
			return wrong("there is no definition beside it, such as %s: name it by definition", f.stem()+definitionSuffixes[0])
		}
	}
	text, err := os.ReadFile(f.beside(f.Definition))
	if err != nil {
		return wrong("read the definition: %v", err)
	}
	d := definition.Read(f.Definition, text, f.Substitutions)
	if d.Failed() {
		for _, finding := range d.Findings {
			if finding.Severity == asl.SeverityError {
				err = errors.Join(err, errors.New(finding.Format(f.DefinitionPath())))
			}
		}
		return err
	}
	if f.machine, err = asl.Parse([]byte(d.JSON)); err != nil {
		return wrong("%v", err)
	}
	f.definition = d.JSON
	if f.MockFile != "" {
		if f.mocks, err = mock.Load(f.beside(f.MockFile)); err != nil {
			return err
		}
	}
	if machines := f.machines(); f.Machine == "" && len(machines) == 1 {
		f.Machine = machines[0]
	} else if f.Machine == "" {
		f.Machine = regexp.MustCompile(`[^A-Za-z0-9_-]`).ReplaceAllString(f.stem(), "-")
	}
	if len(f.Tests) == 0 {
		return wrong("it has no tests")
	}
	names := map[string]bool{}
	var all []error
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Name == "" {
			all = append(all, wrong("test %d has no name", i+1))
			continue
		}
		if names[t.Name] {
			all = append(all, wrong("two tests are called %q", t.Name))
		}
		names[t.Name] = true
		if err := t.check(f); err != nil {
			all = append(all, wrong("test %q: %v", t.Name, err))
		}
	}
	return errors.Join(all...)
}

func (f *File) machines() []string {
	if f.mocks == nil {
		return nil
	}
	return f.mocks.Machines()
}

// stem is the file's name without its suffix.
func (f *File) stem() string {
	name := filepath.Base(f.Path)
	for _, s := range suffixes {
		name = strings.TrimSuffix(name, s)
	}
	return name
}

// neighbour is the definition that has the test file's name, "" for none.
func (f *File) neighbour() string {
	for _, s := range definitionSuffixes {
		if _, err := os.Stat(f.beside(f.stem() + s)); err == nil {
			return f.stem() + s
		}
	}
	return ""
}

var statuses = []string{"SUCCEEDED", "FAILED", "TIMED_OUT"}

func (t *Test) check(f *File) error {
	if t.Expect.Status == "" {
		t.Expect.Status = statuses[0]
		if t.Expect.Error != "" || t.Expect.Cause != "" || t.Expect.CauseContains != "" {
			t.Expect.Status = statuses[1]
		}
	}
	if !slices.Contains(statuses, t.Expect.Status) {
		return fmt.Errorf("the status %q is none of %s", t.Expect.Status, strings.Join(statuses, ", "))
	}
	if _, err := time.ParseDuration(t.Expect.Took); t.Expect.Took != "" && err != nil {
		return fmt.Errorf("took: %q is not a valid duration, such as 1h30m", t.Expect.Took)
	}
	if err := t.readInput(f); err != nil {
		return err
	}
	if t.Start.IsZero() {
		t.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for state, list := range t.Mocks {
		for i, a := range list {
			if a.Throw != nil && a.Throw.Error == "" {
				return fmt.Errorf("answer %d of %q throws no error; it is the name that Retry and Catch look for", i+1, state)
			}
			if a.Throw != nil && a.Return != nil {
				return fmt.Errorf("answer %d of %q has both return and throw; keep one", i+1, state)
			}
		}
	}
	for _, state := range t.states() {
		if s := f.machine.Find(state); s == nil {
			return fmt.Errorf("the definition has no state %q", state)
		}
	}
	for state := range t.Mocks {
		if s := f.machine.Find(state); s.Task == nil {
			return fmt.Errorf("only Task states have mocks, and %q is a %s", state, s.Type)
		}
	}
	if t.MockCase == "" {
		return nil
	}
	if f.mocks == nil {
		return fmt.Errorf("mock_case %q needs a mock_file that has it", t.MockCase)
	}
	if _, ok := f.mocks.TestCase(f.Machine, t.MockCase); !ok {
		return fmt.Errorf("%s has no test case %q for the state machine %q, but %s", f.MockFile, t.MockCase, f.Machine, strings.Join(f.mocks.TestCases(f.Machine), ", "))
	}
	return nil
}

// states are all names of states in the test.
func (t *Test) states() []string {
	all := slices.Concat(t.Expect.Path, t.Expect.PathContains)
	for name := range t.Mocks {
		all = append(all, name)
	}
	for name := range t.Expect.Attempts {
		all = append(all, name)
	}
	for name := range t.Expect.Calls {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readInput sets the execution's input.
func (t *Test) readInput(f *File) error {
	text := []byte("{}")
	var err error
	switch {
	case t.Given != nil && t.InputFile != "":
		return errors.New("it has both input and input_file; keep one")
	case t.InputFile != "":
		if text, err = os.ReadFile(f.beside(t.InputFile)); err == nil && !json.Valid(text) {
			err = fmt.Errorf("input_file: %s is not JSON", t.InputFile)
		}
	case t.Given != nil:
		text, err = json.Marshal(t.Given)
	}
	t.input = string(text)
	return err
}

// answers are a state's mocks, with how many were used.
type answers struct {
	state string
	list  []Answer

	mu   sync.Mutex // iterations of a Map ask at once
	most int        // attempts seen
}

// Answer implements [task.Mock].
func (a *answers) Answer(try int) (json.RawMessage, error) {
	a.mu.Lock()
	a.most = max(a.most, try+1)
	a.mu.Unlock()
	left := try
	for _, an := range a.list {
		if left -= max(an.Times, 1); left >= 0 {
			continue
		}
		if an.Throw != nil {
			return nil, &task.Error{Name: an.Throw.Error, Cause: an.Throw.Cause}
		}
		return json.Marshal(an.Return)
	}
	// States.Runtime is what no Retry and no Catch of States.ALL hides.
	return nil, &task.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The test has %d answers for the state '%s', and this is attempt %d.", a.count(), a.state, try+1)}
}

// tried is how many attempts at the state there were.
func (a *answers) tried() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most
}

func (a *answers) count() int {
	n := 0
	for _, an := range a.list {
		n += max(an.Times, 1)
	}
	return n
}

// DefinitionPath is where the definition was read.
func (f *File) DefinitionPath() string { return f.beside(f.Definition) }

// Stamp is a text that differs when a file that tests may read has changed in
// one of these folders or below.
func Stamp(paths []string) string {
	var b strings.Builder
	for _, root := range paths {
		// A file that cannot be looked at is one that changes nothing.
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // see above
			}
			switch filepath.Ext(path) {
			case ".json", ".yaml", ".yml":
				if info, infoErr := d.Info(); infoErr == nil {
					fmt.Fprintln(&b, path, info.ModTime().UnixNano(), info.Size())
				}
			}
			return nil
		})
	}
	return b.String()
}
