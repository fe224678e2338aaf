package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
)

// An App's token for a clone can read one repository, is kept for that
// repository alone, and is replaced before it ends.
func TestCloneTokensOfAnApp(t *testing.T) {
	now := time.Now()
	var asked []map[string]any
	status := http.StatusCreated
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/repos/acme/api/installation", "/repos/acme/web/installation":
			fmt.Fprint(w, `{"id":7}`)
		case "/app/installations/7/access_tokens":
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			asked = append(asked, body)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"token":"t%d","expires_at":%q}`, len(asked), now.Add(time.Hour).Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"Not Found"}`)
		}
	}))
	defer server.Close()
	c, err := New(Config{Source: "work", BaseURL: server.URL, App: &App{ID: 42, PrivateKey: testKey(t)}}, WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	wants := func(repository, want string) {
		t.Helper()
		if got, err := c.CloneToken(t.Context(), repository); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", repository, got, err, want)
		}
	}
	wants("acme/api", "t1")
	wants("acme/api", "t1")
	wants("acme/web", "t2")
	now = now.Add(time.Hour - tokenSlack)
	wants("acme/api", "t3")
	of := func(name string) map[string]any {
		return map[string]any{"repositories": []any{name}, "permissions": map[string]any{"contents": "read"}}
	}
	if diff := cmp.Diff([]map[string]any{of("api"), of("web"), of("api")}, asked); diff != "" {
		t.Errorf("asked for (-want +got)\n%s", diff)
	}
	var permanent *dispatch.PermanentError
	for _, repository := range []string{"acme/gone", "acme", "../x", "acme/api/x"} {
		if _, err := c.CloneToken(t.Context(), repository); !errors.As(err, &permanent) {
			t.Errorf("%s: %v", repository, err)
		}
	}
	now, status = now.Add(time.Hour), http.StatusUnprocessableEntity
	if _, err := c.CloneToken(t.Context(), "acme/web"); !errors.As(err, &permanent) {
		t.Errorf("without the permission: %v", err)
	}
	status = http.StatusBadGateway
	if _, err := c.CloneToken(t.Context(), "acme/web"); err == nil || errors.As(err, &permanent) || errors.Is(err, dispatch.ErrCannotAsk) {
		t.Errorf("away: %v", err)
	}
}

func TestCloneTokenOfAToken(t *testing.T) {
	c, err := New(Config{Token: "the token"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.CloneToken(t.Context(), "acme/api"); err != nil || got != "the token" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.CloneToken(t.Context(), "acme"); err == nil {
		t.Error("no repository, and a token")
	}
}
