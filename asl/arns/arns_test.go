package arns_test

import (
	"strings"
	"testing"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
)

var names = arns.New("eu-west-1", "210987654321")

const prefix = "arn:aws:states:eu-west-1:210987654321:"

func TestNamesAreReadBackFromTheirARNs(t *testing.T) {
	const run = "0000002a-1f00-4abc-9def-000000000000"
	key := "deploy/Each:" + run
	for _, row := range []struct {
		arn, want string
		parse     func(arn string) (string, string, error)
	}{
		{names.Machine("deploy"), prefix + "stateMachine:deploy", names.ParseMachine},
		{names.Version("deploy", 7), prefix + "stateMachine:deploy:7", names.ParseMachine},
		{names.Alias("deploy", "live"), prefix + "stateMachine:deploy:live", names.ParseMachine},
		{names.Execution("deploy", "x-1"), prefix + "execution:deploy:x-1", names.ParseExecution},
		{names.Activity("sign"), prefix + "activity:sign", func(arn string) (string, string, error) {
			name, err := names.ParseActivity(arn)
			return name, "", err
		}},
		{names.MapRun(key), prefix + "mapRun:" + key, names.ParseMapRun},
	} {
		if row.arn != row.want {
			t.Errorf("%s, want %s", row.arn, row.want)
		}
		first, second, err := row.parse(row.arn)
		if err != nil {
			t.Errorf("%s: %v", row.arn, err)
			continue
		}
		_, rest, _ := arns.Split(row.arn)
		switch {
		case strings.Contains(row.arn, ":mapRun:"):
			if first != key || second != run || arns.MapRunKey(row.arn) != key || arns.MapRunID(key) != run {
				t.Errorf("%s is read as %q and %q", row.arn, first, second)
			}
		case strings.TrimSuffix(first+":"+second, ":") != rest:
			t.Errorf("%s is read as %q and %q", row.arn, first, second)
		}
	}
}

func TestChildrenOfMapRunsAreFoundByTheirNames(t *testing.T) {
	const run = "0000002a-1f00-4abc-9def-000000000000"
	seen := map[string]bool{}
	for _, index := range []int{0, 1, 41, 99_999_999} {
		name := arns.ChildName(run, index)
		if seen[name] || !arns.ValidName(name) || arns.ChildIndex(name) != index {
			t.Errorf("child %d is %s, read as %d", index, name, arns.ChildIndex(name))
		}
		seen[name] = true
		// An execution's ARN tells the run, whose Machine the child has.
		key := "deploy/Each:" + run
		machine, child, err := names.ParseExecution(names.Execution(key, name))
		if err != nil || machine != key || child != name {
			t.Errorf("the ARN of child %d is read as %q, %q, %v", index, machine, child, err)
		}
	}
	for _, name := range []string{"", "x", run + "0", "0000002a-1f00-4abc-9def-00000000000g"} {
		if got := arns.ChildIndex(name); got != -1 {
			t.Errorf("%q is child %d", name, got)
		}
	}
	if arns.IsChild("deploy") || !arns.IsChild("deploy/Each:"+run) {
		t.Error("the children of Map runs are not told from executions")
	}
	if got := arns.BaseMachine("deploy/Each:" + run); got != "deploy" {
		t.Errorf("the state machine of a child is %q", got)
	}
	if got := arns.ShownMachine("deploy/Each:" + run); got != "deploy/Each" {
		t.Errorf("the state machine that a child shows is %q", got)
	}
}

func TestARNsOfElsewhereAreRefused(t *testing.T) {
	for _, row := range []struct {
		arn  string
		code apierror.Code
	}{
		{"", apierror.CodeInvalidArn},
		{"deploy", apierror.CodeInvalidArn},
		{"arn:aws:lambda:eu-west-1:210987654321:function:f", apierror.CodeInvalidArn},
		{prefix + "execution:deploy:x", apierror.CodeInvalidArn},
		{"arn:aws:states:eu-west-2:210987654321:stateMachine:deploy", apierror.CodeStateMachineDoesNotExist},
	} {
		if _, _, err := names.ParseMachine(row.arn); !apierror.Is(err, row.code) {
			t.Errorf("%q: %v, want %s", row.arn, err, row.code)
		}
	}
}

func TestNamesFollowTheDocumentation(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "Build_2.0-x": true, "Ünïcode": true, strings.Repeat("n", 80): true, strings.Repeat("ü", 80): true,
		"": false, strings.Repeat("n", 81): false, "a b": false, "a/b": false, "a:b": false, "a\nb": false, "a\u0085b": false, "{a}": false, "\xff": false,
	} {
		if got := arns.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t", name, got)
		}
	}
}
