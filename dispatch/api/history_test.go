package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/api"
)

func TestHistoryIsPaged(t *testing.T) {
	f := &fake{events: []dispatch.HistoryEvent{{ID: 7, Previous: 6, Type: "TaskFailed", At: time.UnixMilli(1500).UTC(), State: "Deploy", Details: json.RawMessage(`{"error":"E","cause":"c"}`)}}}
	client := api.NewClient(serve(t, f).URL, token)
	for _, row := range []struct {
		query dispatch.HistoryQuery
		asked string
	}{
		{dispatch.HistoryQuery{}, "history x {After:0 Limit:100 NewestFirst:false Data:false}"},
		{dispatch.HistoryQuery{After: 9, Limit: 3, NewestFirst: true, Data: true}, "history x {After:9 Limit:3 NewestFirst:true Data:true}"},
	} {
		f.did = nil
		page, err := client.History(t.Context(), "x", row.query)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dispatch.HistoryPage{Events: f.events, Next: 7}, page); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{row.asked}, f.did); d != "" {
			t.Error(d)
		}
	}
}

func TestHistoryThatCannotBeTold(t *testing.T) {
	for name, row := range map[string]struct {
		query  string
		err    error
		status int
		says   string
	}{
		"unknown":                        {"", fmt.Errorf("history of x: %w", dispatch.ErrNotFound), http.StatusNotFound, "not found"},
		"not started":                    {"", fmt.Errorf("history of x: %w", dispatch.ErrNotStarted), http.StatusConflict, "has not been started"},
		"an engine that does not answer": {"", errors.New("connection refused"), http.StatusBadGateway, "the engine was asked in vain: connection refused"},
		"no permission":                  {"", &dispatch.BlockedError{Err: errors.New("AccessDenied")}, http.StatusBadGateway, "AccessDenied"},
		"order":                          {"?order=up", nil, http.StatusBadRequest, "order"},
		"limit":                          {"?limit=1001", nil, http.StatusBadRequest, "limit"},
		"after":                          {"?after=-1", nil, http.StatusBadRequest, "after"},
		"data":                           {"?data=no", nil, http.StatusBadRequest, "data"},
		"unknown parameter":              {"?reverse=true", nil, http.StatusBadRequest, "reverse"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := call(t, serve(t, &fake{err: row.err}), "GET", "/api/v1/executions/x/history"+row.query, "bearer "+token, "")
			if status != row.status || !strings.Contains(text, row.says) {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	status, text := call(t, serve(t, &fake{}), "GET", "/api/v1/executions/x/history", "bearer "+token, "")
	if status != http.StatusOK || !strings.Contains(text, `"events":[]`) {
		t.Errorf("%d %s", status, text)
	}
}
