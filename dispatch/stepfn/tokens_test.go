package stepfn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
)

func TestTokensAreAnswered(t *testing.T) {
	c, f := newFake(t, map[string]answer{"SendTaskSuccess": {body: "{}"}, "SendTaskFailure": {body: "{}"}})
	if err := c.Succeed(t.Context(), executionARN, "tok", []byte(`{"by":"ada"}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.Fail(t.Context(), executionARN, "tok", strings.Repeat("e", 300), "no"); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"taskToken": "tok", "output": `{"by":"ada"}`},
		{"taskToken": "tok", "error": strings.Repeat("e", 256), "cause": "no"},
	}
	for i, call := range f.seen() {
		if d := cmp.Diff(want[i], call.Body); d != "" {
			t.Error(d)
		}
	}
}

func TestSpentTokens(t *testing.T) {
	for code, spent := range map[string]bool{"TaskTimedOut": true, "TaskDoesNotExist": true, "InvalidToken": true, "AccessDeniedException": false, "InvalidOutput": false} {
		c, _ := newFake(t, map[string]answer{"SendTaskSuccess": apiError(400, code, "said so"), "SendTaskFailure": apiError(400, code, "said so")})
		for _, err := range []error{c.Succeed(t.Context(), executionARN, "secret", nil), c.Fail(t.Context(), executionARN, "secret", "E", "")} {
			if errors.Is(err, dispatch.ErrTokenSpent) != spent || err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", code, err)
			}
			var blocked *dispatch.BlockedError
			if code == "AccessDeniedException" && !errors.As(err, &blocked) {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
}

func TestDecodeApproval(t *testing.T) {
	got, err := DecodeApproval([]byte(`{"version":"0","id":"e1","detail-type":"Approval requested","source":"switchyard","account":"123456789012","time":"2026-11-26T10:00:00Z",
		"region":"us-east-1","resources":["arn:aws:states:us-east-1:123456789012:stateMachine:deploy","` + executionARN + `"],
		"detail":{"token":"tok","title":"Deploy","commit":"abc","repository":"acme/api","environment":"prod","asked_by":"ada","approvers":["ben","eve"],"diff":"https://x","expires_in":90.5}}`))
	want := dispatch.Ask{Token: "tok", ExecutionARN: executionARN, Title: "Deploy", Commit: "abc", Repository: "acme/api", Environment: "prod", AskedBy: "ada",
		Approvers: []string{"ben", "eve"}, Diff: "https://x", At: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), ExpiresIn: 90500 * time.Millisecond}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	// What the state itself says counts for more than what was added.
	got, err = DecodeApproval([]byte(`{"detail-type":"Approval requested","source":"switchyard","resources":["` + executionARN + `"],"detail":{"token":"tok","execution":"arn:parent"}}`))
	if err != nil || got.ExecutionARN != "arn:parent" {
		t.Errorf("%+v, %v", got, err)
	}
	for says, bad := range map[string]string{
		"decode approval: ":             `{`,
		`"Other"`:                       `{"detail-type":"Other","source":"switchyard"}`,
		"detail.token is missing":       `{"detail-type":"Approval requested","source":"switchyard","detail":{"execution":"x"}}`,
		"detail.execution is missing":   `{"detail-type":"Approval requested","source":"switchyard","detail":{"token":"secret"}}`,
		"detail.expires_in is -1":       `{"detail-type":"Approval requested","source":"switchyard","detail":{"token":"secret","execution":"x","expires_in":-1}}`,
		"detail.expires_in is 1e+12":    `{"detail-type":"Approval requested","source":"switchyard","detail":{"token":"secret","execution":"x","expires_in":1e12}}`,
		"cannot unmarshal string into ": `{"detail-type":"Approval requested","source":"switchyard","detail":{"token":"secret","approvers":"ben"}}`,
	} {
		if _, err := DecodeApproval([]byte(bad)); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestTokensAreHiddenInHistories(t *testing.T) {
	for given, want := range map[string]string{
		`{"Entries":[{"Detail":{"token":"secret","commit":"abc","n":12345678901234567890}}]}`: `{"Entries":[{"Detail":{"commit":"abc","n":12345678901234567890,"token":"(hidden)"}}]}`,
		`{"MessageBody":{"TaskToken":"secret"},"task_token":{"a":"secret"}}`:                  `{"MessageBody":{"TaskToken":"(hidden)"},"task_token":"(hidden)"}`,
		`not JSON`: `(hidden)`,
	} {
		if got := hideTokens(given); got != want {
			t.Errorf("%s\n got %s\nwant %s", given, got, want)
		}
	}
}
