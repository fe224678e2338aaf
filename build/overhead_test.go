//go:build linux

package build

import (
	"fmt"
	"testing"
)

// What isolation costs, beside the same build without it.
func BenchmarkIsolation(b *testing.B) {
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		b.Run(isolation, func(b *testing.B) {
			r := newRepo(b)
			commit := r.spec(trueSpec)
			h := newHandler(b, Config{Isolation: isolation})
			n := 0
			for b.Loop() {
				n++
				if built := run(b, h, newTask(b, fmt.Sprint("t", n), input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); built.err != nil {
					b.Fatal(built.err)
				}
			}
		})
	}
}
