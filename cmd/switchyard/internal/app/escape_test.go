package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an API client shows on a terminal by itself must not steer it.
func TestAPIEscapesControlCharacters(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret), instant)
	s.deliver(t, "d1", push("feature/\u202e\u009b31m", "\x1b[2Jgone \u009b31m"))
	e := s.settled(t, 1)[0]
	if _, text := s.deliver(t, "d2", push("release/\u202e\u009b31m", "one")); !strings.Contains(text, "ignored") || strings.ContainsAny(text, "\x1b\u009b\u202e") {
		t.Errorf("the answer to a delivery: %q", text)
	}
	for _, path := range []string{"executions", "executions/" + e.ID, "deliveries", "deliveries/github:d1"} {
		req := s.delivery(t, "", "", nil)
		req.Method, req.URL.Path = http.MethodGet, "/api/v1/"+path
		tokenOf(t, s, req)
		status, text := do(t, req)
		if status != http.StatusOK || !json.Valid([]byte(text)) || strings.ContainsAny(text, "\x1b\u009b\u202e") {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
}

func tokenOf(t *testing.T, s *service, req *http.Request) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "data/api.token"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
}
