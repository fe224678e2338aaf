package github

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
)

var generateKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func testRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := generateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testKey is a key as GitHub hands it out.
func testKey(t *testing.T) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testRSA(t))})
}

func TestAppWaitEndsWithContext(t *testing.T) {
	c, err := New(Config{App: &App{ID: 42, PrivateKey: testKey(t)}})
	if err != nil {
		t.Fatal(err)
	}
	c.app.turn <- struct{}{} // another call is asking
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.For(ctx, "acme", "api"); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestParseKeyTakesBothEncodings(t *testing.T) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(testRSA(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"PKCS #1": testKey(t), "PKCS #8": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if key, err := parseKey(text); err != nil || !key.Equal(testRSA(t)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(elliptic256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: other})); err == nil || !strings.Contains(err.Error(), "not an RSA key") {
		t.Errorf("an elliptic key: %v", err)
	}
}

// An App's token that runs out early is replaced, so the answer is no verdict
// on the App; a key that is refused is one.
func TestAppAsksAgainWithANewToken(t *testing.T) {
	issued, keyRefused := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case keyRefused:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"A JSON web token could not be decoded"}`)
		case r.URL.Path == "/repos/acme/api/installation":
			fmt.Fprint(w, `{"id":7}`)
		case r.URL.Path == "/app/installations/7/access_tokens":
			issued++
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"t%d","expires_at":%q}`, issued, time.Now().Add(time.Hour).Format(time.RFC3339))
		case r.Header.Get("Authorization") == "Bearer t2":
			fmt.Fprintf(w, `{"sha":%q,"commit":{"message":"m"}}`, id(1))
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"Bad credentials"}`)
		}
	}))
	defer server.Close()
	cfg := Config{Source: "work", BaseURL: server.URL, App: &App{ID: 42, PrivateKey: testKey(t)}}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(t.Context(), "work", "acme/api", id(1)); err == nil || errors.Is(err, dispatch.ErrCannotAsk) || errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("with a token that ran out: %v, want an error that is tried again", err)
	}
	if got, err := c.Commit(t.Context(), "work", "acme/api", id(1)); err != nil || got.Message != "m" {
		t.Errorf("with the next token: %+v, %v", got, err)
	}
	keyRefused = true
	if c, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(t.Context(), "work", "acme/api", id(1)); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "sources.work.app") {
		t.Errorf("with a key that is refused: %v", err)
	}
}
