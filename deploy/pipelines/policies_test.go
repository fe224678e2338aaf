package pipelines_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// neededFor are the actions that the states with a resource need, beside its own.
var neededFor = map[string][]string{
	// https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html
	"codebuild:startBuild.sync": {"codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "events:PutTargets", "events:PutRule", "events:DescribeRule"},
	// https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
	"states:startExecution.sync:2": {"states:StartExecution", "states:DescribeExecution", "states:StopExecution", "events:PutTargets", "events:PutRule", "events:DescribeRule"},
}

// behind are actions that a pipeline needs for what its calls have others do.
var behind = map[string][]string{
	// A template in S3 is read with the rights of who names it, and the service role is passed on.
	"cloudformation": {"s3:GetObject", "iam:PassRole"},
	// The tasks of a service run with roles that are passed on.
	"blue-green": {"iam:PassRole"},
}

// call is a resource that is one call of a service, and may wait for a token.
var call = regexp.MustCompile(`^(?:aws-sdk:)?([a-z0-9]+):([a-z])([a-zA-Z]+)(?:\.waitForTaskToken)?$`)

// actionsFor are the actions that a state with this resource needs.
func actionsFor(t *testing.T, resource string) []string {
	t.Helper()
	if actions, known := neededFor[resource]; known {
		return actions
	}
	m := call.FindStringSubmatch(resource)
	if m == nil {
		t.Errorf("it is not known here what %s needs", resource)
		return nil
	}
	service := m[1]
	if service == "sfn" {
		service = "states"
	}
	return []string{service + ":" + strings.ToUpper(m[2]) + m[3]}
}

// resources lists the resources of all Task states within a definition.
func resources(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if r, ok := v["Resource"].(string); ok && v["Type"] == "Task" {
				found[strings.TrimPrefix(r, "arn:aws:states:::")] = true
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(whole)
	return slices.Sorted(maps.Keys(found))
}

// allowed lists the actions of a policy, and checks that none is for everything, but
// those of which the statement says that they have no resource.
func allowed(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Sid              string
			Action, Resource any
		}
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	list := func(v any) []string {
		if one, ok := v.(string); ok {
			return []string{one}
		}
		var all []string
		several, _ := v.([]any)
		for _, one := range several {
			all = append(all, one.(string))
		}
		return all
	}
	found := map[string]bool{}
	for _, s := range policy.Statement {
		for _, a := range list(s.Action) {
			found[a] = true
		}
		none := strings.HasSuffix(s.Sid, "WhichHaveNoResource")
		if len(list(s.Resource)) == 0 || slices.Contains(list(s.Resource), "*") && !none {
			t.Errorf("%s: %s is allowed for any resource", path, s.Sid)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// The policies of pipelines allow just what their states need.
func TestPoliciesAllowWhatTheDefinitionsCall(t *testing.T) {
	policies, err := filepath.Glob("*/policy.json")
	if err != nil || len(policies) == 0 {
		t.Fatal(policies, err)
	}
	for _, policy := range policies {
		name := filepath.Dir(policy)
		needed := map[string]bool{}
		for _, a := range behind[name] {
			needed[a] = true
		}
		definitions, err := filepath.Glob(filepath.Join(name, "*.asl.json"))
		if err != nil || len(definitions) == 0 {
			t.Fatal(definitions, err)
		}
		for _, path := range definitions {
			for _, r := range resources(t, path) {
				for _, a := range actionsFor(t, r) {
					needed[a] = true
				}
			}
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(needed)), allowed(t, policy)); d != "" {
			t.Errorf("%s (-needed +allowed):\n%s", policy, d)
		}
	}
}
