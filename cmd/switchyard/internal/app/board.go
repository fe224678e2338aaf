package app

import (
	"crypto/sha256"

	"switchyard/ui/dashboard"
)

// openBoard makes the dashboard. Those sign in to it who have a token of the API, as
// the config in force has them.
func (a *App) openBoard() (*dashboard.Dashboard, error) {
	tokens := func() [][sha256.Size]byte { return a.faces.Load().api.Digests() }
	return dashboard.New(a.dispatcher, tokens, baseURL(a.cfg, a.public.Addr()), []byte(a.key), dashboard.WithLogger(a.log))
}
