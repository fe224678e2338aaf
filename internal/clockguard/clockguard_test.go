package clockguard

import (
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// look looks at the clock at each of the times, and says after which of them
// old entries may be deleted.
func look(g Guard, times ...time.Duration) (Guard, string) {
	var verdicts strings.Builder
	for _, at := range times {
		next, err := g.Look(start.Add(at))
		g = next
		if err == nil {
			verdicts.WriteByte('y')
		} else {
			verdicts.WriteByte('-')
		}
	}
	return g, verdicts.String()
}

// hours are looks once an hour.
func hours(from, n int) (all []time.Duration) {
	for i := range n {
		all = append(all, time.Duration(from+i)*time.Hour)
	}
	return all
}

func TestAClockIsBelievedWhileItGoesOnEvenly(t *testing.T) {
	const year = 365 * 24
	guard := Guard{Seen: start.UnixMilli()}
	for _, row := range []struct {
		name  string
		times []time.Duration
		want  string
	}{
		{"hour by hour", hours(0, 50), strings.Repeat("y", 50)},
		{"off over night", []time.Duration{0, 23 * time.Hour, 46 * time.Hour}, "yyy"},
		{"years ahead for an hour, then right again", append([]time.Duration{0, 5 * year * time.Hour}, hours(1, 3)...), "y-yyy"},
		{"years ahead for a day", append(hours(5*year, 24), hours(24, 2)...), strings.Repeat("-", 24) + "yy"},
		{"years ahead, and further ahead", []time.Duration{year * time.Hour, 2 * year * time.Hour, 3 * year * time.Hour, 4 * year * time.Hour}, "----"},
		{"off for a month, then evenly", hours(720, 26), strings.Repeat("-", 24) + "yy"},
		{"off for a month, then on by day only", []time.Duration{720 * time.Hour, 728 * time.Hour, 743 * time.Hour, 744 * time.Hour, 767 * time.Hour}, "---yy"},
		{"set back", []time.Duration{0, -5 * year * time.Hour, (-5*year + 1) * time.Hour}, "yyy"},
		{"a clock without battery: back, then right", []time.Duration{-50 * year * time.Hour, time.Hour, -50 * year * time.Hour, 2 * time.Hour}, "yyyy"},
		{"set back for good", append(hours(-year, 30), hours(-year+30, 3)...), strings.Repeat("y", 33)},
	} {
		if _, got := look(guard, row.times...); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestAnErrorSaysUntilWhen(t *testing.T) {
	g := Guard{Seen: start.UnixMilli()}
	_, err := g.Look(start.AddDate(10, 0, 0))
	if err == nil || !strings.Contains(err.Error(), "2036-11-20 09:00:00, and 2026-11-20 09:00:00") || !strings.Contains(err.Error(), "until 2036-11-21 09:00:00") {
		t.Error(err)
	}
}

// Looking often does not mean to write often.
func TestAGuardChangesOnceAMinute(t *testing.T) {
	g := Guard{Seen: start.UnixMilli()}
	changes := 0
	for i := range 600 {
		next, _ := g.Look(start.Add(time.Duration(i) * time.Second))
		if next != g {
			changes++
		}
		g = next
	}
	if changes > 10 {
		t.Errorf("%d changes in ten minutes", changes)
	}
}
