package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/internal/event"
	"switchyard/webhook"
)

func large(size int) *http.Request {
	return request("POST", "/webhooks/fake", "good", strings.NewReader(strings.Repeat("x", size)))
}

// chunked is a body whose length is not announced.
func chunked(body io.Reader) *http.Request {
	r := request("POST", "/webhooks/fake", "good", body)
	r.ContentLength = -1
	return r
}

func answerOf(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A body takes its memory before its first byte is read, and small ones have a
// share of their own.
func TestHandlerBoundsTheMemoryOfLargeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 3 MiB, of which three quarters are for large bodies: two of them.
		h := newHandler(t, takes, &fakeSource{}, webhook.Config{MaxBody: 1 << 20, MaxBuffered: 3 << 20})
		var feeds []*io.PipeWriter
		var under [2]*httptest.ResponseRecorder
		for i := range under {
			body, feed := io.Pipe()
			feeds = append(feeds, feed)
			r := request("POST", "/webhooks/fake", "good", body)
			r.ContentLength = 1 << 20
			under[i] = httptest.NewRecorder()
			go h.ServeHTTP(under[i], r)
		}
		synctest.Wait()
		start := time.Now()
		third := answerOf(h, large(1<<20))
		if third.Code != 503 || third.Header().Get("Retry-After") == "" || time.Since(start) != 6*time.Second {
			t.Errorf("a third large body: %d, Retry-After %q after %v; want 503 after it waited for memory", third.Code, third.Header().Get("Retry-After"), time.Since(start))
		}
		if small := answerOf(h, large(60<<10)); small.Code != 202 {
			t.Errorf("a small body meanwhile: %d", small.Code)
		}
		// One that waits is served as soon as another is done.
		waiting := make(chan *httptest.ResponseRecorder)
		go func() { waiting <- answerOf(h, large(1<<20)) }()
		synctest.Wait()
		for i, feed := range feeds {
			if _, err := feed.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if under[i].Code != 202 {
				t.Errorf("large body %d: %d", i, under[i].Code)
			}
		}
		if w := <-waiting; w.Code != 202 {
			t.Errorf("the one that waited: %d", w.Code)
		}
	})
}

func TestHandlerCountsBodiesOfUnknownLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, takes, &fakeSource{}, webhook.Config{MaxBody: 1 << 20, MaxBuffered: 3 << 20})
		body, feed := io.Pipe()
		first := httptest.NewRecorder()
		go h.ServeHTTP(first, chunked(body))
		if _, err := feed.Write(make([]byte, 600<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w := answerOf(h, chunked(strings.NewReader(strings.Repeat("x", 1<<20)))); w.Code != 503 {
			t.Errorf("a second one: %d, want 503", w.Code)
		}
		feed.Close()
		synctest.Wait()
		if first.Code != 202 {
			t.Errorf("the first: %d", first.Code)
		}
		for range 20 {
			if w := answerOf(h, chunked(strings.NewReader(strings.Repeat("x", 1<<20)))); w.Code != 202 {
				t.Fatalf("afterwards: %d, so that bytes are still counted", w.Code)
			}
		}
	})
}

// Whatever becomes of a delivery, its memory is free again.
func TestHandlerGivesMemoryBack(t *testing.T) {
	src := &fakeSource{decode: func(b []byte) (event.Event, error) {
		switch len(b) % 5 {
		case 0:
			panic("decode")
		case 1:
			return event.Event{}, errors.New("undecodable")
		case 2:
			return event.Event{DeliveryID: "d"}, &webhook.Ignored{Reason: "ping"}
		}
		return push(), nil
	}}
	n := 0
	h := newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) {
		if n++; n%2 == 0 {
			return event.Receipt{}, errors.New("disk full")
		}
		return takes(ctx, ev)
	}, src, webhook.Config{MaxBody: 1 << 20, MaxBuffered: 3 << 20})
	for i := range 15 {
		size := 900<<10 + i
		for _, r := range []*http.Request{
			large(size), chunked(strings.NewReader(strings.Repeat("x", size))), large(2 << 20),
			request("POST", "/webhooks/fake", "bad", strings.NewReader(strings.Repeat("x", size))),
			request("POST", "/webhooks/fake", "panic", strings.NewReader(strings.Repeat("x", size))),
			chunked(io.MultiReader(strings.NewReader(strings.Repeat("x", size)), errReader{io.ErrUnexpectedEOF})),
			large(60<<10 + i),
		} {
			if w := answerOf(h, r); w.Code == 503 && strings.Contains(w.Body.String(), "large deliveries") {
				t.Fatalf("round %d: %s", i, w.Body)
			}
		}
	}
}

