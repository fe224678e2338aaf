package mock_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/task"
	"switchyard/asl/task/mock"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestConfigAnswersByAttempt(t *testing.T) {
	c, err := mock.Load("testdata/good.json")
	if err != nil {
		t.Fatal(err)
	}
	states, ok := c.TestCase("LeadIntake", "FlakyScore")
	if !ok {
		t.Fatal("the test case is missing")
	}
	type got struct{ Output, Error, Cause string }
	for state, want := range map[string][]got{
		"Score": {
			{Error: "Score.Busy", Cause: "no capacity"},
			{Error: "Score.Timeout"},
			{Error: "Score.Timeout"},
			{Output: `{"score":7}`},
			{Error: "States.Runtime", Cause: "The mocked response 'ScoreAtLast' has no answer for attempt 4: its last one is for attempt 3, counted from 0."},
		},
		"Notify": {
			{Output: `null`},
			{Error: "States.Runtime", Cause: "The mocked response 'Sent' has no answer for attempt 1: its last one is for attempt 0, counted from 0."},
		},
	} {
		var have []got
		for try := range want {
			output, err := states[state].Answer(try)
			g := got{Output: string(output)}
			var thrown *task.Error
			if errors.As(err, &thrown) {
				g.Error, g.Cause = thrown.Name, thrown.Cause
			}
			have = append(have, g)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
	if diff := cmp.Diff([]string{"FlakyScore", "OnlyScore"}, c.TestCases("LeadIntake")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"LeadIntake", "Untested"}, c.Machines()); diff != "" {
		t.Error(diff)
	}
	for _, other := range [][2]string{{"LeadIntake", "flakyscore"}, {"Untested", "FlakyScore"}, {"Nothing", "FlakyScore"}} {
		if _, ok := c.TestCase(other[0], other[1]); ok {
			t.Errorf("%s has the test case %s, want none", other[0], other[1])
		}
	}
}

// Each testdata/*.bad.json has its mistakes beside it, one on a line.
func TestParseNamesEveryMistake(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := mock.Parse("mocks.json", text)
			if err == nil || c != nil {
				t.Fatal("the file was accepted")
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".json") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	_, err := mock.Load(filepath.Join(t.TempDir(), "none.json"))
	if err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("%v, want the name of the file", err)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := mock.Parse("f", text)
		if (c == nil) == (err == nil) {
			t.Fatal(c, err)
		}
		if err != nil {
			return
		}
		for _, machine := range c.Machines() {
			for _, name := range c.TestCases(machine) {
				states, _ := c.TestCase(machine, name)
				for _, m := range states {
					if output, err := m.Answer(0); (output == nil) == (err == nil) {
						t.Fatalf("the first attempt gets %s and %v", output, err)
					}
				}
			}
		}
	})
}
