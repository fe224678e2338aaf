package hook

import (
	"encoding/json"
	"testing"
)

func TestThePusherIsToldWhatIsNew(t *testing.T) {
	for answer, want := range map[string]string{
		`{"executions":["a","b","c","d","e","f"],"new":1}`: "1 new execution, 5 already requested",
		`{"executions":["a","b"],"new":0}`:                 "0 new executions, 2 already requested",
		`{"executions":["a","b"],"new":2}`:                 "2 executions",
		`{"executions":["a"],"new":1}`:                     "1 execution",
		`{"executions":["a","b"]}`:                         "2 executions", // from an older version
		`{"executions":[],"new":0}`:                        "0 executions",
	} {
		var r reply
		if err := json.Unmarshal([]byte(answer), &r); err != nil {
			t.Fatal(err)
		}
		if got := r.started(); got != want {
			t.Errorf("%s is told as %q, want %q", answer, got, want)
		}
	}
}
