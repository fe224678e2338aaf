package dispatch_test

import (
	"testing"

	"switchyard/dispatch"
)

// What an audit finds afterwards runs beside the newer commits that came before
// it, and moves the branch nowhere.
func TestALateEventSupersedesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := run(t, path, newEngine(), planner{routes: []string{"r"}, cancel: true}, dispatch.Config{})
		defer s.stop()
		newest := push("d1", "c")
		newest.Before, newest.After = "b", "c"
		s.accept(newest)
		settle()
		lost := push("audit-1", "a", "b")
		lost.Before, lost.After, lost.Late = "0", "b", true
		s.accept(lost)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning, "c-r": dispatch.StateRunning})
		if tip, err := s.j.Tip(t.Context(), "github", "acme/api", "refs/heads/main"); err != nil || tip != "c" {
			t.Errorf("the branch is at %q, %v", tip, err)
		}
	})
}
