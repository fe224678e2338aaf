package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"switchyard/webhook"
)

// readyTimeout bounds the look into the journal for /readyz.
const readyTimeout = 2 * time.Second

// routes is the HTTP face.
func (a *App) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(webhook.Path, func(w http.ResponseWriter, r *http.Request) {
		a.tracer.receive(a.faces.Load().webhook, w, r)
	})
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) { a.faces.Load().api.ServeHTTP(w, r) })
	mux.Handle("/executions/", a.pages)
	mux.Handle("GET /metrics", a.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "Switchyard. Webhooks go to POST /webhooks/<source>, the API is under /api/v1/, see also /healthz, /readyz and /metrics.")
	})
	return mux
}

// readyz answers 200 while the service runs and its journal answers.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if !a.ready.Load() {
		http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
		return
	}
	if _, err := a.dispatcher.Depth(ctx); err != nil {
		a.log.Warn("not ready: the journal does not answer", zap.Error(err))
		http.Error(w, "the journal does not answer; the log says why", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
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
