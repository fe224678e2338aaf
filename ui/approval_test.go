package ui_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/ui"
)

var asked = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// questions keeps one approval, and takes decisions by the rule of the journal.
type questions struct {
	a    dispatch.Approval
	made []dispatch.Decision
}

func (q *questions) Approvals(_ context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error) {
	if f.Execution != q.a.Execution || f.ID != "" && f.ID != q.a.ID {
		return nil, nil
	}
	return []dispatch.Approval{q.a}, nil
}

func (q *questions) Decide(_ context.Context, d dispatch.Decision) (dispatch.Approval, error) {
	q.made = append(q.made, d)
	d.At = asked.Add(time.Minute)
	a, _, err := dispatch.Judge(&d, dispatch.StateRunning, []dispatch.Approval{q.a})
	if err != nil {
		return a, err
	}
	a.State, a.DecidedBy, a.Way, a.Reason, a.DecidedAt = d.State(), d.By, d.Way, d.Reason, d.At
	q.a = a
	return a, nil
}

func approvalPages(t *testing.T) (*ui.Pages, *questions) {
	t.Helper()
	q := &questions{a: dispatch.Approval{
		ID: "0123", Execution: "x", Repository: "acme/api", Ref: "refs/heads/main", Environment: "prod", SHA: strings.Repeat("a1", 20), Message: "<script>alert(1)",
		Title: "Deploy to prod", Live: "b2b2b2b2", Diff: "https://git.example/acme/api/compare/b...a", AskedAt: asked, ExpiresAt: asked.Add(time.Hour), State: dispatch.ApprovalWaiting,
	}}
	j := journal{"x": {ID: "x", State: dispatch.StateRunning, WaitsFor: "Deploy to prod"}}
	p := pages(t, j, ui.WithApprovals(q, func(token string) bool { return token == "s3cret" }), ui.WithClock(func() time.Time { return asked.Add(time.Minute) }))
	return p, q
}

var (
	hidden   = regexp.MustCompile(`name="(form|commit)" value="([^"]*)"`)
	pageLink = regexp.MustCompile(`href="([^"]*/approvals/[^"]*)"`)
)

// form is the one on a page, as it stands there.
func form(body string) url.Values {
	values := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		values.Set(m[1], m[2])
	}
	return values
}

