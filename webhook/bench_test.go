package webhook_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
)

type instantSource struct{ ev event.Event }

func (s instantSource) Verify(http.Header, []byte) error                { return nil }
func (s instantSource) Decode(http.Header, []byte) (event.Event, error) { return s.ev, nil }

// BenchmarkHandlerAlone is the handler's own share of a 10 KB delivery: all but
// the source and the sink. BenchmarkReadAll is what reading the body and
// answering costs without it.
func BenchmarkHandlerAlone(b *testing.B) {
	h, err := webhook.New(sinkFunc(takes), map[string]webhook.Source{"fake": instantSource{push()}}, webhook.Config{})
	if err != nil {
		b.Fatal(err)
	}
	deliver(b, h)
}

func BenchmarkReadAll(b *testing.B) {
	deliver(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			b.Fatal(err)
		}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"executions":[]}`)
	}))
}

func deliver(b *testing.B, h http.Handler) {
	body := make([]byte, 10<<10)
	r := httptest.NewRequest(http.MethodPost, "/webhooks/fake", nil)
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			b.Fatal(w.Code)
		}
	}
}
