//go:build linux

package build

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// mayCost is how much longer an isolated build may take than the same build
// without isolation.
const mayCost = 30 * time.Millisecond

// What isolation costs is the median difference of builds that take turns with
// and without it, so that both see the same machine. What other work on the
// machine makes of builds is no cost of isolation: the differences among those
// without it (the median of how far they are from their own median) are
// allowed on top, about a millisecond on a machine that has nothing else to do.
// Other work may still begin and end meanwhile: one good measurement of three
// will do.
func TestIsolationOverhead(t *testing.T) {
	sequential(t)
	needBubblewrap(t)
	builds := map[string]func() time.Duration{IsolationNone: buildAgain(t, IsolationNone), IsolationBubblewrap: buildAgain(t, IsolationBubblewrap)}
	for try := 1; ; try++ {
		base, noise, cost := overhead(builds)
		t.Logf("a build takes %v without isolation (± %v) and %v longer with it", base, noise, cost)
		if cost <= mayCost+noise {
			return
		}
		if try == 3 {
			t.Fatalf("isolation costs %v a build, more than %v and the noise of %v", cost, mayCost, noise)
		}
	}
}

// overhead is how long a build takes without isolation, how much that varies, and
// how much longer it takes with isolation.
func overhead(builds map[string]func() time.Duration) (base, noise, cost time.Duration) {
	const pairs = 21
	var without, differences []time.Duration
	for i := range pairs {
		took := make(map[string]time.Duration)
		order := []string{IsolationNone, IsolationBubblewrap}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, isolation := range order {
			took[isolation] = builds[isolation]()
		}
		without = append(without, took[IsolationNone])
		differences = append(differences, took[IsolationBubblewrap]-took[IsolationNone])
	}
	base = median(without)
	var spread []time.Duration
	for _, d := range without {
		spread = append(spread, (d - base).Abs())
	}
	return base, median(spread), median(differences)
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// buildAgain returns what does the same build once more and tells how long it
// took. The first, which fetches the repository, is done.
func buildAgain(tb testing.TB, isolation string) func() time.Duration {
	tb.Helper()
	r := newRepo(tb)
	commit := r.spec(trueSpec)
	h := newHandler(tb, Config{Isolation: isolation})
	n := 0
	again := func() time.Duration {
		n++
		began := time.Now()
		if built := run(tb, h, newTask(tb, fmt.Sprint("t", n), input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); built.err != nil {
			tb.Fatal(built.err)
		}
		return time.Since(began)
	}
	again()
	return again
}

// What isolation costs, beside the same build without it.
func BenchmarkIsolation(b *testing.B) {
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		b.Run(isolation, func(b *testing.B) {
			again := buildAgain(b, isolation)
			for b.Loop() {
				again()
			}
		})
	}
}
