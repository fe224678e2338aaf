package dispatch

import "testing"

func TestDescribeErrorIsForPeople(t *testing.T) {
	for name, row := range map[string]struct{ error, cause, want string }{
		"name and cause":  {"Broken", "on purpose\nsecond line", "Failed: Broken: on purpose"},
		"name alone":      {"Broken", "", "Failed: Broken"},
		"cause in JSON":   {"States.TaskFailed", `{"Build":{"Id":"x"}}`, "Failed: States.TaskFailed"},
		"nothing is said": {"", "", "Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describeError("Failed", row.error, row.cause); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
