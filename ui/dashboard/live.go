package dashboard

import (
	"fmt"
	"net/http"
	"time"

	"switchyard/dispatch"
)

const (
	// livePause is the least time between two events of a page, and liveBeat how
	// often one is sent on which nothing happened, so that a connection that is dead
	// is found.
	livePause = time.Second
	liveBeat  = 20 * time.Second
	// liveBuffer is how many changes a page may be behind; it reads all anew anyway.
	liveBuffer = 16
)

// serveLive tells that something has changed, of one execution where the query names
// it, and never what: the page is loaded again for that, with all its checks.
func (d *Dashboard) serveLive(w http.ResponseWriter, r *http.Request, s *Session) {
	only := r.URL.Query().Get("execution")
	changes, cancel := d.read.Subscribe(liveBuffer)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx, which would collect events
	out := http.NewResponseController(w)
	if _, err := fmt.Fprint(w, "retry: 3000\n\n"); err != nil || out.Flush() != nil {
		return
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	end := time.NewTimer(s.Until.Sub(d.now())) // the session's
	defer end.Stop()
	var pause <-chan time.Time
	changed := false
	for {
		text := ""
		select {
		case <-r.Context().Done():
			return
		case <-d.stopped.Done():
			return
		case <-end.C:
			return
		case c := <-changes:
			changed = changed || concerns(c, only)
		case <-pause:
			pause = nil
		case <-beat.C:
			if !d.holds(s.Token) {
				return
			}
			// What starts nothing is no change of an execution, and times go on.
			text, changed = ": still here\n\n", changed || only == ""
		}
		if changed && pause == nil {
			changed, pause, text = false, time.After(livePause), "event: change\ndata: 1\n\n"
		}
		if text == "" {
			continue
		}
		if _, err := fmt.Fprint(w, text); err != nil || out.Flush() != nil {
			return
		}
	}
}

// concerns reports whether a change is one of an execution, "" for all.
func concerns(c dispatch.Change, execution string) bool {
	return execution == "" || c.ID == execution
}
