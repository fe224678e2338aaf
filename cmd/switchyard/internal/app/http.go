package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"switchyard/ui/dashboard"
	"switchyard/webhook"
)

// readyTimeout bounds the look into the journal for /readyz.
const readyTimeout = 2 * time.Second

// facesText lists what the HTTP face has. It is the same whatever the config.
const facesText = "The dashboard is at /, webhooks go to POST /webhooks/<source>, the API is under /api/v1/, see also /healthz, /readyz and /metrics."

// routes is the HTTP face.
func (a *App) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) { a.faces.Load().api.ServeHTTP(w, r) })
	mux.HandleFunc(dashboard.Executions, a.executionPages)
	mux.Handle("GET /metrics", a.metrics.handler())
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	for _, path := range dashboard.Paths() {
		mux.Handle(path, a.board)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case webhook.Serves(r.URL.Path): // a mux would redirect where slashes are doubled
			a.tracer.receive(a.faces.Load().webhook, w, r)
		case known(mux, r):
			mux.ServeHTTP(w, r)
		default:
			http.Error(w, "There is nothing at this path. "+facesText, http.StatusNotFound)
		}
	})
}

// known reports whether the mux has the path, for this method or another.
func known(mux *http.ServeMux, r *http.Request) bool {
	if _, pattern := mux.Handler(r); pattern != "" {
		return true
	}
	get := *r
	get.Method = http.MethodGet
	_, pattern := mux.Handler(&get)
	return pattern != ""
}

// Ready asks the service at base whether it is ready.
func Ready(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz answered %s", base, resp.Status)
	}
	return nil
}
