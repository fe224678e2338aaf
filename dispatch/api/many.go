package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
)

const (
	// maxMatches is how many executions one filter may match, and manyLimit how
	// many of them one call acts on unless it says otherwise.
	maxMatches = 10_000
	manyLimit  = 100
)

// Many is the answer to a call that acts on all executions that match a filter:
// what became of the oldest of them, in the order of their arrival.
type Many struct {
	// Matched is how many executions match now.
	Matched    int         `json:"matched"`
	Executions []OneOfMany `json:"executions"`
	// DryRun is true when nothing was done.
	DryRun bool `json:"dry_run,omitempty"`
	// Next is the after of the next call, 0 when this was the last.
	Next int64 `json:"next,omitempty"`
}

// OneOfMany is what became of one execution.
type OneOfMany struct {
	Execution string `json:"execution"`
	// Started is the execution that was or would be started; empty if none.
	Started string `json:"started,omitempty"`
	// Skipped says why it was left alone, and Error what went wrong.
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// verb is what is done to many executions.
type verb struct {
	name string
	// takes are the states that it can be done to, and unasked those that it is
	// done to where the call names none; empty if it must.
	takes, unasked []dispatch.State
	// plan says what it would start for x, or why x is to be left alone.
	plan func(ctx context.Context, x *dispatch.Execution) (starts, skip string, err error)
	do   func(ctx context.Context, id, by string) (string, error)
}

func (a *API) redriveMany(w http.ResponseWriter, r *http.Request) {
	a.actOnMany(w, r, &verb{
		name:    "redrive",
		takes:   []dispatch.State{dispatch.StateDead, dispatch.StateFailed, dispatch.StateTimedOut, dispatch.StateAborted},
		unasked: []dispatch.State{dispatch.StateDead},
		plan:    a.redrives,
		do: func(ctx context.Context, id, _ string) (string, error) {
			_, err := a.d.Redrive(ctx, id)
			return id, err
		},
	})
}

// redrives leaves alone what never ran, and what was run again meanwhile: it
// would deploy an older state over a newer one.
func (a *API) redrives(ctx context.Context, x *dispatch.Execution) (starts, skip string, err error) {
	switch {
	case x.State == dispatch.StateDead:
		return x.ID, "", nil
	case x.SupersededBy != "":
		return "", "a newer commit took its place: " + x.SupersededBy, nil
	case x.ARN == "":
		return "", "it was never started; rerun starts it", nil
	}
	if _, skip, err = a.nextAttempt(ctx, x); err != nil || skip != "" {
		return "", skip, err
	}
	return x.ID, "", nil
}

func (a *API) rerunMany(w http.ResponseWriter, r *http.Request) {
	a.actOnMany(w, r, &verb{name: "rerun", takes: finished(), plan: a.nextAttempt, do: a.d.Rerun})
}

func finished() []dispatch.State {
	return slices.DeleteFunc(dispatch.States(), func(s dispatch.State) bool { return !s.Finished() })
}

// nextAttempt leaves alone what was tried again already, so that a call that is
// repeated does not run everything once more.
func (a *API) nextAttempt(ctx context.Context, x *dispatch.Execution) (starts, skip string, err error) {
	next := dispatch.AttemptID(x.Base, x.Attempt+1)
	_, err = a.d.Execution(ctx, next)
	switch {
	case err == nil:
		return "", "there is a later attempt: " + next, nil
	case errors.Is(err, dispatch.ErrNotFound):
		return next, "", nil
	default:
		return "", "", err
	}
}

// actOnMany acts on the executions that match a filter, oldest first: so the
// newest commit of an environment is also the last to be deployed again.
func (a *API) actOnMany(w http.ResponseWriter, r *http.Request, v *verb) {
	call, err := readMany(r, v)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	matches, err := a.matches(r.Context(), call.filter)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	done := Many{Matched: len(matches), Executions: []OneOfMany{}, DryRun: call.dryRun}
	for i := range matches {
		x := &matches[i]
		if x.Seq <= call.after {
			continue
		}
		if len(done.Executions) == call.limit {
			done.Next = matches[i-1].Seq
			break
		}
		done.Executions = append(done.Executions, a.actOn(r.Context(), x, v, call))
	}
	answer(w, http.StatusOK, done)
}

// manyCall is a call that acts on many executions.
type manyCall struct {
	filter dispatch.ExecutionFilter
	by     string
	after  int64
	limit  int
	dryRun bool
}

func readMany(r *http.Request, v *verb) (c manyCall, err error) {
	q, err := parameters(r, append(filterParameters(), "by", "after", "limit", "dry_run")...)
	if err != nil {
		return c, err
	}
	if c.filter, err = executionFilter(q, time.Now()); err != nil {
		return c, err
	}
	for _, s := range c.filter.States {
		if !slices.Contains(v.takes, s) {
			return c, badParameter("%s takes executions that are %v, not %s", v.name, v.takes, s)
		}
	}
	switch {
	case len(c.filter.States) > 0:
	case len(v.unasked) > 0:
		c.filter.States = v.unasked
	default:
		return c, badParameter("say which executions to %s: state is one or several of %v", v.name, v.takes)
	}
	switch q.Get("dry_run") {
	case "", "false":
	case "true":
		c.dryRun = true
	default:
		return c, badParameter("dry_run is true or false")
	}
	const maxInt64 = 1<<63 - 1
	if c.after, err = number(q, "after", maxInt64); err != nil {
		return c, err
	}
	limit, err := number(q, "limit", 1000)
	if err != nil {
		return c, err
	}
	if c.limit = int(limit); c.limit == 0 {
		c.limit = manyLimit
	}
	c.by, err = caller(q)
	return c, err
}

// matches returns all executions that match, oldest first.
func (a *API) matches(ctx context.Context, f dispatch.ExecutionFilter) (all []dispatch.Execution, err error) {
	f.Limit = 1000
	for {
		page, err := a.d.Executions(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("list executions: %w", err)
		}
		all = append(all, page.Executions...)
		if len(all) > maxMatches {
			return nil, badParameter("more than %d executions match; narrow the filter, for example by since or repository", maxMatches)
		}
		if f.Before = page.Next; f.Before == 0 {
			slices.Reverse(all)
			return all, nil
		}
	}
}

func (a *API) actOn(ctx context.Context, x *dispatch.Execution, v *verb, call manyCall) OneOfMany {
	one := OneOfMany{Execution: x.ID}
	var err error
	one.Started, one.Skipped, err = v.plan(ctx, x)
	if err == nil && one.Skipped == "" && !call.dryRun {
		one.Started, err = v.do(ctx, x.ID, call.by)
	}
	if err != nil {
		one.Started = ""
		_, one.Error = explain(err)
		a.log.Warn("one of many executions failed", zap.String("call", v.name), zap.String("request_id", x.ID), zap.Error(err))
	}
	return one
}