func post(t *testing.T, p *ui.Pages, link string, form url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, u.RequestURI(), strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func with(form url.Values, pairs ...string) url.Values {
	changed := url.Values{}
	for k, v := range form {
		changed[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		changed.Set(pairs[i], pairs[i+1])
	}
	return changed
}

func TestLinkDecidesOnceAndOnlyByItsForm(t *testing.T) {
	p, q := approvalPages(t)
	link := p.ApprovalLink(&q.a, "Ada L.", asked.Add(time.Hour))
	w := get(t, p, link) // as a mail scanner does, too
	body := w.Body.String()
	if w.Code != http.StatusOK || len(q.made) != 0 {
		t.Fatalf("%d, decided %v", w.Code, q.made)
	}
	for _, want := range []string{q.a.SHA, "Deploy to prod", "prod", "b2b2b2b2", q.a.Diff, "Ada L.", "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, `name="token"`) {
		t.Errorf("the page has a script, or asks for a token:\n%s", body)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Error(policy)
	}
	good := with(form(body), "decision", "approve", "reason", " fine ")
	for name, bad := range map[string]struct {
		form   url.Values
		header []string
		status int
	}{
		"from another site":   {good, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"from another origin": {good, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"without the form":    {with(good, "form", ""), nil, http.StatusForbidden},
		"without a decision":  {with(good, "decision", ""), nil, http.StatusBadRequest},
		"without a commit":    {with(good, "commit", ""), nil, http.StatusBadRequest},
		"too large":           {with(good, "reason", strings.Repeat("x", 20<<10)), nil, http.StatusBadRequest},
	} {
		if w := post(t, p, link, bad.form, bad.header...); w.Code != bad.status || len(q.made) != 0 {
			t.Errorf("%s: %d, decided %v", name, w.Code, q.made)
		}
	}
	if w := post(t, p, link, with(good, "commit", strings.Repeat("c3", 20))); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "commit "+q.a.SHA) || q.a.State != dispatch.ApprovalWaiting {
		t.Errorf("another commit: %d %s", w.Code, w.Body)
	}
	w = post(t, p, link, good, "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/executions/x/approvals/0123?") {
		t.Fatalf("%d %s: %s", w.Code, w.Header(), w.Body)
	}
	want := dispatch.Decision{Execution: "x", Approval: "0123", Approve: true, SHA: q.a.SHA, By: "Ada L.", Way: dispatch.ByLink, Reason: "fine"}
	if d := cmp.Diff(want, q.made[len(q.made)-1]); d != "" {
		t.Error(d)
	}
	body = get(t, p, link).Body.String()
	if !strings.Contains(body, "approved by Ada L. (signed link)") || strings.Contains(body, "<form") {
		t.Errorf("after it was used:\n%s", body)
	}
	if w := post(t, p, link, with(good, "decision", "reject")); w.Code != http.StatusConflict || q.a.State != dispatch.ApprovalApproved {
		t.Errorf("used again: %d", w.Code)
	}
}

func TestLinksAreForOnePersonApprovalAndTime(t *testing.T) {
	p, q := approvalPages(t)
	link := p.ApprovalLink(&q.a, "ada", asked.Add(time.Hour))
	other := q.a
	other.ID = "4567"
	for name, bad := range map[string]string{
		"another person":   strings.Replace(link, "for=ada", "for=eve", 1),
		"nobody":           strings.Replace(link, "for=ada", "for=", 1),
		"another time":     strings.Replace(link, "until=", "until=9", 1),
		"another approval": strings.Replace(link, "/0123", "/4567", 1),
		"the page's key":   p.Link("x")[:len("https://yard.example/executions/x")] + "/approvals/0123?" + strings.SplitN(p.Link("x"), "?", 2)[1],
		"expired":          p.ApprovalLink(&q.a, "ada", asked),
		"not in journal":   p.ApprovalLink(&other, "ada", asked.Add(time.Hour)),
	} {
		for _, w := range []*httptest.ResponseRecorder{get(t, p, bad), post(t, p, bad, url.Values{"decision": {"approve"}, "commit": {q.a.SHA}})} {
			if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), q.a.SHA) {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
	if len(q.made) != 0 {
		t.Errorf("decided %v", q.made)
	}
}

func TestPageDecidesWithAToken(t *testing.T) {
	p, q := approvalPages(t)
	found := pageLink.FindStringSubmatch(get(t, p, p.Link("x")).Body.String())
	if found == nil {
		t.Fatal("the execution's page does not lead to its approval")
	}
	link := strings.ReplaceAll(found[1], "&amp;", "&")
	body := get(t, p, link).Body.String()
	good := with(form(body), "decision", "reject", "by", "ben", "token", "s3cret")
	for name, bad := range map[string]url.Values{"no token": with(good, "token", ""), "another token": with(good, "token", "guess"), "no name": with(good, "by", " ")} {
		w := post(t, p, link, bad)
		if w.Code != http.StatusForbidden || len(q.made) != 0 || strings.Contains(w.Body.String(), "guess") {
			t.Errorf("%s: %d, decided %v", name, w.Code, q.made)
		}
	}
	if w := post(t, p, link, good); w.Code != http.StatusSeeOther || q.a.State != dispatch.ApprovalRejected || q.a.DecidedBy != "ben" || q.a.Way != dispatch.ByPage {
		t.Errorf("%d, %+v", w.Code, q.a)
	}
	if body := get(t, p, p.Link("x")).Body.String(); !strings.Contains(body, "rejected by ben (page)") {
		t.Errorf("the execution's page:\n%s", body)
	}
}

func TestExpiredApprovalHasNoForm(t *testing.T) {
	p, q := approvalPages(t)
	link := p.ApprovalLink(&q.a, "ada", asked.Add(time.Hour))
	q.a.ExpiresAt = asked.Add(time.Minute)
	if body := get(t, p, link).Body.String(); strings.Contains(body, "<form") {
		t.Error(body)
	}
}
