package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/api"
)

// crowd is a dispatcher with many executions, newest first.
type crowd struct {
	*fake
	all    []dispatch.Execution
	filter dispatch.ExecutionFilter
	broken map[string]error
	acts   []string
}

func newCrowd(n int, state dispatch.State) *crowd {
	c := &crowd{fake: &fake{executions: map[string]dispatch.Execution{}}, broken: map[string]error{}}
	for i := n; i > 0; i-- {
		id := fmt.Sprintf("x%d", i)
		c.all = append(c.all, dispatch.Execution{Seq: int64(i), ID: id, Base: id, Attempt: 1, State: state})
	}
	return c
}

func (c *crowd) Executions(_ context.Context, f dispatch.ExecutionFilter) (page dispatch.ExecutionPage, err error) {
	c.filter = f
	for _, x := range c.all {
		switch {
		case f.Before != 0 && x.Seq >= f.Before, !slices.Contains(f.States, x.State):
		case len(page.Executions) == min(f.Limit, 70): // pages may be short
			page.Next = page.Executions[len(page.Executions)-1].Seq
			return page, nil
		default:
			page.Executions = append(page.Executions, x)
		}
	}
	return page, nil
}

func (c *crowd) act(what, id string) error {
	c.acts = append(c.acts, what+" "+id)
	for i := range c.all {
		if c.all[i].ID == id && c.broken[id] == nil {
			c.all[i].State = dispatch.StateReady
		}
	}
	return c.broken[id]
}

func (c *crowd) Redrive(_ context.Context, id string) (dispatch.RedriveKind, error) {
	return dispatch.RedriveContinue, c.act("redrive", id)
}

func (c *crowd) Rerun(_ context.Context, id, by string) (string, error) {
	return id + "-r2", c.act("rerun by "+by, id)
}

func TestRedriveOfManyIsDoneOldestFirstInSteps(t *testing.T) {
	c := newCrowd(230, dispatch.StateDead)
	c.broken["x7"] = fmt.Errorf("redrive x7: %w", dispatch.ErrNotRedrivable)
	c.broken["x8"] = errors.New("secret detail")
	client := api.NewClient(serve(t, c).URL, token)
	call := api.ManyCall{Filter: dispatch.ExecutionFilter{Repository: "a/b", Since: time.Date(2026, 11, 26, 9, 0, 0, 5, time.UTC)}}
	var steps, order []string
	for {
		done, err := client.RedriveMany(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, fmt.Sprintf("%d of %d", len(done.Executions), done.Matched))
		for _, e := range done.Executions {
			order = append(order, strings.TrimSpace(e.Execution+" "+e.Error))
		}
		if call.After = done.Next; call.After == 0 {
			break
		}
	}
	if d := cmp.Diff([]string{"100 of 230", "100 of 132", "30 of 32"}, steps); d != "" {
		t.Error(d)
	}
	want := make([]string, 230)
	for i := range want {
		want[i] = fmt.Sprintf("x%d", i+1)
	}
	want[6] = "x7 redrive x7: the execution cannot be redriven"
	want[7] = "x8 something went wrong here; the log says what"
	if d := cmp.Diff(want, order); d != "" {
		t.Error(d)
	}
	c.filter.Before = 0
	if d := cmp.Diff(dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateDead}, Repository: "a/b", Since: call.Filter.Since, Limit: 1000}, c.filter); d != "" {
		t.Error(d)
	}
}

func TestRerunOfManyLeavesAloneWhatWasTriedAgain(t *testing.T) {
	c := newCrowd(3, dispatch.StateFailed)
	c.executions["x2-r2"] = dispatch.Execution{ID: "x2-r2"}
	client := api.NewClient(serve(t, c).URL, token)
	call := api.ManyCall{Filter: dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateFailed}}, By: "ada", DryRun: true}
	want := api.Many{Matched: 3, DryRun: true, Executions: []api.OneOfMany{
		{Execution: "x1", Started: "x1-r2"}, {Execution: "x2", Skipped: "there is a later attempt: x2-r2"}, {Execution: "x3", Started: "x3-r2"},
	}}
	for _, dry := range []bool{true, false} {
		call.DryRun, want.DryRun = dry, dry
		got, err := client.RerunMany(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("dry run %t: %s", dry, d)
		}
		if dry && len(c.acts) > 0 {
			t.Errorf("a dry run did %v", c.acts)
		}
	}
	if d := cmp.Diff([]string{"rerun by ada x1", "rerun by ada x3"}, c.acts); d != "" {
		t.Error(d)
	}
}

