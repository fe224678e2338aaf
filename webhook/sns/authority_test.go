package sns_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	topic = "arn:aws:sns:eu-west-1:123456789012:switchyard"
	host  = "https://sns.eu-west-1.amazonaws.com"
	// certURL is where the authority's certificate is.
	certURL = host + "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)

var start = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// authority is a root, an intermediate that it certified, and the key and
// certificate with which an SNS of the tests signs.
type authority struct {
	t            testing.TB
	root, middle *x509.Certificate
	rootKey, key *rsa.PrivateKey
	leaf         *x509.Certificate
}

var serial int64

// certify makes a certificate of the key.
func certify(t testing.TB, template x509.Certificate, parent *x509.Certificate, key, parentKey *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial++
	template.SerialNumber = big.NewInt(serial)
	template.NotBefore, template.NotAfter = start.Add(-time.Hour), cmpTime(template.NotAfter, start.Add(1000*time.Hour))
	if parent == nil {
		parent = &template
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func cmpTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// Making keys takes longest of all; the tests share them.
var keys = sync.OnceValue(func() [3]*rsa.PrivateKey {
	var made [3]*rsa.PrivateKey
	for i := range made {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		made[i] = key
	}
	return made
})

// newAuthority has leaf changed before it is certified.
func newAuthority(t testing.TB, change func(leaf *x509.Certificate)) *authority {
	t.Helper()
	made := keys()
	a := &authority{t: t, rootKey: made[0], key: made[2]}
	ca := x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca.Subject = pkix.Name{CommonName: "Root of the tests"}
	a.root = certify(t, ca, nil, made[0], made[0])
	ca.Subject = pkix.Name{CommonName: "Intermediate of the tests"}
	a.middle = certify(t, ca, a.root, made[1], made[0])
	leaf := x509.Certificate{Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, DNSNames: []string{"sns.amazonaws.com"}, KeyUsage: x509.KeyUsageDigitalSignature}
	if change != nil {
		change(&leaf)
	}
	a.leaf = certify(t, leaf, a.middle, made[2], made[1])
	return a
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func inPEM(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certs {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// message are the members of an envelope.
type message map[string]any

func notification(text string) message {
	return message{"Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": text,
		"Timestamp": start.Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "2", "SigningCertURL": certURL,
		"UnsubscribeURL": host + "/?Action=Unsubscribe"}
}

func confirmation(subscribeURL string) message {
	m := notification("You have chosen to subscribe")
	m["Type"], m["Token"], m["SubscribeURL"] = "SubscriptionConfirmation", "token-1", subscribeURL
	return m
}

// sign signs the message as SNS does, which is written here once more.
func (a *authority) sign(m message) message {
	a.t.Helper()
	names := []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	var text string
	for _, name := range names {
		if value, ok := m[name].(string); ok {
			text += name + "\n" + value + "\n"
		}
	}
	hash, digest := crypto.SHA256, sha256.New()
	if m["SignatureVersion"] == "1" {
		hash, digest = crypto.SHA1, sha1.New()
	}
	_, _ = io.WriteString(digest, text)
	signature, err := rsa.SignPKCS1v15(nil, a.key, hash, digest.Sum(nil))
	if err != nil {
		a.t.Fatal(err)
	}
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	return m
}

func (m message) body() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return text
}

func (m message) header() http.Header {
	h := http.Header{"X-Amz-Sns-Message-Type": {m["Type"].(string)}}
	if arn, ok := m["TopicArn"].(string); ok {
		h.Set("x-amz-sns-topic-arn", arn)
	}
	return h
}

// internet answers what it knows, by URL, and counts what it is asked.
type internet struct {
	mu    sync.Mutex
	pages map[string]func() *http.Response
	asked []string
	// hold, unless nil, is waited for before each answer.
	hold chan struct{}
}

func page(status int, body string) func() *http.Response {
	return func() *http.Response {
		h := http.Header{}
		if status/100 == 3 {
			h.Set("Location", body)
		}
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(strings.NewReader(body))}
	}
}

func (n *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.String())
	answer, hold := n.pages[r.URL.String()], n.hold
	n.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if answer == nil {
		answer = page(404, "no such page")
	}
	resp := answer()
	resp.Request = r
	return resp, nil
}

func (n *internet) set(url string, answer func() *http.Response) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pages[url] = answer
}

func (n *internet) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.asked)
}
