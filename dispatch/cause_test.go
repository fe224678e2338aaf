package dispatch

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// nested wraps a cause as the failure of a nested execution.
func nested(cause string) string {
	text, _ := json.Marshal(map[string]any{
		"ExecutionArn": "arn:aws:states:eu-west-1:123456789012:execution:child:x", "Status": "FAILED",
		"Error": "States.TaskFailed", "Cause": cause, "Input": `{"a":1}`,
	})
	return string(text)
}

const failedBuild = `{"Build":{"Id":"p:1","BuildStatus":"FAILED","CurrentPhase":"COMPLETED","Phases":[
	{"PhaseType":"SUBMITTED","PhaseStatus":"SUCCEEDED"},{"PhaseType":"DOWNLOAD_SOURCE","PhaseStatus":"SUCCEEDED","Contexts":[]},
	{"PhaseType":"BUILD","PhaseStatus":"FAILED","Contexts":[{"StatusCode":"COMMAND_EXECUTION_ERROR","Message":"Error while executing command: make test. Reason: exit status 2"}]},
	{"PhaseType":"POST_BUILD","PhaseStatus":"FAILED","Contexts":[{"StatusCode":"COMMAND_EXECUTION_ERROR","Message":"Error while executing command: ./upload. Reason: exit status 1"}]},
	{"PhaseType":"COMPLETED"}]}}`

