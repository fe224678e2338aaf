// Package clockguard decides whether the system's clock can be believed when it
// says that something is old.
package clockguard

import (
	"fmt"
	"time"
)

const (
	// step is how far the clock may have moved between two looks. Services
	// look once an hour while they run.
	step = 24 * time.Hour
	// steady is how long a clock that has moved further must go on evenly, over
	// restarts too, before it is believed.
	steady = 24 * time.Hour
	// coarse: times are kept anew when they have moved by so much.
	coarse = time.Minute
)

// Guard remembers what the clock has shown, in Unix milliseconds. What Look
// returns is kept, so that a restart does not make a clock believable.
type Guard struct {
	// Seen is the last time that was believed.
	Seen int64
	// Since and Last are the first and the last of those times that are not
	// believed yet, because they are too far from Seen; 0 for none.
	Since, Last int64
}

// Look looks at the clock. An error says why what is old by now must not be
// deleted. A clock that has gone back makes nothing older than it is, so it
// never is a reason.
func (g Guard) Look(now time.Time) (Guard, error) {
	ms := now.UnixMilli()
	if near(ms, g.Seen) {
		g.Since, g.Last = 0, 0
		if ms-g.Seen >= coarse.Milliseconds() || ms < g.Seen {
			g.Seen = ms
		}
		return g, nil
	}
	seen := time.UnixMilli(g.Seen).UTC()
	if g.Since == 0 || !near(ms, g.Last) {
		g.Since, g.Last = ms, ms
	}
	if ms-g.Last >= coarse.Milliseconds() {
		g.Last = ms
	}
	if ms-g.Since >= steady.Milliseconds() {
		return Guard{Seen: ms}, nil
	}
	if ms < g.Seen {
		return g, nil
	}
	return g, fmt.Errorf("the clock shows %s, and %s when it was last looked at: if it is right, what is old is deleted once it has gone on evenly until %s",
		now.UTC().Format(time.DateTime), seen.Format(time.DateTime), time.UnixMilli(g.Since).Add(steady).UTC().Format(time.DateTime))
}

func near(a, b int64) bool { return max(a, b)-min(a, b) <= step.Milliseconds() }
