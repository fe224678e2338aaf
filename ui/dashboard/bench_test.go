package dashboard_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/event"
	"switchyard/ui/dashboard"
)

// stored is a dashboard's reader of a journal on disk.
type stored struct{ *journal.SQLite }

func (s stored) Definition(context.Context, string) (string, error) { return "", dispatch.ErrNotFound }
func (s stored) History(context.Context, string, dispatch.HistoryQuery) (dispatch.HistoryPage, error) {
	return dispatch.HistoryPage{}, dispatch.ErrNotFound
}

func (s stored) Depth(ctx context.Context) (dispatch.Depth, error) { return s.Unfinished(ctx) }
func (s stored) EnvironmentLimit(string) int                       { return 0 }
func (s stored) Subscribe(int) (<-chan dispatch.Change, func())    { return nil, func() {} }

// fill makes a journal of n executions, and a tenth as many deliveries that started
// nothing.
func fill(tb testing.TB, j *journal.SQLite, n int) {
	tb.Helper()
	for i := range n {
		ref := fmt.Sprintf("refs/heads/feature/%d", i%50)
		d := dispatch.NewDelivery{Source: "github", DeliveryID: fmt.Sprint(i), Kind: event.Push, Repository: "acme/api", Ref: ref, Commits: 1, ReceivedAt: start, Event: []byte(`{"kind":"push","ref":"` + ref + `"}`)}
		at, err := j.Append(tb.Context(), d)
		if err != nil {
			tb.Fatal(err)
		}
		e := dispatch.Expansion{Delivery: at.Seq, At: start}
		if i%10 == 0 {
			e.Ignored = []dispatch.Ignored{{Ignored: event.Ignored{Route: "docs", Reason: "no docs were changed"}}}
		}
		if i%20 != 0 {
			e.Requests = []dispatch.NewRequest{{State: dispatch.StateReady, Request: event.Request{
				ID: fmt.Sprintf("api-%d", i), Route: "branches", StateMachine: "deploy", Source: "github", Repository: "acme/api", Ref: ref, Kind: event.Push,
				Commit: event.Commit{SHA: fmt.Sprintf("%040x", i), Message: fmt.Sprintf("Change number %d", i), Author: fmt.Sprintf("author-%d", i%7)}, Input: []byte("{}"), Reason: "push"},
			}}
		}
		if _, err := j.Expand(tb.Context(), []dispatch.Expansion{e}); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkTracks is the time of a page of a journal of 10,000 executions: the
// newest, what is found in a search, and what is not found at all.
func BenchmarkTracks(b *testing.B) {
	j, err := journal.Open(filepath.Join(b.TempDir(), "journal.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	fill(b, j, 10_000)
	tokens := func() [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(token))} }
	board, err := dashboard.New(stored{j}, nil, tokens, "http://localhost", []byte("0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	in := httptest.NewRequest(http.MethodPost, "/sign-in", strings.NewReader(url.Values{"by": {"ada"}, "token": {token}}.Encode()))
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	signedIn := httptest.NewRecorder()
	board.ServeHTTP(signedIn, in)
	for name, path := range map[string]string{
		"newest": "/", "deep": "/?before=2000.2000", "by author": "/?author=author-3", "search": "/?q=number+77", "nothing": "/?q=nowhere",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Cookie", signedIn.Header().Get("Set-Cookie"))
				w := httptest.NewRecorder()
				board.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
