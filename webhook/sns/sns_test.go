package sns_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/sns"
)

// texts makes an event of the ID that the message is.
type texts struct{}

func (texts) DecodeMessage(text []byte) ([]event.Event, error) {
	return []event.Event{{DeliveryID: string(text)}}, nil
}

// fixture is a source and all around it.
type fixture struct {
	*sns.Source
	*authority
	net *internet
	at  atomic.Int64 // nanoseconds after start
}

func (f *fixture) later(d time.Duration) { f.at.Add(int64(d)) }

func newFixture(t testing.TB, a *authority, cfg sns.Config) *fixture {
	t.Helper()
	f := &fixture{authority: a, net: &internet{pages: map[string]func() *http.Response{}}}
	f.net.set(certURL, page(200, inPEM(a.leaf, a.middle)))
	if cfg.Topics == nil {
		cfg.Topics = []string{"arn:aws:sns:eu-west-1:123456789012:other", topic}
	}
	var err error
	f.Source, err = sns.New(texts{}, cfg, sns.WithTransport(f.net), sns.WithRoots(a.roots()),
		sns.WithClock(func() time.Time { return start.Add(time.Duration(f.at.Load())) }))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// verify is a verdict: "" for genuine.
func (f *fixture) verify(m message) string {
	err := f.Verify(m.header(), m.body())
	switch {
	case err == nil:
		return ""
	case errors.As(err, new(*webhook.ForbiddenError)):
		return "forbidden"
	case errors.As(err, new(*webhook.UnsureError)):
		return "unsure"
	}
	return "refused"
}

func TestGenuineMessagesAreTaken(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	subject := notification("with a subject")
	subject["Subject"] = "UPDATE: a push"
	null := notification("with a null subject")
	null["Subject"] = nil
	attributes := notification("attributes are not signed")
	attributes["MessageAttributes"] = map[string]any{"a": map[string]string{"Type": "String", "Value": "b"}}
	for name, m := range map[string]message{
		"plain": notification("a"), "subject": subject, "null": null, "attributes": attributes,
		"lines": notification("a\nMessageId\nm-2\n"), "other alphabets": notification("日本語 <&> \u2028"),
		"confirmation": confirmation(host + "/?x"),
	} {
		for _, version := range []string{"1", "2"} {
			m["SignatureVersion"] = version
			if got := f.verify(f.sign(m)); got != "" {
				t.Errorf("%s, version %s: %s", name, version, got)
			}
		}
	}
	if n := f.net.count(); n != 1 {
		t.Errorf("%d fetches of one certificate", n)
	}
}

func TestAlteredMessagesAreRefused(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	for _, version := range []string{"1", "2"} {
		for _, name := range []string{"Message", "MessageId", "Subject", "Timestamp", "Type", "SubscribeURL", "Token"} {
			for _, genuine := range []func() message{func() message { return notification("a") }, func() message { return confirmation(host + "/?x") }} {
				m := genuine()
				isNotification := m["Type"] == "Notification"
				if isNotification == (name == "SubscribeURL" || name == "Token") || !isNotification && name == "Subject" {
					continue // not signed in one of this type
				}
				m["SignatureVersion"] = version
				m = f.sign(m)
				switch name {
				case "Type":
					m[name] = map[bool]string{true: "UnsubscribeConfirmation", false: "Notification"}[isNotification]
				case "Timestamp":
					m[name] = start.Add(time.Second).Format(time.RFC3339)
				default:
					m[name] = "altered"
				}
				if got := f.verify(m); got != "refused" {
					t.Errorf("version %s, %s of %s altered: %q", version, name, genuine()["Type"], got)
				}
			}
		}
	}
	for name, change := range map[string]func(m message){
		"version 1 for 2":    func(m message) { m["SignatureVersion"] = "1" },
		"version 3":          func(m message) { m["SignatureVersion"] = "3" },
		"no signature":       func(m message) { delete(m, "Signature") },
		"signature's base64": func(m message) { m["Signature"] = "%%" },
		"no certificate":     func(m message) { delete(m, "SigningCertURL") },
		"no timestamp":       func(m message) { m["Timestamp"] = "yesterday" },
	} {
		m := f.sign(notification("a"))
		change(m)
		if got := f.verify(m); got != "refused" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Parsers differ about which of two members of one name counts.
func TestMembersTwiceAreRefused(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	m := f.sign(notification("a"))
	body := strings.Replace(string(m.body()), `"Message":"a"`, `"Message":"evil","Message":"a"`, 1)
	if err := f.Verify(m.header(), []byte(body)); err == nil || !strings.Contains(err.Error(), "Message") {
		t.Errorf("%v", err)
	}
}

func TestOtherTopicsAreForbidden(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	for _, arn := range []string{topic + "x", strings.ToUpper(topic), "arn:aws:sns:eu-west-1:210987654321:switchyard", ""} {
		m := notification("a")
		m["TopicArn"] = arn
		m = f.sign(m)
		if got := f.verify(m); got != "forbidden" {
			t.Errorf("%s: %q", arn, got)
		}
		// A header that says otherwise helps nobody.
		h := m.header()
		h.Set("x-amz-sns-topic-arn", topic)
		if err := f.Verify(h, m.body()); !errors.As(err, new(*webhook.ForbiddenError)) {
			t.Errorf("%s: %v", arn, err)
		}
	}
	if n := f.net.count(); n != 0 {
		t.Errorf("%d fetches for others' topics", n)
	}
}

func TestRawDeliveryIsRefused(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	h := http.Header{"X-Amz-Sns-Message-Type": {"Notification"}, "X-Amz-Sns-Rawdelivery": {"true"}, "X-Amz-Sns-Topic-Arn": {topic}}
	if err := f.Precheck(h); !errors.Is(err, webhook.ErrSignatureMissing) || !strings.Contains(err.Error(), "RawMessageDelivery") {
		t.Error(err)
	}
	h.Del("X-Amz-Sns-Rawdelivery")
	if err := f.Verify(h, []byte(`{"Records":[]}`)); err == nil {
		t.Error("a body without an envelope is taken")
	}
	if err := f.Precheck(http.Header{}); !errors.Is(err, webhook.ErrSignatureMissing) {
		t.Error(err)
	}
	if err := f.Precheck(http.Header{"X-Amz-Sns-Message-Type": {"Other"}}); !errors.Is(err, webhook.ErrSignatureMalformed) {
		t.Error(err)
	}
}

// Nothing is made of a body before its signature is known, beyond what SNS sends.
func TestLargeBodiesAreNotRead(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	if got := f.verify(f.sign(notification(strings.Repeat("x", 256<<10)))); got != "" {
		t.Errorf("the largest message: %q", got)
	}
	m := f.sign(notification(strings.Repeat("x", 2<<20)))
	h, body := m.header(), m.body()
	if err := f.Verify(h, body); err == nil {
		t.Error("a body of 2 MiB is read")
	}
	if n := testing.AllocsPerRun(10, func() { _ = f.Verify(h, body) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func TestOldMessagesAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		maxAge, later time.Duration
		want          string
	}{
		"at once":              {0, 0, ""},
		"the last retry":       {0, time.Hour, ""},
		"after two hours":      {0, 2 * time.Hour, "refused"},
		"within max_age":       {24 * time.Hour, 23 * time.Hour, ""},
		"after max_age":        {24 * time.Hour, 25 * time.Hour, "refused"},
		"a clock behind":       {0, -4 * time.Minute, ""},
		"a clock far behind":   {0, -6 * time.Minute, "refused"},
		"longer than it lives": {10000 * time.Hour, 2000 * time.Hour, "unsure"}, // the certificate is out of date
	} {
		f := newFixture(t, newAuthority(t, nil), sns.Config{MaxAge: row.maxAge})
		f.later(row.later)
		if got := f.verify(f.sign(notification("a"))); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

const subscribeURL = host + "/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=token-1"

func TestSubscriptionsAreConfirmed(t *testing.T) {
	a := newAuthority(t, nil)
	f := newFixture(t, a, sns.Config{})
	m := a.sign(confirmation(subscribeURL))
	f.net.set(subscribeURL, page(500, ""))
	_, err := f.Decode(m.header(), m.body())
	if !errors.As(err, new(*webhook.UnsureError)) || strings.Contains(err.Error(), "token-1") {
		t.Errorf("%v", err)
	}
	f.net.set(subscribeURL, page(302, "https://evil.example"))
	if _, err := f.Decode(m.header(), m.body()); !errors.As(err, new(*webhook.UnsureError)) {
		t.Errorf("%v", err)
	}
	f.net.set(subscribeURL, page(200, "<ConfirmSubscriptionResponse/>"))
	ev, err := f.Decode(m.header(), m.body())
	if !errors.As(err, new(*webhook.Ignored)) || ev.DeliveryID != "m-1" || f.net.count() != 3 {
		t.Errorf("%+v, %v, %v", ev, err, f.net.asked)
	}
	m["Type"] = "UnsubscribeConfirmation"
	if _, err := f.Decode(m.header(), m.body()); !errors.As(err, new(*webhook.Ignored)) || f.net.count() != 3 {
		t.Errorf("%v, %v", err, f.net.asked)
	}
}

// Even what is signed is confirmed at SNS alone.
func TestHostileSubscribeURLsAreNotFollowed(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	for _, url := range []string{
		strings.Replace(subscribeURL, "https", "http", 1), strings.Replace(subscribeURL, ".com", ".com.evil.example", 1),
		strings.Replace(subscribeURL, ".com", ".com:444", 1), strings.Replace(subscribeURL, "https://", "https://u@", 1),
		strings.Replace(subscribeURL, "eu-west-1", "us-east-1", 1), strings.Replace(subscribeURL, "/?", "/x?", 1),
		strings.Replace(subscribeURL, "Confirm", "Delete", 1), strings.Replace(subscribeURL, "switchyard", "other", 1),
		strings.Replace(subscribeURL, "token-1", "token-2", 1), subscribeURL + "&AuthenticateOnUnsubscribe=x", subscribeURL + "#x", "", "\x00",
	} {
		m := confirmation(url)
		if _, err := f.Decode(m.header(), m.body()); err == nil || errors.As(err, new(*webhook.Ignored)) || errors.As(err, new(*webhook.UnsureError)) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := f.net.count(); n != 0 {
		t.Errorf("asked for %v", f.net.asked)
	}
}

func TestHandlerAnswersSNS(t *testing.T) {
	a := newAuthority(t, nil)
	f := newFixture(t, a, sns.Config{})
	f.net.set(subscribeURL, page(200, ""))
	var ids []string
	h, err := webhook.New(sink(func(ev event.Event) { ids = append(ids, ev.DeliveryID) }), map[string]webhook.Source{"codecommit": f}, webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	other, altered, unknown := notification("a"), a.sign(notification("a")), notification("a")
	other["TopicArn"], altered["Message"], unknown["SigningCertURL"] = topic+"x", "b", host+"/SimpleNotificationService-0.pem"
	for name, row := range map[string]struct {
		m      message
		status int
	}{
		"notification": {a.sign(notification("the ID")), 202}, "confirmation": {a.sign(confirmation(subscribeURL)), 200},
		"another topic": {a.sign(other), 403}, "altered": {altered, 401}, "a certificate that is not there": {a.sign(unknown), 503},
		"a forged confirmation": {a.sign(confirmation("https://evil.example/")), 400},
	} {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/codecommit", strings.NewReader(string(row.m.body())))
		r.Header = row.m.header()
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != row.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(ids) != 1 || ids[0] != "the ID" {
		t.Errorf("taken: %v", ids)
	}
}

type sink func(event.Event)

func (f sink) Accept(_ context.Context, ev event.Event) (event.Receipt, error) {
	f(ev)
	return event.Receipt{Delivery: ev.DeliveryID, Executions: []string{"x"}}, nil
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]sns.Config{
		"no topic": {}, "a name": {Topics: []string{"switchyard"}}, "a queue": {Topics: []string{"arn:aws:sqs:eu-west-1:123456789012:q"}},
		"a host": {Topics: []string{"arn:aws:sns:evil.example/:123456789012:q"}}, "a subscription": {Topics: []string{topic + ":a38ba7fd-7358-5cb1-a740-8735ab560537"}},
		"an age below zero": {Topics: []string{topic}, MaxAge: -1},
	} {
		if _, err := sns.New(texts{}, cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := sns.New(nil, sns.Config{Topics: []string{topic}}); err == nil {
		t.Error("no decoder is taken")
	}
	if _, err := sns.New(texts{}, sns.Config{Topics: []string{"arn:aws-cn:sns:cn-north-1:123456789012:q", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:q.fifo"}}); err != nil {
		t.Error(err)
	}
}

func TestUnwrap(t *testing.T) {
	d, err := sns.Unwrap(texts{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		string(notification("inner").body()): "inner", `{"detail-type":"x"}`: `{"detail-type":"x"}`, `{"Type":"Notification","Message":"x"}`: `{"Type":"Notification","Message":"x"}`, "hello": "hello",
	} {
		if evs, err := d.DecodeMessage([]byte(text)); err != nil || evs[0].DeliveryID != want {
			t.Errorf("%s: %+v, %v", text, evs, err)
		}
	}
	if evs, err := d.DecodeMessage(confirmation("x").body()); !errors.As(err, new(*webhook.Ignored)) || evs[0].DeliveryID != "m-1" {
		t.Errorf("%+v, %v", evs, err)
	}
}