func TestDescribeErrorSaysWhatFailed(t *testing.T) {
	for name, row := range map[string]struct{ error, cause, want string }{
		"name and cause":        {"Broken", "on purpose\nsecond line", "Failed: Broken: on purpose"},
		"name alone":            {"Broken", "", "Failed: Broken"},
		"nothing is said":       {"", "", "Failed"},
		"JSON without a reason": {"States.TaskFailed", `{"Build":{"Id":"x"}}`, "Failed: States.TaskFailed"},
		"a list":                {"States.TaskFailed", `[1,2]`, "Failed: States.TaskFailed"},
		"a number":              {"Broken", `17`, "Failed: Broken: 17"},

		"CodeBuild":                       {"States.TaskFailed", failedBuild, "Failed: BUILD: make test: exit status 2"},
		"CodeBuild, in its own case":      {"States.TaskFailed", `{"buildStatus":"FAILED","phases":[{"phaseType":"INSTALL","phaseStatus":"FAILED","contexts":[{"statusCode":"COMMAND_EXECUTION_ERROR","message":"Error while executing command: npm ci. Reason: exit status 254"}]}]}`, "Failed: INSTALL: npm ci: exit status 254"},
		"CodeBuild, not a command":        {"States.TaskFailed", `{"Phases":[{"PhaseType":"DOWNLOAD_SOURCE","PhaseStatus":"CLIENT_ERROR","Contexts":[{"StatusCode":"GIT_CLONE_FAILED","Message":"reference not found for primary source\nand more"}]}]}`, "Failed: DOWNLOAD_SOURCE: reference not found for primary source"},
		"CodeBuild, without a message":    {"States.TaskFailed", `{"Phases":[{"PhaseType":"BUILD","PhaseStatus":"TIMED_OUT","Contexts":[{"StatusCode":"","Message":""}]}]}`, "Failed: BUILD: timed out"},
		"CodeBuild, several lines":        {"States.TaskFailed", `{"Phases":[{"PhaseType":"BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"Error while executing command: set -e\nmake all\nmake test. Reason: exit status 1"}]}]}`, "Failed: BUILD: set -e…: exit status 1"},
		"CodeBuild, long command":         {"States.TaskFailed", `{"Phases":[{"PhaseType":"PRE_BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"Error while executing command: ` + strings.Repeat("echo ", 100) + `. Reason: exit status 127"}]}]}`, "Failed: PRE_BUILD: " + strings.Repeat("echo ", 11) + "ec…: exit status 127"},
		"CodeBuild, cut off":              {"States.TaskFailed", failedBuild[:len(failedBuild)-40], "Failed: make test: exit status 2"},
		"nested execution":                {"States.TaskFailed", nested(failedBuild), "Failed: BUILD: make test: exit status 2"},
		"nested twice":                    {"States.TaskFailed", nested(nested(failedBuild)), "Failed: BUILD: make test: exit status 2"},
		"nested, plain":                   {"States.TaskFailed", nested("no such table"), "Failed: no such table"},
		"nested, name only":               {"States.TaskFailed", `{"Error":"Broken","Cause":""}`, "Failed: Broken"},
		"cause as an object":              {"States.TaskFailed", `{"Error":"E","Cause":{"errorMessage":"deep"}}`, "Failed: deep"},
		"Lambda":                          {"ValueError", `{"errorMessage":"invalid literal","errorType":"ValueError","requestId":"1","stackTrace":["a"]}`, "Failed: ValueError: invalid literal"},
		"Lambda, several lines":           {"Error", `{"errorType":"Error","errorMessage":"first\nsecond","trace":[]}`, "Failed: Error: first"},
		"Lambda, JSON as message":         {"Error", `{"errorType":"Error","errorMessage":"{\"message\":\"no stock\"}"}`, "Failed: Error: no stock"},
		"Lambda that exited":              {"Runtime.ExitError", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 7 Error: Runtime exited with error: exit status 1"}`, "Failed: Runtime.ExitError: RequestId: 7 Error: Runtime exited with error: exit status 1"},
		"ECS":                             {"States.TaskFailed", `{"Containers":[{"Name":"proxy","ExitCode":0},{"Name":"app","ExitCode":137,"Reason":"OutOfMemoryError: Container killed due to memory usage"}],"StoppedReason":"Essential container in task exited"}`, "Failed: container app: exit code 137: OutOfMemoryError: Container killed due to memory usage"},
		"ECS, container without a code":   {"States.TaskFailed", `{"Containers":[{"Name":"app","Reason":"CannotPullContainerError: no such image"}],"StoppedReason":"Task failed to start"}`, "Failed: container app: CannotPullContainerError: no such image"},
		"ECS, only the task's reason":     {"States.TaskFailed", `{"Containers":[{"Name":"app","LastStatus":"STOPPED"}],"StoppedReason":"Host EC2 (instance i-1) terminated."}`, "Failed: Host EC2 (instance i-1) terminated."},
		"ECS that could not place it":     {"ECS.AmazonECSException", `{"Failures":[{"Arn":"a","Reason":"RESOURCE:MEMORY"}],"Tasks":[]}`, "Failed: ECS.AmazonECSException: RESOURCE:MEMORY"},
		"Batch":                           {"States.TaskFailed", `{"JobName":"j","Status":"FAILED","StatusReason":"Essential container in task exited","Container":{"ExitCode":3,"Image":"x"}}`, "Failed: container: exit code 3"},
		"Batch without a container":       {"States.TaskFailed", `{"Status":"FAILED","StatusReason":"Host EC2 terminated"}`, "Failed: Host EC2 terminated"},
		"Glue":                            {"States.TaskFailed", `{"JobName":"j","JobRunState":"FAILED","ErrorMessage":"Command failed with exit code 1"}`, "Failed: Command failed with exit code 1"},
		"HTTP":                            {"States.Http.StatusCode.404", `{"StatusCode":404,"StatusText":"Not Found","ResponseBody":"<html>"}`, "Failed: States.Http.StatusCode.404: 404 Not Found"},
		"fields of other types":           {"States.TaskFailed", `{"Phases":7,"Containers":{"a":1},"ErrorMessage":["x"],"StatusReason":"as it says"}`, "Failed: as it says"},
		"a name that the cause repeats":   {"Broken", "Broken: on purpose", "Failed: Broken: on purpose"},
		"escape sequences and overrides":  {"Br\x1b[31moken", "\u202egnp.exe\x00\r", `Failed: Br\x1b[31moken: \u202egnp.exe\x00`},
		"escape sequences within JSON":    {"States.TaskFailed", `{"errorMessage":"\u001b]0;owned\u0007 red"}`, `Failed: \x1b]0;owned\x07 red`},
		"a cause without end":             {"States.TaskFailed", strings.Repeat(`{"Cause":`, 5000), "Failed: States.TaskFailed"},
		"a JSON text in a JSON text":      {"E", `"plain text"`, "Failed: E: plain text"},
		"a text that only begins as JSON": {"E", `{not JSON}`, "Failed: E"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describeError("Failed", row.error, row.cause); got != row.want {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
		})
	}
}

func FuzzDescribeErrorFitsAStatus(f *testing.F) {
	f.Add("States.TaskFailed", failedBuild)
	f.Add("E", nested(nested(`{"errorMessage":"日本"}`)))
	f.Add("\xff", "{\"Cause\":\"\\ud800\"")
	f.Fuzz(func(t *testing.T, name, cause string) {
		got := describeError("Failed after 12h34m56s", name, cause)
		if utf8.RuneCountInString(got) > maxDescription || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\x1b\u202e") {
			t.Errorf("%q", got)
		}
	})
}
