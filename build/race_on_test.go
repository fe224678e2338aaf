//go:build race

package build

import "testing"

const raceDetector = true

// sequential leaves a long test in which one thing happens after another to the
// run without the race detector.
func sequential(t *testing.T) {
	t.Helper()
	t.Skip("nothing happens at once here for the race detector to see")
}
