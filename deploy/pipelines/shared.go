package pipelines

import (
	"encoding/json"
	"fmt"
	"strings"
)

// buildRetry is how every pipeline tries a build again that CodeBuild could not
// start: it had no room, or was not to be reached. A build that fails is not tried
// again.
const buildRetry = `{"ErrorEquals": ["CodeBuild.AccountLimitExceededException", "CodeBuild.ThrottlingException", "CodeBuild.CodeBuildException", "CodeBuild.SdkClientException"], "IntervalSeconds": 5, "MaxAttempts": 6, "BackoffRate": 2, "MaxDelaySeconds": 120, "JitterStrategy": "FULL"}`

// whyFailed is a JSONata expression, in the Output of a Catch: why a build failed,
// in a few words. The cause of a failed build is the build, as JSON; it is searched
// and not parsed, since a mistake in it would hide the failure. \x5c is a backslash: JSONata 2.0.6 misreads the
// end of an expression with one before a bracket.
const whyFailed = `($e := $states.errorOutput; $said := $match($e.Cause, /"Message":"((?:[^"\x5c]|\x5c.)+)"/, 1)[0].groups[0]; $substring($said ? $replace($said, /\x5c(["\x5c])/, '$1') : $substring($e.Cause, 0, 1) in ['', '{'] ? $e.Error : $e.Cause, 0, 300))`

// quoted is text within a JSON string.
func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		panic(fmt.Sprintf("a string cannot be written as JSON: %v", err)) // never
	}
	return strings.Trim(strings.TrimSpace(b.String()), `"`)
}
