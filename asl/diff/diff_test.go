package diff_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/diff"
	"switchyard/asl/value"
)

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func told(t testing.TB, old, now string) string {
	t.Helper()
	var out strings.Builder
	if err := diff.Compare(parse(t, old), parse(t, now)).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const old = `{"StartAt":"Fetch","TimeoutSeconds":60,"States":{
	"Fetch":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"fetch","Payload":{"n":1}},"Next":"Which",
		"Retry":[{"ErrorEquals":["Busy"],"MaxAttempts":2},{"ErrorEquals":["States.ALL"]}],
		"Catch":[{"ErrorEquals":["Gone"],"Next":"Skip"},{"ErrorEquals":["States.ALL"],"Next":"Stop"}]},
	"Which":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericEquals":1,"Next":"Both"},{"Variable":"$.n","NumericEquals":2,"Next":"Skip"}],"Default":"Stop"},
	"Both":{"Type":"Parallel","Next":"Skip","Branches":[
		{"StartAt":"L","States":{"L":{"Type":"Wait","Seconds":5,"End":true}}},
		{"StartAt":"R","States":{"R":{"Type":"Pass","Result":7,"End":true}}}]},
	"Skip":{"Type":"Succeed"},
	"Stop":{"Type":"Fail","Error":"Stopped"}}}`

func TestWhatChangesIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		edit []string // of old, in pairs
		want string
	}{
		"nothing, but for blanks and comments of none": {[]string{`"TimeoutSeconds":60,`, ` "TimeoutSeconds" : 60 ,`}, "no difference\n"},
		"the machine": {[]string{`"TimeoutSeconds":60`, `"TimeoutSeconds":90`}, "~ state machine\n    ~ TimeoutSeconds: 60 → 90\n"},
		"a field deep inside, a transition": {[]string{`"n":1}},"Next":"Which"`, `"n":2}},"Next":"Both"`},
			"~ \"Fetch\" (Task)\n    ~ Parameters/Payload/n: 1 → 2\n    ~ Next: \"Which\" → \"Both\"\n\nstates: 1 changed, 0 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"a catcher before others, a retrier less": {[]string{`"Catch":[`, `"Catch":[{"ErrorEquals":["Late"],"Next":"Stop"},`, `{"ErrorEquals":["Busy"],"MaxAttempts":2},`, ``},
			"~ \"Fetch\" (Task)\n    - Retry[0]: {\"ErrorEquals\":[\"Busy\"],\"MaxAttempts\":2}\n    + Catch[0]: {\"ErrorEquals\":[\"Late\"],\"Next\":\"Stop\"}\n\nstates: 1 changed, 0 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"a retrier tries more often, a catcher leads elsewhere": {[]string{`"MaxAttempts":2`, `"MaxAttempts":5`, `["Gone"],"Next":"Skip"`, `["Gone"],"Next":"Stop"`},
			"~ \"Fetch\" (Task)\n    ~ Retry[0]/MaxAttempts: 2 → 5\n    ~ Catch[0]/Next: \"Skip\" → \"Stop\"\n\nstates: 1 changed, 0 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"rules in another order": {[]string{`{"Variable":"$.n","NumericEquals":1,"Next":"Both"},{"Variable":"$.n","NumericEquals":2,"Next":"Skip"}`, `{"Variable":"$.n","NumericEquals":2,"Next":"Skip"},{"Variable":"$.n","NumericEquals":1,"Next":"Both"}`},
			"~ \"Which\" (Choice)\n    ~ Choices: tried in another order\n\nstates: 1 changed, 0 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"a new name": {[]string{`"Stop"`, `"Halt"`},
			"> \"Stop\" is now \"Halt\" (Fail)\n\nstates: 0 changed, 1 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"a new name for what holds others, and for the start": {[]string{`"Both"`, `"Together"`, `"Fetch"`, `"Get"`},
			"> \"Fetch\" is now \"Get\" (Task)\n> \"Both\" is now \"Together\" (Parallel)\n\nstates: 0 changed, 2 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"a new name and another field": {[]string{`"L":{"Type":"Wait","Seconds":5`, `"Left":{"Type":"Wait","Seconds":6`, `"StartAt":"L"`, `"StartAt":"Left"`},
			"> \"L\" is now \"Left\" (Wait)\n    ~ Seconds: 5 → 6\n\nstates: 0 changed, 1 renamed, 0 removed, 0 added; executions could go on in each\n"},
		"another type": {[]string{`"L":{"Type":"Wait","Seconds":5`, `"L":{"Type":"Pass"`},
			"~ \"L\" (Pass)\n    ! executions in it could not go on: it is a Pass state now, and was a Wait state\n    ~ Type: \"Wait\" → \"Pass\"\n    - Seconds: 5\n\nstates: 1 changed, 0 renamed, 0 removed, 0 added; executions could not go on in 1\n"},
		"a branch less": {[]string{`,
		{"StartAt":"R","States":{"R":{"Type":"Pass","Result":7,"End":true}}}`, ``},
			"~ \"Both\" (Parallel)\n    - Branches[1]/StartAt: \"R\"\n- \"R\" (Pass)\n    ! executions in it could not go on: there is no such state any more\n\nstates: 1 changed, 0 renamed, 1 removed, 0 added; executions could not go on in 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			now := strings.NewReplacer(tt.edit...).Replace(old)
			if now == old {
				t.Fatal("the edit changes nothing")
			}
			if d := cmp.Diff(tt.want, told(t, old, now)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestWhereExecutionsCouldNotGoOn(t *testing.T) {
	for name, tt := range map[string]struct {
		old, now string
		want     map[string]string
	}{
		"into a branch": {
			`{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":1,"Next":"P"},"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}]}}}`,
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":1,"Next":"B"},"B":{"Type":"Succeed"}}}]}}}`,
			map[string]string{"A": `it is in branch 1 of "P" now, and was outside of other states`},
		},
		"into another branch": {
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"A","States":{"A":{"Type":"Succeed"}}},{"StartAt":"B","States":{"B":{"Type":"Fail"}}}]}}}`,
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Fail"}}},{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}]}}}`,
			map[string]string{"A": `it is in branch 2 of "P" now, and was in branch 1 of "P"`, "B": `it is in branch 1 of "P" now, and was in branch 2 of "P"`},
		},
		"out of a Map": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"Iterator":{"StartAt":"I","States":{"I":{"Type":"Wait","Seconds":9,"End":true}}}}}}`,
			`{"StartAt":"I","States":{"I":{"Type":"Wait","Seconds":9,"End":true}}}`,
			map[string]string{"M": "there is no such state any more", "I": `it is outside of other states now, and was in branch 1 of "M"`},
		},
		"a Map that becomes distributed": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Succeed"}}}}}}`,
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"I","States":{"I":{"Type":"Succeed"}}}}}}`,
			map[string]string{"M": "its items are executions of their own now"},
		},
		"an old name for what a Map does": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"Iterator":{"StartAt":"I","States":{"I":{"Type":"Succeed"}}}}}}`,
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Succeed"}}}}}}`,
			map[string]string{},
		},
		// Both do the same: which one is which, nobody can tell.
		"two that were alike": {
			`{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":1,"Next":"B"},"B":{"Type":"Wait","Seconds":1,"Next":"C"},"C":{"Type":"Succeed"}}}`,
			`{"StartAt":"X","States":{"X":{"Type":"Pass","Next":"Y"},"Y":{"Type":"Wait","Seconds":1,"Next":"Z"},"Z":{"Type":"Wait","Seconds":1,"End":true}}}`,
			map[string]string{"A": "there is no such state any more", "B": "there is no such state any more", "C": "there is no such state any more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			d := diff.Compare(parse(t, tt.old), parse(t, tt.now))
			for _, s := range d.States {
				if s.Stranded != "" {
					got[s.Name] = s.Stranded
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || d.Stranded() != len(tt.want) {
				t.Errorf("%d stranded; -want +got\n%s", d.Stranded(), diff)
			}
		})
	}
}

