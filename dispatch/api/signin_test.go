package api_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch/api"
)

func TestSignInLinksAreMadeForTheCaller(t *testing.T) {
	until := time.Date(2026, 11, 20, 9, 10, 0, 0, time.UTC)
	link := func(digest [sha256.Size]byte, person, role string) (string, time.Time, error) {
		if digest != sha256.Sum256([]byte(token)) {
			t.Errorf("digest %x is not that of the caller's token", digest)
		}
		if role == "admin" {
			return "", until, errors.New("role is viewer or operator")
		}
		return "https://switchyard.example/" + person, until, nil
	}
	s := serve(t, &fake{}, api.WithSignIn(link))
	c := api.NewClient(s.URL, token)
	got, err := c.SignInLink(t.Context(), "ada & co", "viewer")
	want := api.SignInLink{Link: "https://switchyard.example/ada & co", For: "ada & co", Role: "viewer", Until: until}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for name, row := range map[string]struct {
		query, auth string
		status      int
	}{
		"operator unless said":    {"for=ada", "Bearer  " + token + " ", 200},
		"without a token":         {"for=ada", "", 401},
		"for nobody":              {"role=viewer", "Bearer " + token, 400},
		"a role there is not":     {"for=ada&role=admin", "Bearer " + token, 400},
		"a misspelt parameter":    {"for=ada&rule=viewer", "Bearer " + token, 400},
		"a parameter given twice": {"for=ada&for=grace", "Bearer " + token, 400},
	} {
		if status, text := call(t, s, "POST", "/api/v1/sign-in?"+row.query, row.auth, ""); status != row.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _ := call(t, serve(t, &fake{}), "POST", "/api/v1/sign-in?for=ada", "Bearer "+token, ""); status != 404 {
		t.Errorf("a service without a dashboard answers %d", status)
	}
}
