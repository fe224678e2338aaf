package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func (a *API) startExecution(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "by", "state_machine")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	by, err := caller(q)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	input, err := io.ReadAll(http.MaxBytesReader(w, r.Body, event.MaxInput))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		a.fail(w, r, &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("an execution input has at most %d bytes", event.MaxInput)})
		return
	}
	if err != nil {
		a.fail(w, r, &httpError{http.StatusBadRequest, "the body ended early"})
		return
	}
	request, err := a.start(q.Get("state_machine"), input)
	if err != nil {
		a.fail(w, r, &httpError{http.StatusBadRequest, err.Error()})
		return
	}
	receipt, err := a.d.Start(r.Context(), request, by)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, answerTo(receipt))
}

func (a *API) listExecutions(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, append(filterParameters(), "before", "limit")...)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	f, err := executionFilter(q, time.Now())
	if err == nil {
		f.Before, f.Limit, err = page(q)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	found, err := a.d.Executions(r.Context(), f)
	if err != nil {
		a.fail(w, r, fmt.Errorf("list executions: %w", err))
		return
	}
	if found.Executions == nil {
		found.Executions = []dispatch.Execution{}
	}
	answer(w, http.StatusOK, found)
}

func (a *API) showExecution(w http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		a.fail(w, r, err)
		return
	}
	e, err := a.d.Execution(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, fmt.Errorf("execution %s: %w", r.PathValue("id"), err))
		return
	}
	answer(w, http.StatusOK, e)
}

// followLog streams the log as it grows. The bytes are a build's own: the
// content type keeps a browser from reading more than text into them.
func (a *API) followLog(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := parameters(r); err != nil {
		a.fail(w, r, err)
		return
	}
	if _, err := a.d.Execution(r.Context(), id); err != nil {
		a.fail(w, r, fmt.Errorf("execution %s: %w", id, err))
		return
	}
	if a.follow == nil {
		a.fail(w, r, &httpError{http.StatusNotFound, "the logs are where the engine runs its builds, for AWS in CloudWatch"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	flush := &flushWriter{w: w, c: http.NewResponseController(w)}
	if err := a.follow(r.Context(), id, flush); err != nil && r.Context().Err() == nil {
		if !flush.written {
			a.fail(w, r, fmt.Errorf("log of %s: %w", id, err))
			return
		}
		panic(http.ErrAbortHandler) // so that a reader can tell a cut log from a whole one
	}
}

func (a *API) stopExecution(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	by, err := byWhom(r)
	if err == nil {
		err = a.d.Stop(r.Context(), id, by)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, map[string]string{"stopping": id})
}

func (a *API) rerunExecution(w http.ResponseWriter, r *http.Request) {
	by, err := byWhom(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	again, err := a.d.Rerun(r.Context(), r.PathValue("id"), by)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, map[string]any{"executions": []string{again}})
}

// Redriven is the answer to a redrive: what is redriven, and how.
type Redriven struct {
	Executions []string             `json:"executions"`
	Kind       dispatch.RedriveKind `json:"kind"`
}

func (a *API) redriveExecution(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	_, err := byWhom(r)
	var kind dispatch.RedriveKind
	if err == nil {
		kind, err = a.d.Redrive(r.Context(), id)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, Redriven{Executions: []string{id}, Kind: kind})
}

// flushWriter sends each write at once.
type flushWriter struct {
	w       io.Writer
	c       *http.ResponseController
	written bool
}

func (f *flushWriter) Write(p []byte) (int, error) {
	f.written = true
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.c.Flush()
}
