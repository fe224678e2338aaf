package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// several is a source of deliveries that tell of more than one ref: one event
// for each word of the body, unless verifying or decoding fails.
type several struct{ verify, decode error }

func (s several) Verify(http.Header, []byte) error { return s.verify }

func (s several) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

func (s several) DecodeAll(_ http.Header, body []byte) ([]event.Event, error) {
	var evs []event.Event
	for word := range strings.FieldsSeq(string(body)) {
		evs = append(evs, event.Event{DeliveryID: "d." + word, Ref: "refs/heads/" + word, Repository: event.Repository{FullName: "acme/" + word}})
	}
	return evs, s.decode
}

func TestEveryRefOfADeliveryIsAccepted(t *testing.T) {
	placed, err := webhook.From(several{}, webhook.Origin{Base: "https://git.example.com", Bare: true, Key: "sources.fake"})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		accept  func(ev event.Event) (event.Receipt, error)
		status  int
		outcome string
		body    string
		taken   int
	}{
		"all start": {func(ev event.Event) (event.Receipt, error) {
			return event.Receipt{Delivery: ev.DeliveryID, Executions: []string{"x-" + ev.DeliveryID}, New: 1}, nil
		}, 202, webhook.OutcomeAccepted, `{"delivery":"d.a","executions":["x-d.a","x-d.b","x-d.c"],"new":3}`, 3},
		"one starts nothing": {func(ev event.Event) (event.Receipt, error) {
			if ev.DeliveryID == "d.a" {
				return event.Receipt{Delivery: ev.DeliveryID, Ignored: "no route", Duplicate: true}, nil
			}
			return event.Receipt{Delivery: ev.DeliveryID, Executions: []string{"x-" + ev.DeliveryID}, Note: "n" + ev.DeliveryID}, nil
		}, 202, webhook.OutcomeAccepted, `{"delivery":"d.a","executions":["x-d.b","x-d.c"],"new":0,"note":"nd.b; nd.c"}`, 3},
		"none starts": {func(ev event.Event) (event.Receipt, error) {
			return event.Receipt{Delivery: ev.DeliveryID, Ignored: "no route"}, nil
		}, 200, webhook.OutcomeIgnored, `{"delivery":"d.a","ignored":"no route"}`, 3},
		"all are known": {func(ev event.Event) (event.Receipt, error) {
			return event.Receipt{Delivery: ev.DeliveryID, Duplicate: true}, nil
		}, 202, webhook.OutcomeDuplicate, `{"delivery":"d.a","executions":[],"new":0}`, 3},
		"the disk is full in between": {func(ev event.Event) (event.Receipt, error) {
			if ev.DeliveryID == "d.b" {
				return event.Receipt{}, errors.New("disk full")
			}
			return event.Receipt{Delivery: ev.DeliveryID}, nil
		}, 503, webhook.OutcomeUnavailable, `"error"`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var taken []event.Event
			outcome := ""
			h := newHandler(t, func(_ context.Context, ev event.Event) (event.Receipt, error) {
				taken = append(taken, ev)
				return row.accept(ev)
			}, placed, webhook.Config{}, observing(&outcome))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request(http.MethodPost, "/webhooks/fake", "", strings.NewReader("a b c")))
			if w.Code != row.status || outcome != row.outcome || !strings.Contains(w.Body.String(), row.body) || len(taken) != row.taken {
				t.Errorf("%d %s %s, %d taken", w.Code, outcome, w.Body, len(taken))
			}
			for _, ev := range taken {
				name := strings.TrimPrefix(ev.Ref, "refs/heads/")
				if ev.Source != "fake" || ev.Digest == "" || ev.Repository.CloneURL != "https://git.example.com/acme/"+name {
					t.Errorf("%+v", ev)
				}
			}
		})
	}
}

// A repository's own secrets hold for each ref, whatever the others may.
func TestSecretsOfRepositoriesHoldForEveryRef(t *testing.T) {
	src, err := webhook.PerRepository(func(secrets []string) (webhook.Source, error) {
		return signedBy{several{}, secrets}, nil
	}, []string{"shared"}, map[string][]string{"acme/b": {"own"}})
	if err != nil {
		t.Fatal(err)
	}
	for sign, row := range map[string]struct {
		body string
		ok   bool
	}{"shared": {"a c", true}, "shared ": {"a b", false}, "own": {"b", true}, "own ": {"b a", false}} {
		h := http.Header{"X-Sig": {strings.TrimSpace(sign)}}
		if evs, err := webhook.DecodeAll(src, h, []byte(row.body)); (err == nil) != row.ok || err != nil && evs != nil {
			t.Errorf("%s for %s: %v, %v", sign, row.body, evs, err)
		}
	}
}

// signedBy takes deliveries whose header X-Sig is one of the secrets.
type signedBy struct {
	several
	secrets []string
}

func (s signedBy) Verify(h http.Header, _ []byte) error {
	for _, secret := range s.secrets {
		if h.Get("X-Sig") == secret {
			return nil
		}
	}
	return webhook.ErrSignatureMismatch
}

func TestASourceThatCannotTellIsAskedAgain(t *testing.T) {
	for name, row := range map[string]struct {
		source  several
		status  int
		outcome string
	}{
		"verify cannot tell": {several{verify: &webhook.UnsureError{Err: errors.New("no certificate")}}, 503, webhook.OutcomeUnsure},
		"decode cannot act":  {several{decode: &webhook.UnsureError{Err: errors.New("no answer")}}, 503, webhook.OutcomeUnsure},
		"not allowed":        {several{verify: &webhook.ForbiddenError{Reason: "another topic"}}, 403, webhook.OutcomeForbidden},
		"not genuine":        {several{verify: errors.New("no")}, 401, webhook.OutcomeUnsigned},
		"ignored":            {several{decode: &webhook.Ignored{Reason: "nothing"}}, 200, webhook.OutcomeIgnored},
	} {
		outcome := ""
		h := newHandler(t, takes, row.source, webhook.Config{}, observing(&outcome))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(http.MethodPost, "/webhooks/fake", "", strings.NewReader("a")))
		if w.Code != row.status || outcome != row.outcome || (w.Header().Get("Retry-After") != "") != (row.status == 503) {
			t.Errorf("%s: %d %s %s", name, w.Code, outcome, w.Body)
		}
	}
}

// observing keeps the outcome of the last delivery.
func observing(outcome *string) webhook.Option {
	return webhook.WithObserver(func(_, o string, _ time.Duration) { *outcome = o })
}
