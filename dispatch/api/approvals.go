package api

import (
	"fmt"
	"net/http"
	"time"

	"switchyard/dispatch"
)

const (
	// linkTime is how long a link lives unless the call says otherwise, and
	// maxLinkTime the longest; neither outlives the approval.
	linkTime    = 24 * time.Hour
	maxLinkTime = 30 * 24 * time.Hour
)

// ApprovalList is the answer to a call that lists approvals.
type ApprovalList struct {
	Approvals []dispatch.Approval `json:"approvals"`
}

func (a *API) listApprovals(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "execution", "waiting", "limit")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	f := dispatch.ApprovalFilter{Execution: q.Get("execution")}
	switch q.Get("waiting") {
	case "true":
		f.Waiting = true
	case "", "false":
	default:
		a.fail(w, r, badParameter("waiting is true or false"))
		return
	}
	limit, err := number(q, "limit", 1000)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	f.Limit = int(limit)
	found, err := a.d.Approvals(r.Context(), f)
	if err != nil {
		a.fail(w, r, fmt.Errorf("list approvals: %w", err))
		return
	}
	answer(w, http.StatusOK, ApprovalList{found})
}

// decide takes the decision of a person who has a token. via=cli says that it was
// made on the command line.
func (a *API) decide(w http.ResponseWriter, r *http.Request, approve bool) {
	q, err := parameters(r, "by", "approval", "commit", "reason", "via")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	d := dispatch.Decision{
		Execution: r.PathValue("id"), Approval: q.Get("approval"), Approve: approve,
		SHA: q.Get("commit"), Reason: q.Get("reason"), Way: dispatch.ByAPI,
	}
	switch q.Get("via") {
	case "cli":
		d.Way = dispatch.ByCommandLine
	case "":
	default:
		a.fail(w, r, badParameter("via is cli, or left out"))
		return
	}
	if d.By, err = caller(q); err != nil {
		a.fail(w, r, err)
		return
	}
	made, err := a.d.Decide(r.Context(), d)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, made)
}

// ApprovalLink is the answer to a call that makes a link.
type ApprovalLink struct {
	Link     string    `json:"link"`
	For      string    `json:"for"`
	Until    time.Time `json:"until"`
	Approval string    `json:"approval"`
}

func (a *API) linkApproval(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "for", "approval", "ttl")
	if err == nil && a.link == nil {
		err = &httpError{http.StatusNotFound, "this service has no pages to link to"}
	}
	if person := q.Get("for"); err == nil && (person == "" || len(person) > 100) {
		err = badParameter("for is missing, or has more than 100 bytes: the person who is to decide, as it is recorded then")
	}
	ttl := linkTime
	if text := q.Get("ttl"); err == nil && text != "" {
		if ttl, err = time.ParseDuration(text); err != nil || ttl <= 0 || ttl > maxLinkTime {
			err = badParameter("ttl=%q is not a duration up to %v, such as 4h", text, maxLinkTime)
		}
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	id := r.PathValue("id")
	if _, err := a.d.Execution(r.Context(), id); err != nil {
		a.fail(w, r, fmt.Errorf("execution %s: %w", id, err))
		return
	}
	found, err := a.d.Approvals(r.Context(), dispatch.ApprovalFilter{Execution: id, ID: q.Get("approval"), Waiting: true})
	switch {
	case err != nil:
		a.fail(w, r, fmt.Errorf("approvals of %s: %w", id, err))
		return
	case len(found) != 1:
		a.fail(w, r, &httpError{http.StatusConflict, fmt.Sprintf("execution %s waits for %d such approvals; a link is for one", id, len(found))})
		return
	}
	until := time.Now().Add(ttl).Truncate(time.Second).UTC()
	if e := found[0].ExpiresAt; !e.IsZero() && e.Before(until) {
		until = e
	}
	answer(w, http.StatusOK, ApprovalLink{Link: a.link(&found[0], q.Get("for"), until), For: q.Get("for"), Until: until, Approval: found[0].ID})
}
