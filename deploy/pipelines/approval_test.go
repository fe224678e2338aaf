package pipelines_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task/mock"
	"switchyard/deploy/pipelines"
)

// walk runs a test case of the approval pipeline, and returns the states in the
// order in which it entered them, with the tries of each Task, and its end.
func walk(t *testing.T, testCase, input string) (states []string, ended *engine.Execution) {
	t.Helper()
	mocks, err := mock.Load("approval/mocks.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store.NewMemory(), engine.Config{}, engine.WithMocks(mocks), engine.WithVirtualTime(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "approval", Definition: string(pipelines.Approval), RoleARN: "arn:aws:iam::123456789012:role/r"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.StartExecution(ctx, engine.Start{MachineARN: m.ARN + "#" + testCase, Name: "x", Input: input})
	if err != nil {
		t.Fatal(err)
	}
	for {
		x, err := e.DescribeExecution(ctx, s.ExecutionARN)
		if err != nil {
			t.Fatal(err)
		}
		if x.Status != store.Running {
			ended = x
			break
		}
		time.Sleep(time.Millisecond)
	}
	events, _, err := e.History(ctx, s.ExecutionARN, 0, false, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		switch ev := &events[i]; {
		case strings.HasSuffix(ev.Type.String(), "StateEntered"):
			states = append(states, ev.Name)
		case ev.Type == history.TaskFailed, ev.Type == history.TaskSubmitFailed: // a mock answers for the holder of the token too
			states[len(states)-1] += "!"
		}
	}
	return states, ended
}

func input(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("approval/input.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each test case of the mocks takes the way that it is for; together they take
// every transition, Catch and Retry that the definition has.
func TestApprovalTakesEveryWay(t *testing.T) {
	begin := "Defaults AreThereSettings MergeSettings "
	want := map[string]struct{ way, end string }{
		"Approved":                     {"Ask IsThisCommitApproved Deploy", "SUCCEEDED"},
		"ApprovedAfterRetries":         {"Ask!!! IsThisCommitApproved Deploy", "SUCCEEDED"},
		"Rejected":                     {"Ask! Rejected", "Switchyard.Rejected: rejected by ada: not on a Friday"},
		"NotAsked":                     {"Ask! NotAsked", "Switchyard.ApprovalRefused: the approval asks for another environment"},
		"BusDown":                      {"Ask!!!! NotAsked", "EventBridge.FailedEntry: InternalFailure"},
		"ApprovedByOthers":             {"Ask! AskOthers IsThisCommitApproved Deploy", "SUCCEEDED"},
		"ApprovedByOthersAfterRetries": {"Ask! AskOthers!!! IsThisCommitApproved Deploy", "SUCCEEDED"},
		"RejectedByOthers":             {"Ask! AskOthers! Rejected", "Switchyard.Rejected: rejected by ada: not on a Friday"},
		"OthersNotAsked":               {"Ask! AskOthers! NotAsked", "Switchyard.ApprovalRefused: the approval asks for another environment"},
		"Unanswered":                   {"Ask! AskOthers! Unanswered", "Switchyard.Unanswered: Nobody approved or rejected it in time, nor did those it was escalated to."},
		"Expired":                      {"Ask! AskOthers! Unanswered", "Switchyard.Unanswered: Nobody approved or rejected it in time, nor did those it was escalated to."},
		"AnotherCommit":                {"Ask IsThisCommitApproved AnotherCommit", "Switchyard.AnotherCommit: The approval is for another commit than the one that would go out."},
		"DeployFails":                  {"Ask IsThisCommitApproved Deploy!", `States.TaskFailed: {"Build":{"BuildStatus":"FAILED"}}`},
	}
	var mocked struct {
		StateMachines struct {
			Approval struct{ TestCases map[string]any }
		}
	}
	text, err := os.ReadFile("approval/mocks.json")
	if err == nil {
		err = json.Unmarshal(text, &mocked)
	}
	if err != nil || len(mocked.StateMachines.Approval.TestCases) != len(want) {
		t.Fatalf("%d test cases, %d are known here, %v", len(mocked.StateMachines.Approval.TestCases), len(want), err)
	}
	visited, taken := map[string]bool{}, map[string]bool{}
	note := func(states []string) {
		for i, s := range states {
			visited[strings.TrimRight(s, "!")] = true
			if i > 0 {
				taken[strings.TrimRight(states[i-1], "!")+" -> "+strings.TrimRight(s, "!")] = true
			}
		}
	}
	for name, w := range want {
		states, x := walk(t, name, input(t))
		if d := cmp.Diff(begin+w.way, strings.Join(states, " ")); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		end := x.Status.String()
		if x.Error != "" {
			end = x.Error + ": " + x.Cause
		}
		if end != w.end {
			t.Errorf("%s ends with %s, want %s", name, end, w.end)
		}
		note(states)
	}
	bare := strings.Replace(input(t), `"approval"`, `"no_approval"`, 1)
	states, x := walk(t, "Approved", bare)
	if way := strings.Join(states, " "); way != "Defaults AreThereSettings UseDefaults Ask IsThisCommitApproved Deploy" || x.Status != store.Succeeded {
		t.Errorf("without settings: %s, %v", way, x.Status)
	}
	note(states)
	all, between := graph(t)
	for _, s := range all {
		if !visited[s] {
			t.Errorf("no test case visits %s", s)
		}
	}
	for _, s := range between {
		if !taken[s] {
			t.Errorf("no test case goes %s", s)
		}
	}
}

// graph lists the states of the approval pipeline and the ways between them.
func graph(t *testing.T) (states, ways []string) {
	t.Helper()
	type next struct{ Next string }
	var d struct {
		States map[string]struct {
			Next, Default  string
			Choices, Catch []next
		}
	}
	if err := json.Unmarshal(pipelines.Approval, &d); err != nil {
		t.Fatal(err)
	}
	for name, s := range d.States {
		states = append(states, name)
		for _, n := range slices.Concat([]next{{s.Next}, {s.Default}}, s.Choices, s.Catch) {
			if n.Next != "" {
				ways = append(ways, name+" -> "+n.Next)
			}
		}
	}
	return states, ways
}

func TestDefinitionsAreFreeOfFindings(t *testing.T) {
	paths, err := filepath.Glob("*/*.asl.json")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range asl.Validate(text) {
			t.Error(d.Format(path))
		}
	}
}

// The policy allows what the definition's states call, and no other events.
func TestApprovalPolicy(t *testing.T) {
	var policy struct {
		Statement []struct {
			Action    json.RawMessage
			Condition struct{ StringEquals map[string]string }
		}
	}
	text, err := os.ReadFile("approval/policy.json")
	if err == nil {
		err = json.Unmarshal(text, &policy)
	}
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]map[string]string{}
	for _, s := range policy.Statement {
		var one string
		var several []string
		if json.Unmarshal(s.Action, &one) == nil {
			several = []string{one}
		} else if err := json.Unmarshal(s.Action, &several); err != nil {
			t.Fatal(err)
		}
		for _, a := range several {
			allowed[a] = s.Condition.StringEquals
		}
	}
	// https://docs.aws.amazon.com/step-functions/latest/dg/codebuild-iam.html
	for _, action := range []string{"events:PutEvents", "codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "events:PutTargets", "events:PutRule", "events:DescribeRule"} {
		where, ok := allowed[action]
		if !ok {
			t.Errorf("%s is not allowed", action)
		}
		asks := map[string]string{"events:source": "switchyard", "events:detail-type": "Approval requested"}
		if d := cmp.Diff(asks, where); action == "events:PutEvents" && d != "" {
			t.Errorf("events that may be put (-want +got):\n%s", d)
		}
		delete(allowed, action)
	}
	if len(allowed) > 0 {
		t.Errorf("also allowed: %v", allowed)
	}
}
