package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"switchyard/dispatch/stepfn"
	"switchyard/ui/dashboard"
)

// openBoard makes the dashboard. Those sign in to it who have a token of the API, as
// the config in force has them.
func (a *App) openBoard() (*dashboard.Dashboard, error) {
	tokens := func() [][sha256.Size]byte { return a.faces.Load().api.Digests() }
	opts := []dashboard.Option{dashboard.WithLogger(a.log), dashboard.WithPullLink(a.hosts.pullLink), dashboard.WithHealth(a.checks)}
	if a.embedded != nil {
		opts = append(opts, dashboard.WithLogs(a.embedded.copyLog))
	} else {
		opts = append(opts, dashboard.WithLogs(a.cloudLogs.tail), dashboard.WithEngineLink(stepfn.ConsoleLink), dashboard.WithHistoryPace(historyPaceAWS))
	}
	return dashboard.New(a.dispatcher, a.dispatcher, tokens, baseURL(a.cfg, a.public.Addr()), []byte(a.key), opts...)
}

// historyPaceAWS is how often AWS is asked what has happened in an execution that
// somebody watches: GetExecutionHistory has an allowance of some 20 calls a second
// for the whole account.
const historyPaceAWS = 10 * time.Second

// executionPages are those of the dashboard and, by a link of a commit's status,
// those that need no signing in.
func (a *App) executionPages(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("key") {
		a.pages.ServeHTTP(w, r)
		return
	}
	a.board.ServeHTTP(w, r)
}

// checks are what the dashboard tells of the service's health.
func (a *App) checks(ctx context.Context) []dashboard.Check {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	service := dashboard.Check{Name: "service", Says: "ready: the journal and the data folder can be written", Good: true}
	if err := a.health(ctx); err != nil {
		service = dashboard.Check{Name: "service", Says: err.Error()}
	}
	all := []dashboard.Check{service}
	if a.embedded != nil {
		var text strings.Builder
		describeBuilds(&text, a.embedded.builds)
		room := a.embedded.builds.Room()
		all = append(all, dashboard.Check{Name: "builds", Says: strings.ReplaceAll(strings.TrimSpace(text.String()), "\n", "; "), Good: room.Free >= room.Reserve && room.Paused == 0})
	}
	for _, s := range a.statuses.Stats() {
		c := dashboard.Check{Name: "statuses to " + s.Source, Good: s.Held == 0 && s.PausedUntil.IsZero(),
			Says: fmt.Sprintf("%d posted, %d refused, %d failed and repeated, %d turned away for being too many since the start", s.Posted, s.Refused, s.Failed, s.Throttled)}
		if s.Held > 0 {
			c.Says += fmt.Sprintf("; %d repositories are left alone for now", s.Held)
		}
		if !s.PausedUntil.IsZero() {
			c.Says += "; paused until " + s.PausedUntil.UTC().Format(time.RFC3339)
		}
		all = append(all, c)
	}
	for _, w := range a.inForce.Load().Warnings() {
		all = append(all, dashboard.Check{Name: "config", Says: w})
	}
	return all
}