// Large deliveries are decoded as memory allows, and hold it until the sink
// has them.
func TestHandlerBoundsTheDecodingOfLargeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		var mu sync.Mutex
		under, most := 0, 0
		h := newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			<-free
			mu.Lock()
			under--
			mu.Unlock()
			return takes(ctx, ev)
		}, &fakeSource{}, webhook.Config{MaxBody: 1 << 20, MaxBuffered: 4 << 20})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if w := answerOf(h, large(400<<10)); w.Code != 202 { // six times that is more than half
					t.Errorf("a large one: %d %s", w.Code, w.Body)
				}
			})
		}
		for range 5 {
			all.Go(func() {
				if w := answerOf(h, large(30<<10)); w.Code != 202 {
					t.Errorf("a small one: %d", w.Code)
				}
			})
		}
		synctest.Wait()
		close(free)
		all.Wait()
		if most != 6 {
			t.Errorf("%d at once at the sink, want one large and five small", most)
		}
	})
}

// One budget outlives the handlers that use it.
func TestHandlersShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := webhook.NewBudget(5 << 19)
		cfg := webhook.Config{MaxBody: 1 << 20}
		old := newHandler(t, takes, &fakeSource{}, cfg, webhook.WithBudget(budget))
		body, feed := io.Pipe()
		r := request("POST", "/webhooks/fake", "good", body)
		r.ContentLength = 1 << 20
		first := httptest.NewRecorder()
		go old.ServeHTTP(first, r)
		synctest.Wait()
		reloaded := newHandler(t, takes, &fakeSource{}, cfg, webhook.WithBudget(budget))
		if w := answerOf(reloaded, large(1<<20)); w.Code != 503 {
			t.Errorf("%d, want 503 while the other handler holds the memory", w.Code)
		}
		feed.CloseWithError(io.ErrUnexpectedEOF)
		synctest.Wait()
		if w := answerOf(reloaded, large(1<<20)); first.Code != 400 || w.Code != 202 {
			t.Errorf("first %d, afterwards %d", first.Code, w.Code)
		}
	})
}

// What is let go of is collected before it is taken again: however many large
// bodies come, the heap stays within the budget.
func TestHeapStaysWithinTheBudget(t *testing.T) {
	const mb = 1 << 20
	h := newHandler(t, takes, &fakeSource{}, webhook.Config{MaxBody: 8 * mb, MaxBuffered: 32 * mb})
	text := strings.Repeat("x", 8*mb)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	highest := uint64(0)
	for range 40 {
		r := request("POST", "/webhooks/fake", "bad", strings.NewReader(text))
		if w := answerOf(h, r); w.Code != 401 {
			t.Fatal(w.Code)
		}
		runtime.ReadMemStats(&now)
		highest = max(highest, now.HeapAlloc)
	}
	if grown := int64(highest) - int64(before.HeapAlloc); grown > 28*mb {
		t.Errorf("the heap grew by %d MiB over 40 bodies of 8", grown/mb)
	}
}

// prechecked refuses by the header alone, and counts what it is asked.
type prechecked struct {
	fakeSource
	verified int
}

func (p *prechecked) Precheck(h http.Header) error {
	switch h.Get("X-Sig") {
	case "":
		return errors.New("header X-Sig is not there: set it")
	case "panic":
		panic("precheck")
	}
	return nil
}

func (p *prechecked) Verify(h http.Header, body []byte) error {
	p.verified++
	return p.fakeSource.Verify(h, body)
}

func TestUnsignedIsRefusedBeforeItsBodyIsRead(t *testing.T) {
	src := &prechecked{}
	h := newHandler(t, takes, src, webhook.Config{})
	unread := errReader{errors.New("the body was read")}
	for signature, want := range map[string]int{"": 401, "panic": 500} {
		w := answerOf(h, request("POST", "/webhooks/fake", signature, io.MultiReader(unread)))
		if w.Code != want || w.Header().Get("Connection") != "close" || src.verified != 0 {
			t.Errorf("signature %q: %d, Connection %q, verified %d times; want %d before the body", signature, w.Code, w.Header().Get("Connection"), src.verified, want)
		}
	}
	if w := answerOf(h, large(10)); w.Code != 202 || src.verified != 1 {
		t.Errorf("signed: %d, verified %d times", w.Code, src.verified)
	}
}
