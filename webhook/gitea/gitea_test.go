package gitea_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/gitea"
	"switchyard/webhook/sourcetest"
)

var update = flag.Bool("update", false, "write the golden files")

// recordedSecret is what the recorded deliveries are signed with.
const recordedSecret = "It's a Secret to Everybody"

func newSource(t testing.TB, secrets ...string) *gitea.Source {
	t.Helper()
	s, err := gitea.New(gitea.Config{Secrets: append([]string{"an older secret"}, secrets...)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header is what the hosts send: GitHub's headers and their own.
func header(kind string) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("X-GitHub-Event", kind)
	h.Set("X-Gitea-Event", kind)
	h.Set("X-GitHub-Delivery", "0bce3c94-fd7c-47f8-8865-d4151aef3db6")
	h.Set("X-Gitea-Delivery", "0bce3c94-fd7c-47f8-8865-d4151aef3db6")
	return h
}

func signed(kind string, body []byte) sourcetest.Delivery {
	h := header(kind)
	h.Set("X-Hub-Signature-256", webhook.Sign(recordedSecret, body))
	return sourcetest.Delivery{Header: h, Body: body}
}

type object = map[string]any

// mutate changes the body of a recorded delivery.
func mutate(t testing.TB, name string, change func(object)) []byte {
	t.Helper()
	var m object
	if err := json.Unmarshal(sourcetest.Load(t, "testdata/"+name+".json").Body, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decode(t testing.TB, name string) event.Event {
	t.Helper()
	d := sourcetest.Load(t, "testdata/"+name+".json")
	ev, err := newSource(t).Decode(d.Header, d.Body)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return ev
}

func same(t *testing.T, want, got event.Event) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// decoded is a golden file.
type decoded struct {
	Event   *event.Event `json:"event,omitempty"`
	Ignored string       `json:"ignored,omitempty"`
}

func TestDecodeGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want.json") {
			continue
		}
		tried++
		t.Run(filepath.Base(file), func(t *testing.T) {
			d := sourcetest.Load(t, file)
			ev, err := newSource(t).Decode(d.Header, d.Body)
			got := decoded{Event: &ev}
			var ignored *webhook.Ignored
			if errors.As(err, &ignored) {
				got = decoded{Ignored: ignored.Reason}
			} else if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			enc := json.NewEncoder(&text)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			if err := enc.Encode(got); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".want.json"
			if *update {
				if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if tried < 50 {
		t.Errorf("only %d deliveries", tried)
	}
}

// form is a body of the other content type that a webhook can have.
func form(text []byte) []byte { return []byte(url.Values{"payload": {string(text)}}.Encode()) }

func TestFormIsSignedAsAWholeOrByItsPayload(t *testing.T) {
	s := newSource(t, recordedSecret)
	text := sourcetest.Load(t, "testdata/04-new-branch-3-commits.push.json").Body
	body := form(text)
	bare := func(signature string) string { return strings.TrimPrefix(signature, "sha256=") }
	for name, row := range map[string]struct {
		header, signature string
		ok                bool
	}{
		"the JSON":                   {"X-Hub-Signature-256", webhook.Sign(recordedSecret, text), true},
		"the raw form, of a relay":   {"X-Hub-Signature-256", webhook.Sign(recordedSecret, body), true},
		"Gitea's own header":         {"X-Gitea-Signature", bare(webhook.Sign(recordedSecret, text)), true},
		"Gogs' own header, raw":      {"X-Gogs-Signature", bare(webhook.Sign(recordedSecret, body)), true},
		"Forgejo, the older secret":  {"X-Forgejo-Signature", bare(webhook.Sign("an older secret", text)), true},
		"another secret":             {"X-Hub-Signature-256", webhook.Sign("another", text), false},
		"the escaped JSON":           {"X-Hub-Signature-256", webhook.Sign(recordedSecret, body[len("payload="):]), false},
		"another JSON":               {"X-Hub-Signature-256", webhook.Sign(recordedSecret, append([]byte(" "), text...)), false},
		"nothing":                    {"X-Hub-Signature-256", webhook.Sign(recordedSecret, nil), false},
		"no secret at the host":      {"X-Hub-Signature-256", "sha256=", false},
		"an HMAC with an empty key":  {"X-Hub-Signature-256", webhook.Sign("", text), false},
		"a prefix where none may be": {"X-Gitea-Signature", webhook.Sign(recordedSecret, text), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := header("push")
			h.Set("Content-Type", "application/x-www-form-urlencoded")
			h.Set(row.header, row.signature)
			if err := s.Verify(h, body); (err == nil) != row.ok {
				t.Errorf("error %v, want accepted: %v", err, row.ok)
			}
		})
	}
}

// The content type is not signed: neither can a form be made out of a genuine
// JSON delivery whose commit message holds a payload of its own, nor does the
// signature of a JSON body count for a form with a second payload.
func TestJSONDoesNotPassAsAForm(t *testing.T) {
	s := newSource(t, recordedSecret)
	text := sourcetest.Load(t, "testdata/04-new-branch-3-commits.push.json").Body
	body := []byte(`{"message":"&payload=` + url.QueryEscape(string(text)) + `&"}`)
	h := header("push")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := s.Decode(h, body); err == nil || !strings.Contains(err.Error(), "application/json") {
		t.Errorf("error %v, want one that says how to repair it", err)
	}
	h.Set("X-Hub-Signature-256", webhook.Sign(recordedSecret, text))
	for _, body := range []string{string(form(text)) + "&payload=%7B%7D", "payload=%7B%7D&" + string(form(text)), string(form(text)) + ";"} {
		if s.Verify(h, []byte(body)) == nil {
			t.Errorf("%.60s… passes", body)
		}
	}
}

func TestNoSecretAtTheHost(t *testing.T) {
	d := sourcetest.Load(t, "testdata/63-no-secret.push.json")
	s := newSource(t, recordedSecret)
	for name, err := range map[string]error{"Precheck": s.Precheck(d.Header), "Verify": s.Verify(d.Header, d.Body)} {
		if !errors.Is(err, webhook.ErrSignatureMissing) || !strings.Contains(err.Error(), "no secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Some of the hosts, and relays, set their own headers only.
func TestHeadersOfEachHost(t *testing.T) {
	body := sourcetest.Load(t, "testdata/05-push-12-commits.push.json").Body
	for _, host := range []string{"Gitea", "Forgejo", "Gogs", "GitHub"} {
		h := http.Header{}
		h.Set("X-"+host+"-Event", "push")
		h.Set("X-"+host+"-Delivery", "d-"+host)
		ev, err := newSource(t).Decode(h, body)
		if err != nil || ev.DeliveryID != "d-"+host || ev.Ref != "refs/heads/main" {
			t.Errorf("%s: %+v, %v", host, ev, err)
		}
	}
	for _, missing := range []string{"Event", "Delivery"} {
		h := header("push")
		h.Del("X-Gitea-" + missing)
		h.Del("X-GitHub-" + missing)
		if _, err := newSource(t).Decode(h, body); err == nil || !strings.Contains(err.Error(), "X-Gitea-"+missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// other is a source that refuses everything, by its own words.
type other struct{ err error }

func (o other) Precheck(http.Header) error                      { return o.err }
func (o other) Verify(http.Header, []byte) error                { return o.err }
func (o other) Decode(http.Header, []byte) (event.Event, error) { return event.Event{}, o.err }

func TestBesideTakesItsOwnDeliveriesAlone(t *testing.T) {
	errOther := errors.New("the other's")
	s, err := gitea.Beside(other{errOther}, gitea.Config{Secrets: []string{recordedSecret}})
	if err != nil {
		t.Fatal(err)
	}
	d := sourcetest.Load(t, "testdata/05-push-12-commits.push.json")
	ev, err := s.Decode(d.Header, d.Body)
	if err = errors.Join(err, s.Verify(d.Header, d.Body), s.(webhook.Prechecker).Precheck(d.Header)); err != nil || len(ev.Commits) != 5 {
		t.Errorf("%v, %+v", err, ev)
	}
	for name := range d.Header {
		if !strings.HasPrefix(name, "X-Github") && !strings.HasPrefix(name, "X-Hub") {
			d.Header.Del(name)
		}
	}
	_, err = s.Decode(d.Header, d.Body)
	for what, err := range map[string]error{"Decode": err, "Verify": s.Verify(d.Header, d.Body), "Precheck": s.(webhook.Prechecker).Precheck(d.Header)} {
		if !errors.Is(err, errOther) {
			t.Errorf("%s: %v, want the other source's word", what, err)
		}
	}
	if _, err := gitea.Beside(other{}, gitea.Config{}); err == nil {
		t.Error("no secret, and no error")
	}
}

func TestNewNeedsSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}, {"a", ""}} {
		if _, err := gitea.New(gitea.Config{Secrets: secrets}); err == nil {
			t.Errorf("%q: no error", secrets)
		}
	}
}

func TestSignatureIsHexOfTheBody(t *testing.T) {
	d := sourcetest.Load(t, "testdata/05-push-12-commits.push.json")
	if sum, err := hex.DecodeString(d.Header.Get("X-Gitea-Signature")); err != nil || len(sum) != 32 {
		t.Fatal(err)
	}
	d.Header.Del("X-Hub-Signature-256")
	if err := newSource(t, recordedSecret).Verify(d.Header, d.Body); err != nil {
		t.Errorf("by the host's own header alone: %v", err)
	}
}
