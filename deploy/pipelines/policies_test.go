package pipelines_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// neededFor are the actions that the states with a resource need, beside its own.
var neededFor = map[string][]string{
	// https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html
	"codebuild:startBuild.sync": {"codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "events:PutTargets", "events:PutRule", "events:DescribeRule"},
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

// allowed lists the actions of a policy, and checks that none is for everything.
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
		if len(list(s.Resource)) == 0 || slices.Contains(list(s.Resource), "*") {
			t.Errorf("%s: %s is allowed for any resource", path, s.Sid)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// The policies of pipelines whose states only build allow just what those need.
func TestPoliciesAllowWhatTheDefinitionsCall(t *testing.T) {
	for _, name := range []string{"deploy"} {
		needed := map[string]bool{}
		definitions, err := filepath.Glob(filepath.Join(name, "*.asl.json"))
		if err != nil || len(definitions) == 0 {
			t.Fatal(definitions, err)
		}
		for _, path := range definitions {
			for _, r := range resources(t, path) {
				actions, known := neededFor[r]
				if !known {
					t.Errorf("%s: it is not known here what %s needs", path, r)
				}
				for _, a := range actions {
					needed[a] = true
				}
			}
		}
		policy := filepath.Join(name, "policy.json")
		if d := cmp.Diff(slices.Sorted(maps.Keys(needed)), allowed(t, policy)); d != "" {
			t.Errorf("%s (-needed +allowed):\n%s", policy, d)
		}
	}
}
