package github_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/github"
)

type nowhere struct{}

func (nowhere) Accept(_ context.Context, ev event.Event) (event.Receipt, error) {
	return event.Receipt{Delivery: ev.DeliveryID}, nil
}

// payloads of 20 commits with all of GitHub's links, and of 10 KB.
var payloads = []string{"push.json", "push-10k.json"}

// BenchmarkHandler is all that happens to a push but its journal: read, verify,
// decode, answer.
func BenchmarkHandler(b *testing.B) {
	s, err := github.New(github.Config{Secrets: []string{secret}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := webhook.New(nowhere{}, map[string]webhook.Source{"github": s}, webhook.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range payloads {
		b.Run(name, func(b *testing.B) { load(b, h, read(b, name)) })
	}
}

// BenchmarkBare is the yardstick: a handler that has the library verify and
// decode, and answers.
func BenchmarkBare(b *testing.B) {
	hook, err := gh.New(gh.Options.Secret(secret))
	if err != nil {
		b.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := hook.Parse(r, gh.PushEvent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"executions":[]}`)
	})
	for _, name := range payloads {
		b.Run(name, func(b *testing.B) { load(b, h, read(b, name)) })
	}
}

// BenchmarkDecode is the part of BenchmarkHandler that is the source's.
func BenchmarkDecode(b *testing.B) {
	s := newSource(b)
	for _, name := range payloads {
		body := read(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Decode(header("push"), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify is the share of the signature.
func BenchmarkVerify(b *testing.B) {
	s, err := github.New(github.Config{Secrets: []string{secret}})
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range payloads {
		body := read(b, name)
		h := header("push")
		h.Set("X-Hub-Signature-256", webhook.Sign(secret, body))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Verify(h, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func load(b *testing.B, h http.Handler, body []byte) {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/github", nil)
	r.Header = header("push")
	r.Header.Set("X-Hub-Signature-256", webhook.Sign(secret, body))
	r.ContentLength = int64(len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}