// What failed goes on only when that is asked for, and not beside what came in
// its place.
func TestRedriveOfManyThatFailed(t *testing.T) {
	c := newCrowd(5, dispatch.StateFailed)
	for i := range c.all {
		c.all[i].ARN = "arn:" + c.all[i].ID
	}
	c.executions["x2-r2"] = dispatch.Execution{ID: "x2-r2"}
	c.all[2].ARN = ""
	c.all[1].SupersededBy = "x9"
	client := api.NewClient(serve(t, c).URL, token)
	states := []dispatch.State{dispatch.StateFailed, dispatch.StateTimedOut, dispatch.StateAborted}
	got, err := client.RedriveMany(t.Context(), api.ManyCall{Filter: dispatch.ExecutionFilter{States: states}})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.OneOfMany{
		{Execution: "x1", Started: "x1"}, {Execution: "x2", Skipped: "there is a later attempt: x2-r2"},
		{Execution: "x3", Skipped: "it was never started; rerun starts it"}, {Execution: "x4", Skipped: "a newer commit took its place: x9"}, {Execution: "x5", Started: "x5"},
	}
	if d := cmp.Diff(want, got.Executions); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"redrive x1", "redrive x5"}, c.acts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(states, c.filter.States); d != "" {
		t.Error(d)
	}
}

func TestManyIsRefusedWhenItIsNotClearWhich(t *testing.T) {
	for query, says := range map[string]string{
		"rerun":                          "state is one or several of",
		"rerun?repository=a":             "state is one or several of",
		"rerun?state=running":            "not running",
		"rerun?state=failed&state=ready": "not ready",
		"redrive?state=succeeded":        "not succeeded",
		"redrive?state=superseded":       "not superseded",
		"redrive?state=bad":              "none of",
		"redrive?repository=a;b":         "repository",
		"redrive?repo=a":                 "repo",
		"redrive?since=soon":             "since",
		"redrive?since=-2h":              "since",
		"redrive?since=-2d":              "since",
		"redrive?dry_run=yes":            "dry_run",
		"redrive?limit=0":                "limit",
		"redrive?after=x":                "after",
		"redrive?before=7":               "before",
	} {
		c := newCrowd(3, dispatch.StateDead)
		status, text := call(t, serve(t, c), "POST", "/api/v1/executions/"+query, "bearer "+token, "")
		if status != http.StatusBadRequest || !strings.Contains(text, says) || len(c.acts) > 0 {
			t.Errorf("%s: %d %s, did %v", query, status, text, c.acts)
		}
	}
}

func TestMoreThanOneCallCanSeeIsRefused(t *testing.T) {
	c := newCrowd(10_001, dispatch.StateDead)
	status, text := call(t, serve(t, c), "POST", "/api/v1/executions/redrive", "bearer "+token, "")
	if status != http.StatusBadRequest || !strings.Contains(text, "narrow the filter") || len(c.acts) > 0 {
		t.Errorf("%d %s, did %d", status, text, len(c.acts))
	}
}

func TestNothingMatches(t *testing.T) {
	status, text := call(t, serve(t, newCrowd(0, dispatch.StateDead)), "POST", "/api/v1/executions/redrive?since=2h", "bearer "+token, "")
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, text, err)
	}
	if d := cmp.Diff(map[string]any{"matched": 0.0, "executions": []any{}}, got); d != "" {
		t.Error(d)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h": now.Add(-2 * time.Hour), "90m": now.Add(-90 * time.Minute), "7d": now.AddDate(0, 0, -7), "0s": now,
		"2026-11-25": time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), "2026-11-26T10:00:00+02:00": time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := api.ParseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2", "yesterday", "-2h", "-1d", "d", "1.5d", "99999999999d", "2026-13-01"} {
		if got, err := api.ParseSince(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
