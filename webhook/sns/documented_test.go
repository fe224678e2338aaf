package sns_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/webhook"
	"switchyard/webhook/sns"
)

// documented is a delivery as it is documented, signed with the key whose
// certificate is signing-cert.pem.
type documented struct {
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

func documentedSource(t testing.TB) *sns.Source {
	t.Helper()
	text, err := os.ReadFile("testdata/signing-cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	net := &internet{pages: map[string]func() *http.Response{
		"https://sns.us-east-2.amazonaws.com/SimpleNotificationService-098f6bcd4621d373cade4e832627b4f6.pem": page(200, string(text)),
	}}
	s, err := sns.New(texts{}, sns.Config{Topics: []string{"arn:aws:sns:us-east-2:123456789012:switchyard"}, MaxAge: 20000 * time.Hour},
		sns.WithTransport(net), sns.WithRoots(roots), sns.WithClock(func() time.Time { return start.Add(1000 * time.Hour) }))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func documentedDeliveries(t testing.TB) map[string]documented {
	t.Helper()
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) < 9 {
		t.Fatal(names, err)
	}
	all := map[string]documented{}
	for _, path := range names {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d documented
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = d
	}
	return all
}

func TestDocumentedDeliveries(t *testing.T) {
	s := documentedSource(t)
	for name, d := range documentedDeliveries(t) {
		h := http.Header{}
		for k, v := range d.Headers {
			h.Set(k, v)
		}
		err := s.Verify(h, d.Body)
		if bad := name == "tampered" || name == "raw-delivery"; bad != (err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && errors.As(err, new(*webhook.UnsureError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is taken is signed: no change of a genuine delivery passes that
// changes what it says.
func FuzzVerify(f *testing.F) {
	genuine := map[string]bool{}
	for name, d := range documentedDeliveries(f) {
		f.Add(d.Headers["x-amz-sns-message-type"], []byte(d.Body))
		genuine[said(d.Body)] = name != "tampered" && name != "raw-delivery"
	}
	s := documentedSource(f)
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		if s.Verify(http.Header{"X-Amz-Sns-Message-Type": {kind}}, body) == nil && !genuine[said(body)] {
			t.Errorf("taken as genuine: %s", body)
		}
	})
}

// said is what a delivery says that counts.
func said(body []byte) string {
	var m struct{ Type, MessageId, Token, TopicArn, Message, SubscribeURL string }
	_ = json.Unmarshal(body, &m)
	return fmt.Sprintf("%q", m)
}
