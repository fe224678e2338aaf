package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// naming is a source whose deliveries are the name of their repository.
type naming struct{ *webhook.HMAC }

func newNaming(secrets []string) (webhook.Source, error) {
	v, err := webhook.NewHMAC("X-Signature", secrets)
	return naming{v}, err
}

func (naming) Decode(_ http.Header, body []byte) (event.Event, error) {
	name, rest, _ := strings.Cut(string(body), " ")
	ev := event.Event{DeliveryID: "d", Repository: event.Repository{FullName: name}}
	switch rest {
	case "ignored":
		return ev, &webhook.Ignored{Reason: "it asks for nothing"}
	case "broken":
		return ev, fmt.Errorf("it is broken")
	}
	return ev, nil
}

func TestRepositoriesWithSecretsOfTheirOwn(t *testing.T) {
	src, err := webhook.PerRepository(newNaming, []string{"shared", "shared-old"}, map[string][]string{
		"acme/api": {"api", "api-old"}, "Acme/Web": {"web"}, "acme/both": {"shared"},
	})
	if err != nil {
		t.Fatal(err)
	}
	only, err := webhook.PerRepository(newNaming, nil, map[string][]string{"acme/api": {"api"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		src          webhook.Source
		body, secret string
		want         int
	}{
		{src, "acme/api", "api", 202}, {src, "acme/api", "api-old", 202},
		{src, "acme/api", "shared", 401}, {src, "acme/api", "web", 401}, {src, "acme/api", "guess", 401}, {src, "acme/api", "", 401},
		{src, "acme/web", "web", 202}, {src, "acme/web", "shared", 401}, {src, "acme/both", "shared", 202}, {src, "acme/both", "shared-old", 401},
		{src, "acme/other", "shared", 202}, {src, "acme/other", "shared-old", 202}, {src, "acme/other", "api", 401},
		// A host takes these for the same repository, so they must not get round its secret.
		{src, "ACME/api", "api", 202}, {src, "Acme/API", "shared", 401},
		// What asks for nothing is no way to find out whether a secret is known.
		{src, "acme/api ignored", "api", 200}, {src, "acme/api ignored", "shared", 401}, {src, "acme/api broken", "shared", 401}, {src, "acme/api broken", "api", 400},
		{src, " ignored", "web", 200}, {src, " broken", "web", 400}, {src, " ignored", "guess", 401},
		{only, "acme/api", "api", 202}, {only, "acme/other", "api", 401}, {only, "acme/api", "guess", 401},
	} {
		h, err := webhook.New(taking{}, map[string]webhook.Source{"x": tc.src}, webhook.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/webhooks/x", strings.NewReader(tc.body))
		if tc.secret != "" {
			r.Header.Set("X-Signature", webhook.Sign(tc.secret, []byte(tc.body)))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.want || strings.Contains(w.Body.String(), "shared") {
			t.Errorf("%q signed with %q: %d %s, want %d", tc.body, tc.secret, w.Code, w.Body, tc.want)
		}
	}
}

func TestPerRepositoryRefusesWhatVerifiesNothing(t *testing.T) {
	many := map[string][]string{}
	for i := range webhook.MaxSecrets + 1 {
		many[fmt.Sprint("acme/", i)] = []string{fmt.Sprint("secret", i)}
	}
	for name, tc := range map[string]struct {
		shared []string
		own    map[string][]string
	}{
		"none at all":           {nil, nil},
		"an empty one":          {[]string{"s"}, map[string][]string{"a/b": {""}}},
		"none for a repository": {[]string{"s"}, map[string][]string{"a/b": nil}},
		"a repository twice":    {nil, map[string][]string{"a/b": {"x"}, "A/b": {"y"}}},
		"too many":              {nil, many},
	} {
		if _, err := webhook.PerRepository(newNaming, tc.shared, tc.own); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// taking is a sink that takes everything.
type taking struct{}

func (taking) Accept(context.Context, event.Event) (event.Receipt, error) {
	return event.Receipt{Executions: []string{"x"}, New: 1}, nil
}
