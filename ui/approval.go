package ui

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// Approvals are what executions ask people. Decide's errors are those of
// [dispatch.Dispatcher.Decide].
type Approvals interface {
	Approvals(ctx context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error)
	Decide(ctx context.Context, d dispatch.Decision) (dispatch.Approval, error)
}

// WithApprovals has pages show what executions ask, and take decisions: from those
// who have a token that may, or a link made by [Pages.ApprovalLink].
func WithApprovals(a Approvals, may func(token string) bool) Option {
	return func(p *Pages) { p.approvals, p.may = a, may }
}

// maxForm is the largest form that is read, in bytes.
const maxForm = 16 << 10

// ApprovalLink is the address of a page on which whoever has it may decide an
// approval in a person's name until a time, to the second. It only shows what is
// asked: programs follow links, and only the form on the page decides. An approval
// is decided once, so the link is used up then.
func (p *Pages) ApprovalLink(a *dispatch.Approval, person string, until time.Time) string {
	seconds := strconv.FormatInt(until.Unix(), 10)
	return p.approvalPath(a) + "?" + url.Values{"for": {person}, "until": {seconds}, "key": {p.sign("approval link", a.Execution, a.ID, person, seconds)}}.Encode()
}

// approvalPage is the address at which an approval can be read, and decided with a
// token.
func (p *Pages) approvalPage(a *dispatch.Approval) string {
	return p.approvalPath(a) + "?key=" + p.sign("approval page", a.Execution, a.ID)
}

func (p *Pages) approvalPath(a *dispatch.Approval) string {
	return p.base + "/executions/" + url.PathEscape(a.Execution) + "/approvals/" + url.PathEscape(a.ID)
}

// sign makes a key for one purpose out of what it is about. Parts are told apart by
// their length.
func (p *Pages) sign(purpose string, parts ...string) string {
	mac := hmac.New(sha256.New, p.key)
	fmt.Fprintf(mac, "%s\n", purpose)
	for _, part := range parts {
		fmt.Fprintf(mac, "%d:%s\n", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

//go:embed approval.html
var approvalHTML string

var approvalTemplate = template.Must(template.New("approval").Funcs(template.FuncMap{"safe": safetext.Line}).Parse(approvalHTML))

type approvalView struct {
	dispatch.Approval
	// Page is the execution's, Form proves that the form came from the page.
	Page, Form string
	// Person is in whose name a link decides, "" where a token is asked for.
	Person string
	// Open is true while it can be decided here.
	Open bool
	// Problem says why a decision was not taken.
	Problem string
}

var errNoSuchPage = errors.New("there is no such page; open it from the execution's page, or by the link that was sent to you")

// serveApproval answers for one approval of an execution.
func (p *Pages) serveApproval(w http.ResponseWriter, r *http.Request, execution, id string) {
	h := w.Header()
	// The form comes back here, and the browser has to say from where.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", strings.Replace(contentPolicy, "form-action 'none'", "form-action 'self'", 1))
	person, err := p.admits(r.URL.Query(), execution, id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	found, err := p.approvals.Approvals(r.Context(), dispatch.ApprovalFilter{Execution: execution, ID: id})
	switch {
	case err != nil:
		p.broken(w, execution, err)
		return
	case len(found) == 0:
		http.Error(w, "this approval is no longer in the journal", http.StatusNotFound)
		return
	}
	v := approvalView{Approval: found[0], Person: person, Page: p.Link(execution)}
	v.Form = p.sign("approval form", v.Execution, v.ID, v.SHA)
	status := http.StatusOK
	if r.Method == http.MethodPost {
		if status, v.Problem = p.decide(w, r, &v); status == http.StatusSeeOther {
			http.Redirect(w, r, r.URL.RequestURI(), status)
			return
		}
	}
	v.Open = v.State == dispatch.ApprovalWaiting && (v.ExpiresAt.IsZero() || p.now().Before(v.ExpiresAt))
	var body bytes.Buffer
	if err := approvalTemplate.Execute(&body, v); err != nil {
		p.broken(w, execution, err)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the reader has gone; there is nobody to tell
}

// admits checks a page's key, and returns the person whom a link is for.
func (p *Pages) admits(q url.Values, execution, id string) (person string, err error) {
	key, person, until := q.Get("key"), q.Get("for"), q.Get("until")
	if person == "" {
		if !hmac.Equal([]byte(key), []byte(p.sign("approval page", execution, id))) {
			return "", errNoSuchPage
		}
		return "", nil
	}
	if !hmac.Equal([]byte(key), []byte(p.sign("approval link", execution, id, person, until))) {
		return "", errNoSuchPage
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || !p.now().Before(time.Unix(seconds, 0)) {
		return "", errors.New("this link has expired; ask for another one")
	}
	return person, nil
}

// decide takes the form: the status is "see other" where it was taken, and
// otherwise comes with what is wrong, for the page.
func (p *Pages) decide(w http.ResponseWriter, r *http.Request, v *approvalView) (status int, problem string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return http.StatusBadRequest, "The form cannot be read; try again."
	}
	form := r.PostForm
	if p.origin.Check(r) != nil || !hmac.Equal([]byte(form.Get("form")), []byte(v.Form)) {
		return http.StatusForbidden, "The form did not come from this page; try again."
	}
	d := dispatch.Decision{
		Execution: v.Execution, Approval: v.ID, Approve: form.Get("decision") == "approve",
		SHA: form.Get("commit"), Reason: strings.TrimSpace(form.Get("reason")), By: v.Person, Way: dispatch.ByLink,
	}
	switch {
	case form.Get("decision") != "approve" && form.Get("decision") != "reject":
		return http.StatusBadRequest, "Approve or reject it."
	case d.SHA == "":
		return http.StatusBadRequest, "The form names no commit; try again."
	case v.Person == "":
		d.By, d.Way = strings.TrimSpace(form.Get("by")), dispatch.ByPage
		if d.By == "" || !p.may(form.Get("token")) {
			return http.StatusForbidden, "Nothing was decided: a name and a token of server.api_tokens are needed."
		}
	}
	_, err := p.approvals.Decide(r.Context(), d)
	var refused *dispatch.RefusedError
	switch {
	case err == nil:
		return http.StatusSeeOther, ""
	case errors.As(err, &refused):
		return http.StatusConflict, "Nothing was decided: " + refused.Reason + "."
	}
	p.log.Error("a decision was not taken", zap.String("execution", v.Execution), zap.Error(err))
	return http.StatusServiceUnavailable, "The decision could not be confirmed; look whether it was taken, and try again."
}

func (p *Pages) broken(w http.ResponseWriter, execution string, err error) {
	p.log.Error("page failed", zap.String("execution", execution), zap.Error(err))
	http.Error(w, "something went wrong here; the log says what", http.StatusInternalServerError)
}

// asked is an approval on the page of its execution.
type asked struct {
	dispatch.Approval
	Link string
}

// addApprovals adds what the execution asks and has asked. A page without it is
// better than none.
func (p *Pages) addApprovals(ctx context.Context, v *view) {
	if p.approvals == nil {
		return
	}
	found, err := p.approvals.Approvals(ctx, dispatch.ApprovalFilter{Execution: v.ID})
	if err != nil {
		p.log.Warn("approvals of an execution cannot be shown", zap.String("execution", v.ID), zap.Error(err))
		return
	}
	for i := range found {
		v.Asked = append(v.Asked, asked{found[i], p.approvalPage(&found[i])})
	}
}
