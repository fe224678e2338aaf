package api

import (
	"encoding/json"
	"fmt"

	"switchyard/asl/history"
)

// MarshalHistory gives events as the list of GetExecutionHistory.
func MarshalHistory(events []history.Event) ([]byte, error) {
	list := make([]map[string]any, len(events))
	for i := range events {
		list[i] = event(&events[i], true)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode history: %w", err)
	}
	return text, nil
}
