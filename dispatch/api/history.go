package api

import (
	"errors"
	"fmt"
	"net/http"

	"switchyard/dispatch"
)

// historyLimit is how many events a call returns unless it says otherwise.
const historyLimit = 100

func (a *API) showHistory(w http.ResponseWriter, r *http.Request) {
	q, err := historyQuery(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	page, err := a.d.History(r.Context(), r.PathValue("id"), q)
	switch {
	case err == nil:
	case errors.Is(err, dispatch.ErrNotFound), errors.Is(err, dispatch.ErrNotStarted), r.Context().Err() != nil:
		a.fail(w, r, err)
		return
	default:
		if status, _ := explain(err); status == http.StatusInternalServerError {
			err = &httpError{http.StatusBadGateway, fmt.Sprintf("the engine was asked in vain: %v", err)}
		}
		a.fail(w, r, err)
		return
	}
	if page.Events == nil {
		page.Events = []dispatch.HistoryEvent{}
	}
	answer(w, http.StatusOK, page)
}

func historyQuery(r *http.Request) (q dispatch.HistoryQuery, err error) {
	values, err := parameters(r, "after", "limit", "order", "data")
	if err != nil {
		return q, err
	}
	const maxInt64 = 1<<63 - 1
	if q.After, err = number(values, "after", maxInt64); err != nil {
		return q, err
	}
	limit, err := number(values, "limit", 1000)
	if err != nil {
		return q, err
	}
	if q.Limit = int(limit); q.Limit == 0 {
		q.Limit = historyLimit
	}
	switch values.Get("order") {
	case "", "oldest":
	case "newest":
		q.NewestFirst = true
	default:
		return q, badParameter("order is oldest or newest, which comes first")
	}
	switch values.Get("data") {
	case "", "true":
		q.Data = true
	case "false":
	default:
		return q, badParameter("data is true or false")
	}
	return q, nil
}