func TestJSONHasBothSides(t *testing.T) {
	now := strings.NewReplacer(`"Error":"Stopped"`, `"Error":"Halted","Cause":"c"`, `"TimeoutSeconds":60,`, ``).Replace(old)
	got, err := json.Marshal(diff.Compare(parse(t, old), parse(t, now)))
	want := `{"same":false,"stranded":0,"machine":[{"kind":"field","path":"TimeoutSeconds","old":60}],"states":[{"name":"Stop","type":"Fail","change":"changed",` +
		`"parts":[{"kind":"field","path":"Error","old":"Stopped","new":"Halted"},{"kind":"field","path":"Cause","new":"c"}]}]}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if got, err := json.Marshal(diff.Compare(parse(t, old), parse(t, old))); err != nil || string(got) != `{"same":true,"stranded":0,"machine":[],"states":[]}` {
		t.Errorf("%v %s", err, got)
	}
}

func TestNamesCannotSteerATerminal(t *testing.T) {
	if got := told(t, `{"States":{}}`, `{"States":{"\u001b[2J":{"Type":"Succeed"}}}`); strings.ContainsRune(got, 0x1b) {
		t.Errorf("%q", got)
	}
}

// FuzzCompare: whatever the JSON, it ends without a panic, and a definition does
// not differ from itself.
func FuzzCompare(f *testing.F) {
	f.Add(old, strings.ReplaceAll(old, `"Stop"`, `"Halt"`))
	f.Add(`{"States":[1]}`, `{"States":{"A":{"Branches":{"x":1},"Catch":{"y":2},"Retry":[5]}}}`)
	f.Add(`{"StartAt":5,"States":{"A":{"Type":"Map","Iterator":[],"Next":[]}}}`, `null`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := value.Parse([]byte(a))
		y, errY := value.Parse([]byte(b))
		if errX != nil || errY != nil {
			return
		}
		diff.Compare(x, y)
		if d := diff.Compare(x, x); !d.Same() {
			t.Errorf("%s differs from itself: %+v", a, d)
		}
	})
}
