package asltest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// covered runs tests of a definition, which must pass, and returns the points
// that they came by.
func covered(t *testing.T, definition, tests string) []string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m.asl.json"), definition)
	write(t, filepath.Join(dir, "m.test.yaml"), tests)
	f, err := Load(filepath.Join(dir, "m.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := f.NewCoverage()
	for i := range f.Tests {
		r, err := f.Run(t.Context(), &f.Tests[i], c)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Passed() {
			t.Fatalf("%s: %s", r.Name, strings.Join(r.Differences, "\n"))
		}
	}
	var all []string
	for _, p := range c.points {
		if p.Covered && p.Kind != States {
			all = append(all, p.State+" "+p.Text)
		}
	}
	return all
}

// parallel tries its branches three times in all.
const parallel = `{"StartAt":"P","States":{
	"P":{"Type":"Parallel","End":true,
		"Branches":[
			{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"QueueUrl":"q","MessageBody":"b"},"End":true}}},
			{"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":60,"End":true}}}],
		"Retry":[{"ErrorEquals":["Rare"]},{"ErrorEquals":["Flaky"],"MaxAttempts":2}],
		"Catch":[{"ErrorEquals":["Rare"],"Next":"F"},{"ErrorEquals":["Flaky"],"Next":"F"}]},
	"F":{"Type":"Pass","End":true}}}`

func TestCoverageOfRetryAndCatchAroundBranches(t *testing.T) {
	for _, tt := range []struct {
		name, answers string
		want          []string
	}{
		{"a retry that goes well", "[{throw: {error: Flaky}}, {return: 1}]", []string{"P → end", "P Retry Flaky", "A → end", "B → end"}},
		{"a retry that does not", "[{throw: {error: Flaky}, times: 3}]", []string{"P Catch Flaky → F", "P Retry Flaky", "F → end"}},
		{"the clause that fits", "[{throw: {error: Rare}, times: 4}]", []string{"P Catch Rare → F", "P Retry Rare", "F → end"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := covered(t, parallel, "tests: [{name: x, mocks: {A: "+tt.answers+"}}]")
			if !slices.Equal(got, tt.want) {
				t.Errorf("covered is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCoverageOfChildren(t *testing.T) {
	got := covered(t, `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"MaxConcurrency":1,
		"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"A","States":{
			"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"QueueUrl":"q","MessageBody":"b"},"Next":"E"},"E":{"Type":"Succeed"}}}}}}`,
		"tests: [{name: x, input: [1, 2], mocks: {A: [{return: 1}]}, expect: {output: [1, 1], path: [M, A, E, A, E], attempts: {A: 2}}}]")
	if want := []string{"M → end", "A → E"}; !slices.Equal(got, want) {
		t.Errorf("covered is %q, want %q", got, want)
	}
}

// Rules that lead to the same state are told apart, and what tells them apart is
// nowhere to be seen.
func TestCoverageOfRulesWithTheSameNext(t *testing.T) {
	const definition = `{"StartAt":"C","States":{
		"C":{"Type":"Choice","Default":"E","Choices":[
			{"Variable":"$.n","NumericEquals":1,"Next":"E"},
			{"Variable":"$.n","NumericEquals":2,"Next":"rule 1"},
			{"Variable":"$.n","NumericEquals":3,"Next":"E"}]},
		"rule 1":{"Type":"Pass","Next":"E"},
		"E":{"Type":"Succeed"}}}`
	for input, want := range map[string]string{
		"{n: 1}": "C rule 1 ($.n == 1) → E", "{n: 3}": "C rule 3 ($.n == 3) → E", "{n: 4}": "C Default → E",
	} {
		got := covered(t, definition, "tests: [{name: x, input: "+input+", expect: {path: [C, E], output: "+input+"}}]")
		if !slices.Equal(got, []string{want}) {
			t.Errorf("with %s covered is %q, want %q alone", input, got, want)
		}
	}
}

// What breaks a definition breaks one of its tests.
func TestMutationsAreSeen(t *testing.T) {
	const tests = `
tests:
  - {name: retried, mocks: {A: [{throw: {error: Flaky}}, {return: 1}]}, expect: {output: [1, {}], took: 1m1s}}
  - {name: caught, mocks: {A: [{throw: {error: Flaky}, times: 3}]}, expect: {path_contains: [F]}}
`
	for _, mutation := range [][2]string{
		{`"MaxAttempts":2`, `"MaxAttempts":1`},
		{`{"ErrorEquals":["Rare"],"Next":"F"},{"ErrorEquals":["Flaky"],"Next":"F"}`, `{"ErrorEquals":["Rare"],"Next":"F"}`},
		{`"Seconds":60`, `"Seconds":61`},
	} {
		dir := t.TempDir()
		mutant := strings.Replace(parallel, mutation[0], mutation[1], 1)
		write(t, filepath.Join(dir, "m.asl.json"), mutant)
		write(t, filepath.Join(dir, "m.test.yaml"), tests)
		f, err := Load(filepath.Join(dir, "m.test.yaml"))
		if err != nil {
			t.Fatalf("%v\n%s", err, mutant)
		}
		failed := 0
		for i := range f.Tests {
			r, err := f.Run(t.Context(), &f.Tests[i], f.NewCoverage())
			if err != nil {
				t.Fatal(err)
			}
			if !r.Passed() {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s instead of %s fails no test", mutation[1], mutation[0])
		}
	}
}

func TestWaitingForNobodyIsSaid(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m.asl.json"), `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:us-east-1:123456789012:activity:a","End":true}}}`)
	write(t, filepath.Join(dir, "m.test.yaml"), "tests: [{name: x}]")
	f, err := Load(filepath.Join(dir, "m.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Run(t.Context(), &f.Tests[0], f.NewCoverage())
	if err != nil {
		t.Fatal(err)
	}
	if r.Passed() {
		t.Error("a test of an activity without a mock passed")
	}
}

func TestStampTellsChanges(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.test.yaml")
	write(t, file, "a")
	before := Stamp([]string{dir})
	if again := Stamp([]string{dir}); again != before {
		t.Errorf("nothing changed, and the stamp is %q and %q", before, again)
	}
	write(t, file, "ab")
	if Stamp([]string{dir}) == before {
		t.Error("a file changed, and the stamp did not")
	}
}

// The race detector looks on.
func TestIterationsAskTheirMocksAtOnce(t *testing.T) {
	covered(t, `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"StartAt":"A","States":{
		"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"QueueUrl":"q","MessageBody":"b"},"End":true}}},"End":true}}}`, `
definition: m.asl.json
tests:
  - name: many at once
    input: [1, 2, 3, 4, 5, 6, 7, 8]
    mocks:
      A: [{return: {}, times: 8}]
    expect: {status: SUCCEEDED}
`)
}
