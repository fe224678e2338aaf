package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"switchyard/dispatch"
)

const (
	// livePause is the least time between two events of a page, and liveBeat how
	// often one is sent on which nothing happened, so that a connection that is dead
	// is found.
	livePause = time.Second
	liveBeat  = 20 * time.Second
	// historyPace is how often the engine is asked, for all who watch an execution,
	// whether something has happened in it.
	historyPace = 2 * time.Second
	// liveBuffer is how many changes a page may be behind; it reads all anew anyway.
	liveBuffer = 16
	// liveWrite is how long a browser may take to read an event; the connection of one
	// that has gone to sleep is closed then.
	liveWrite = 10 * time.Second
)

// serveLive tells that something has changed, of one execution where the query names
// it, and never what: the page is loaded again for that, with all its checks.
func (d *Dashboard) serveLive(w http.ResponseWriter, r *http.Request, s *Session) {
	only := r.URL.Query().Get("execution")
	changes, cancel := d.read.Subscribe(liveBuffer)
	defer cancel()
	// What happens from here on is told; what has happened before is on the page that
	// the script loads once it is connected.
	last := int64(-1)
	if only != "" {
		last, _ = d.newest.of(r.Context(), d.read, only, d.now())
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx, which would collect events
	out := http.NewResponseController(w)
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(liveWrite)) // every server of ours can
		_, err := fmt.Fprint(w, text)
		err = errors.Join(err, out.Flush())
		_ = out.SetWriteDeadline(time.Time{}) // HTTP/2 would end a stream that is idle
		return err == nil
	}
	if !send("retry: 3000\n\n") {
		return
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	end := time.NewTimer(s.Until.Sub(d.now())) // the session's
	defer end.Stop()
	var steps <-chan time.Time // when to look at the execution's history
	if only != "" {
		look := time.NewTicker(d.newest.pace)
		defer look.Stop()
		steps = look.C
	}
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
		case <-steps:
			if at, ok := d.newest.of(r.Context(), d.read, only, d.now()); ok {
				changed = changed || at != last
				last = at
			}
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
		if !send(text) {
			return
		}
	}
}

// newest knows the last event of executions that somebody watches, so that many who
// watch cost no more than one.
type newest struct {
	pace time.Duration
	mu   sync.Mutex
	all  map[string]newestEvent
}

type newestEvent struct {
	id    int64
	ok    bool
	asked time.Time
}

// of returns the ID of an execution's last event, as it was at most a pace ago; ok
// is false where that cannot be told.
func (n *newest) of(ctx context.Context, from Reader, execution string, now time.Time) (id int64, ok bool) {
	n.mu.Lock()
	known := n.all[execution]
	if now.Sub(known.asked) < n.pace*3/4 {
		n.mu.Unlock()
		return known.id, known.ok
	}
	if n.all == nil {
		n.all = map[string]newestEvent{}
	}
	for name, e := range n.all {
		if now.Sub(e.asked) > time.Minute { // nobody watches it any more
			delete(n.all, name)
		}
	}
	known.asked = now // others take what is known meanwhile
	n.all[execution] = known
	n.mu.Unlock()
	page, err := from.History(ctx, execution, dispatch.HistoryQuery{NewestFirst: true, Limit: 1})
	known.ok = err == nil && len(page.Events) == 1
	if known.ok {
		known.id = page.Events[0].ID
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[execution] = known
	return known.id, known.ok
}

// concerns reports whether a change is one of an execution, "" for all.
func concerns(c dispatch.Change, execution string) bool {
	return execution == "" || c.ID == execution
}
