package main

import "testing"

func TestGarbageIsBounded(t *testing.T) {
	const mb = 1 << 20
	for name, row := range map[string]struct {
		live    uint64
		garbage int64
		want    int
	}{
		"at the start":        {0, 96 * mb, 300},
		"a small heap":        {10 * mb, 96 * mb, 300},
		"just so much":        {32 * mb, 96 * mb, 300},
		"large deliveries":    {96 * mb, 96 * mb, 100},
		"in steps of 25":      {60 * mb, 96 * mb, 150},
		"a heap of its own":   {2 << 30, 96 * mb, 50},
		"little memory":       {20 * mb, 16 * mb, 75},
		"hardly any memory":   {20 * mb, 1 * mb, 50},
		"little memory, idle": {4 * mb, 16 * mb, 300},
	} {
		if got := gcPercent(row.live, row.garbage); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
}
