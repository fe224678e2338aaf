package app

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Whatever fails, everything is given back, in reverse, and both the error and
// the log say what it was.
func TestClosersNameWhatFails(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	var c closers
	var order []string
	failure := errors.New("disk gone")
	for _, name := range []string{"journal", "engine", "listener"} {
		c.onStop(name, func() error {
			order = append(order, name)
			if name == "engine" {
				return failure
			}
			return nil
		})
	}
	err := c.close(zap.New(core))
	if want := []string{"listener", "engine", "journal"}; !slices.Equal(order, want) {
		t.Errorf("closed %v, want %v", order, want)
	}
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "stop engine: ") {
		t.Errorf("error %v", err)
	}
	var logged []string
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		line := fields["part"].(string)
		if text, failed := fields["error"].(string); failed {
			line += ": " + text
		}
		logged = append(logged, line)
	}
	if want := []string{"listener", "engine: disk gone", "journal"}; !slices.Equal(logged, want) {
		t.Errorf("logged %v, want %v", logged, want)
	}
	if err := c.close(zap.NewNop()); err != nil || len(order) != 3 {
		t.Errorf("closed again: %v, %v", err, order)
	}
}
