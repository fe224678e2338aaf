package eventbridge_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/eventbridge"
)

type decoder struct{}

func (decoder) DecodeMessage(text []byte) ([]event.Event, error) {
	return []event.Event{{DeliveryID: string(text)}}, nil
}

func source(t testing.TB, cfg eventbridge.Config) *eventbridge.Source {
	t.Helper()
	s, err := eventbridge.New(decoder{}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConnectionsAreTold(t *testing.T) {
	both := eventbridge.Config{APIKeys: []string{"old key", "new key"}, Basic: []eventbridge.Login{{"ada", "pass:word"}, {"ben", "other"}}}
	named := eventbridge.Config{Header: "x-switchyard-key", APIKeys: []string{"new key"}}
	basic := func(user, password string) http.Header {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header
	}
	for name, row := range map[string]struct {
		cfg  eventbridge.Config
		h    http.Header
		want error
	}{
		"the new key":              {both, http.Header{"X-Api-Key": {"new key"}}, nil},
		"the old key":              {both, http.Header{"X-Api-Key": {"old key"}}, nil},
		"another key":              {both, http.Header{"X-Api-Key": {"new keyx"}}, webhook.ErrSignatureMismatch},
		"no header":                {both, http.Header{}, webhook.ErrSignatureMissing},
		"an empty key":             {both, http.Header{"X-Api-Key": {""}}, webhook.ErrSignatureMissing},
		"a login":                  {both, basic("ada", "pass:word"), nil},
		"another login":            {both, basic("ben", "other"), nil},
		"one's name and other's":   {both, basic("ada", "other"), webhook.ErrSignatureMismatch},
		"named header":             {named, http.Header{"X-Switchyard-Key": {"new key"}}, nil},
		"another header":           {named, http.Header{"X-Api-Key": {"new key"}}, webhook.ErrSignatureMissing},
		"login where none is set":  {named, basic("ada", "pass:word"), webhook.ErrSignatureMissing},
		"wrong key beside a login": {both, func() http.Header { h := basic("ada", "pass:word"); h.Set("X-Api-Key", "no"); return h }(), webhook.ErrSignatureMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := source(t, row.cfg)
			for _, err := range []error{s.Precheck(row.h), s.Verify(row.h, []byte("x"))} {
				if row.want == nil && err != nil || !errors.Is(err, row.want) {
					t.Errorf("%v, want %v", err, row.want)
				}
				if err != nil && (strings.Contains(err.Error(), "new key") || strings.Contains(err.Error(), "pass:word")) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		})
	}
}

// BasicAuth splits at the first colon, so a user name holds none.
func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]eventbridge.Config{
		"nothing":         {},
		"an empty key":    {APIKeys: []string{"a", ""}},
		"no password":     {Basic: []eventbridge.Login{{Username: "a"}}},
		"a colon":         {Basic: []eventbridge.Login{{"a:b", "c"}}},
		"a header's name": {Header: "a b", APIKeys: []string{"k"}},
		"Authorization":   {Header: "authorization", APIKeys: []string{"k"}},
	} {
		if _, err := eventbridge.New(decoder{}, cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := eventbridge.New(nil, eventbridge.Config{APIKeys: []string{"k"}}); err == nil {
		t.Error("no decoder is taken")
	}
}

func TestEventsGoToTheDecoder(t *testing.T) {
	evs, err := webhook.DecodeAll(source(t, eventbridge.Config{APIKeys: []string{"k"}}), nil, []byte("the body"))
	if err != nil || len(evs) != 1 || evs[0].DeliveryID != "the body" {
		t.Errorf("%+v, %v", evs, err)
	}
}
