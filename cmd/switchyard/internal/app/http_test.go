package app_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"switchyard/webhook"
)

// What people get wrong in setting up a webhook is taken, or answered with what
// to change. Nothing is redirected, since no git host follows.
func TestWebhookSetUpMistakes(t *testing.T) {
	s := start(t, t.TempDir())
	base := "http://" + s.Addr().String()
	body := push("feature/größe-日本", "Zürich: ein Commit – ✓")
	form := []byte(url.Values{"payload": {string(body)}}.Encode())
	sha1Signature := func() string {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write(body)
		return fmt.Sprintf("sha1=%x", mac.Sum(nil))
	}
	for i, row := range []struct {
		name   string
		change func(*http.Request)
		want   int
		text   string
	}{
		{"slash at the end", func(r *http.Request) { r.URL.Path = "/webhooks/github/" }, 202, "api-"},
		{"double slash", func(r *http.Request) { r.URL.Path = "//webhooks/github" }, 202, "api-"},
		{"double slash within", func(r *http.Request) { r.URL.Path = "/webhooks//github" }, 202, "api-"},
		{"form", func(r *http.Request) {
			setBody(r, form)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			r.Header.Set("X-Hub-Signature-256", webhook.Sign(secret, form))
		}, 202, "api-"},
		{"form of Gitea, which signs the JSON in it", func(r *http.Request) {
			setBody(r, form)
			r.Header.Set("X-Gitea-Event", "push")
			r.Header.Set("X-Gitea-Delivery", r.Header.Get("X-GitHub-Delivery"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}, 202, "api-"},
		{"SHA-1 only", func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", sha1Signature())
		}, 401, "SHA-1"},
		{"compressed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "uncompressed"},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet; setBody(r, nil) }, 405, "payload URL"},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, "by POST"},
		{"no such source", func(r *http.Request) { r.URL.Path = "/webhooks/gitlab" }, 404, "/webhooks/NAME"},
		{"no such path", func(r *http.Request) { r.URL.Path = "/hooks/github" }, 404, "POST /webhooks/<source>"},
		{"the front page", func(r *http.Request) { r.URL.Path = "/" }, 405, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := s.delivery(t, "push", fmt.Sprint("d-", i), body)
			row.change(r)
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != row.want || !strings.Contains(string(text), row.text) || resp.StatusCode != http.StatusAccepted && strings.Contains(string(text), "features") {
				t.Errorf("%d %s (%v), want %d with %q", resp.StatusCode, text, err, row.want, row.text)
			}
		})
	}
	page, err := http.Get(base + "//")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK {
		t.Errorf("a person at // gets %d", page.StatusCode)
	}
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
	r.GetBody = nil
}

// A load balancer may speak HTTP/2 without TLS to what is behind it.
func TestDeliveryOverUnencryptedHTTP2(t *testing.T) {
	s := start(t, t.TempDir())
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(s.delivery(t, "push", "h2c", push("feature/x", "one")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusAccepted {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}
