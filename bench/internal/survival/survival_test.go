package survival_test

import (
	"testing"
	"time"

	"switchyard/bench/internal/survival"
)

func TestKilledProcessEndsEveryExecutionOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and kills a real process")
	}
	seed := uint64(time.Now().UnixNano())
	report, err := survival.Run(t.Context(), t.TempDir(), survival.Config{Executions: 200, Kills: 3, Seed: seed, Progress: t.Logf})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, wrong := range report.Wrong {
		t.Errorf("seed %d: %s", seed, wrong)
	}
	if report.Open == 0 {
		t.Errorf("seed %d: no execution was open at any kill; the run proves nothing", seed)
	}
	t.Logf("%d executions, %d kills, %d open at them, %v", report.Executions, report.Kills, report.Open, report.Took.Round(time.Millisecond))
}
