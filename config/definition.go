package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// definitionProblems lists what is wrong with a state machine's definition, each
// with its place in that file.
func definitionProblems(text []byte) []string {
	var object map[string]json.RawMessage
	err := json.Unmarshal(text, &object)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return []string{fmt.Sprintf("line %d: no valid JSON: %v", line, err)}
	}
	return []string{"no JSON object"}
}
