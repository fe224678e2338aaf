package release

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// qualified is the name or ARN of a Lambda function with a version or an alias that
// can't change under it by itself.
var qualified = regexp.MustCompile(`^(?:arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:|[^:]*:function:)?[^:]+:([^:]+)$`)

// Unpinned lists the Lambda functions, sorted, that a definition calls without naming
// a version or alias: an execution that runs would get their new code. Names that are
// computed are not looked at.
func Unpinned(definition string) ([]string, error) {
	var whole any
	if err := json.Unmarshal([]byte(definition), &whole); err != nil {
		return nil, fmt.Errorf("read the definition: %w", err)
	}
	found := map[string]bool{}
	note := func(function string) {
		if strings.HasPrefix(function, "{%") {
			return
		}
		if m := qualified.FindStringSubmatch(function); m == nil || m[1] == "$LATEST" {
			found[function] = true
		}
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case map[string]any:
			if resource, _ := v["Resource"].(string); v["Type"] == "Task" {
				if strings.Contains(resource, ":lambda:") && strings.Contains(resource, ":function:") {
					note(resource)
				}
				if strings.HasPrefix(resource, "arn:aws:states:::lambda:invoke") || strings.HasPrefix(resource, "arn:aws:states:::aws-sdk:lambda:invoke") {
					for _, field := range []string{"Parameters", "Arguments"} {
						parameters, _ := v[field].(map[string]any)
						qualifier, apart := parameters["Qualifier"]
						apart = apart && qualifier != "$LATEST"
						_, computed := parameters["Qualifier.$"]
						if function, ok := parameters["FunctionName"].(string); ok && !apart && !computed {
							note(function)
						}
					}
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(whole)
	return slices.Sorted(maps.Keys(found)), nil
}
