package api

import (
	"fmt"
	"net/http"

	"switchyard/dispatch"
)

func (a *API) listDeliveries(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "source", "repository", "before", "limit")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	f := dispatch.DeliveryFilter{Source: q.Get("source"), Repository: q.Get("repository")}
	if f.Before, f.Limit, err = page(q); err != nil {
		a.fail(w, r, err)
		return
	}
	found, err := a.d.Deliveries(r.Context(), f)
	if err != nil {
		a.fail(w, r, fmt.Errorf("list deliveries: %w", err))
		return
	}
	if found.Deliveries == nil {
		found.Deliveries = []dispatch.Delivery{}
	}
	answer(w, http.StatusOK, found)
}

func (a *API) showDelivery(w http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		a.fail(w, r, err)
		return
	}
	d, err := a.d.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, fmt.Errorf("delivery %s: %w", r.PathValue("id"), err))
		return
	}
	answer(w, http.StatusOK, d)
}

func (a *API) replayDelivery(w http.ResponseWriter, r *http.Request) {
	if _, err := byWhom(r); err != nil {
		a.fail(w, r, err)
		return
	}
	receipt, err := a.d.Replay(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, answerTo(receipt))
}
