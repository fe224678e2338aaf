package buildlogs

import "time"

// LookEvery replaces how often builds that run are looked at.
func (l *Logs) LookEvery(d time.Duration) { l.every = d }
