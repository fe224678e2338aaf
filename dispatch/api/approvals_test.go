package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/api"
)

func TestDecisionsOverTheAPI(t *testing.T) {
	for name, row := range map[string]struct {
		path, did string
		err       error
		status    int
		says      string
	}{
		"approve":        {path: "/approve?by=ada&commit=abcdef0&reason=fine", did: "decide {Execution:x Approval: Approve:true SHA:abcdef0 By:ada ByNames:[] Way:API Reason:fine At:0001-01-01 00:00:00 +0000 UTC Said:0001-01-01 00:00:00 +0000 UTC NotOwn:false}", status: 200, says: `"state":"approved"`},
		"reject":         {path: "/reject?by=ada&via=cli&approval=a1", did: "decide {Execution:x Approval:a1 Approve:false SHA: By:ada ByNames:[] Way:command line Reason: At:0001-01-01 00:00:00 +0000 UTC Said:0001-01-01 00:00:00 +0000 UTC NotOwn:false}", status: 200, says: `"state":"rejected"`},
		"refused":        {path: "/approve?by=ada", err: &dispatch.RefusedError{Reason: "it has expired"}, status: 409, says: "it has expired"},
		"unknown":        {path: "/approve?by=ada", err: dispatch.ErrNotFound, status: 404, says: "not found"},
		"not confirmed":  {path: "/approve?by=ada", err: &dispatch.UnavailableError{Err: dispatch.ErrFinished}, status: 409, says: "has ended"},
		"misspelt":       {path: "/approve?sha=abc", status: 400, says: "is none of by"},
		"another way in": {path: "/approve?via=page", status: 400, says: "via is cli"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{err: row.err}
			w := onX(t, f, http.MethodPost, "/api/v1/executions/x"+row.path)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if row.did != "" && (len(f.did) != 1 || f.did[0] != row.did) {
				t.Errorf("did %q", f.did)
			}
		})
	}
}

func onX(t *testing.T, f *fake, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	a, err := api.New(f, nil, api.Config{Tokens: []string{token}}, api.WithLinks(func(a *dispatch.Approval, person string, until time.Time) string {
		return "https://yard.example/" + a.ID + "/" + person + "/" + until.Format(time.RFC3339)
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestApprovalsAreListed(t *testing.T) {
	f := &fake{approvals: []dispatch.Approval{{ID: "a1", Execution: "x", State: dispatch.ApprovalWaiting}}}
	w := onX(t, f, http.MethodGet, "/api/v1/approvals?waiting=true&execution=x&limit=7")
	var got api.ApprovalList
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || cmp.Diff(f.approvals, got.Approvals) != "" {
		t.Errorf("%v: %s", err, w.Body)
	}
	if d := cmp.Diff([]string{"approvals {Execution:x ID: Waiting:true Limit:7}"}, f.did); d != "" {
		t.Error(d)
	}
	if w := onX(t, f, http.MethodGet, "/api/v1/approvals?waiting=yes"); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestLinksEndWithTheirApproval(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	f := &fake{executions: map[string]dispatch.Execution{"x": {ID: "x"}}, approvals: []dispatch.Approval{{ID: "a1", Execution: "x", ExpiresAt: soon}}}
	var got api.ApprovalLink
	w := onX(t, f, http.MethodPost, "/api/v1/executions/x/link?for=ada&ttl=48h")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !got.Until.Equal(soon) || got.Link != "https://yard.example/a1/ada/"+soon.Format(time.RFC3339) {
		t.Errorf("%v: %d %s", err, w.Code, w.Body)
	}
	for path, status := range map[string]int{"x/link": 400, "x/link?for=ada&ttl=1000h": 400, "x/link?for=ada&ttl=-1h": 400, "y/link?for=ada": 404} {
		if w := onX(t, f, http.MethodPost, "/api/v1/executions/"+path); w.Code != status {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	f.approvals = nil
	if w := onX(t, f, http.MethodPost, "/api/v1/executions/x/link?for=ada"); w.Code != http.StatusConflict {
		t.Errorf("nothing waits: %d %s", w.Code, w.Body)
	}
}
