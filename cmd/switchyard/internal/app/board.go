package app

import (
	"crypto/sha256"
	"net/http"
	"time"

	"switchyard/dispatch/stepfn"
	"switchyard/ui/dashboard"
)

// openBoard makes the dashboard. Those sign in to it who have a token of the API, as
// the config in force has them.
func (a *App) openBoard() (*dashboard.Dashboard, error) {
	tokens := func() [][sha256.Size]byte { return a.faces.Load().api.Digests() }
	opts := []dashboard.Option{dashboard.WithLogger(a.log), dashboard.WithPullLink(a.hosts.pullLink)}
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
