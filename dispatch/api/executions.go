package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"switchyard/dispatch"
)

// maxInput is Step Functions' limit for an execution's input, in bytes.
const maxInput = 262_144

func (a *API) startExecution(w http.ResponseWriter, r *http.Request) {
	input, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInput))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		a.fail(w, r, &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("an execution input has at most %d bytes", maxInput)})
		return
	}
	if err != nil {
		a.fail(w, r, &httpError{http.StatusBadRequest, "the body ended early"})
		return
	}
	by, err := byWhom(r, "state_machine")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	request, err := a.start(r.URL.Query().Get("state_machine"), input)
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
	q := r.URL.Query()
	err := unknownKeys(q, "state", "repository", "route", "environment", "ref", "sha", "delivery", "before", "limit")
	f := dispatch.ExecutionFilter{
		Repository: q.Get("repository"), Route: q.Get("route"), Environment: q.Get("environment"),
		Ref: q.Get("ref"), SHA: q.Get("sha"), Delivery: q.Get("delivery"),
	}
	for _, s := range q["state"] {
		state := dispatch.State(s)
		if !slices.Contains(dispatch.States(), state) {
			err = errors.Join(err, &httpError{http.StatusBadRequest, fmt.Sprintf("state %q is none of %v", s, dispatch.States())})
		}
		f.States = append(f.States, state)
	}
	f.Before, f.Limit, err = page(q, err)
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

func (a *API) redriveExecution(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := a.d.Redrive(r.Context(), id); err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, map[string]any{"executions": []string{id}})
}

// byWhom reads who is behind a POST from its query; more are the parameters
// that the call has besides.
func byWhom(r *http.Request, more ...string) (string, error) {
	q := r.URL.Query()
	if err := unknownKeys(q, append(more, "by")...); err != nil {
		return "", err
	}
	by := q.Get("by")
	switch {
	case by == "":
		return "hand", nil
	case len(by) > 100:
		return "", &httpError{http.StatusBadRequest, "by has more than 100 bytes"}
	}
	return by, nil
}

// unknownKeys refuses query parameters that nobody would read: a misspelt
// filter must not list everything.
func unknownKeys(q url.Values, known ...string) error {
	for key := range q {
		if !slices.Contains(known, key) {
			return &httpError{http.StatusBadRequest, fmt.Sprintf("query parameter %q is none of %v", key, known)}
		}
	}
	return nil
}

// page reads the cursor and the size of a page; it passes on an earlier error.
func page(q url.Values, err error) (before int64, limit int, _ error) {
	number := func(key string, most int64) int64 {
		text := q.Get(key)
		if text == "" || err != nil {
			return 0
		}
		n, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil || n < 1 || n > most {
			err = &httpError{http.StatusBadRequest, fmt.Sprintf("%s=%q is not a number from 1 to %d", key, text, most)}
		}
		return n
	}
	const maxInt64 = 1<<63 - 1
	before, limit = number("before", maxInt64), int(number("limit", 1000))
	return before, limit, err
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
