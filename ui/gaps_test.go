package ui_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/ui"
)

// A page says what the delivery left out, and nothing of what became of its other
// commits.
func TestPageSaysWhatTheDeliveryLeftOut(t *testing.T) {
	gap := "the host did not list the other commits of the push: <no token>"
	known := journal{"x": {ID: "x", State: dispatch.StateSucceeded, Delivery: "github:d1"}, "y": {ID: "y", State: dispatch.StateSucceeded, Delivery: "github:d2"}}
	p := pages(t, known, ui.WithReasons(func(_ context.Context, id string) ([]dispatch.Ignored, error) {
		if id != "github:d1" {
			return nil, errors.New("secret detail")
		}
		return []dispatch.Ignored{{Ignored: event.Ignored{Reason: gap}}, {Ignored: event.Ignored{Route: "r", Commit: "c", Reason: "another branch"}}}, nil
	}))
	body := get(t, p, p.Link("x")).Body.String()
	if !strings.Contains(body, "the host did not list the other commits of the push: &lt;no token&gt;") || strings.Contains(body, "another branch") {
		t.Errorf("%s", body)
	}
	if w := get(t, p, p.Link("y")); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
