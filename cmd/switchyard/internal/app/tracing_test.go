package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// collector takes spans as an OTLP endpoint does.
type collector struct {
	mu   sync.Mutex
	path string
	body string
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path, c.body = r.URL.Path, c.body+string(text)
}

func TestATraceGoesFromTheDeliveryToEachExecution(t *testing.T) {
	spans := &collector{}
	endpoint := httptest.NewServer(spans)
	defer endpoint.Close()
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret)+fmt.Sprintf("\ntracing: {endpoint: %q}\n", endpoint.URL), machine)
	s.deliver(t, "d1", push("feature/a", "one", "two"))
	started := s.settled(t, 2)
	s.stop() // sends the last spans
	if !strings.HasSuffix(spans.path, "/v1/traces") {
		t.Errorf("spans went to %q", spans.path)
	}
	// Protobuf keeps texts as they are.
	for _, want := range []string{"switchyard", "delivery", "start execution", started[0].ID, started[1].ID} {
		if !strings.Contains(spans.body, want) {
			t.Errorf("no span tells of %q", want)
		}
	}
}

func TestATraceEndpointThatIsDownStopsNothing(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret)+"\ntracing: {endpoint: \"http://127.0.0.1:1\"}\n", machine)
	if status, text := s.deliver(t, "d1", push("feature/a", "one")); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	s.settled(t, 1)
}
