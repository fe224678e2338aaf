package dashboard_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/ui/dashboard"
)

const token = "a token of the API"

// books are what the dashboard reads, newest first.
type books struct {
	executions []dispatch.Execution
	left       []dispatch.LeftOut
	leftNext   int64 // of a list that found nothing yet
	filter     dispatch.ExecutionFilter
	leftFilter dispatch.LeftOutFilter
	changes    chan dispatch.Change

	history    []dispatch.HistoryEvent // oldest first
	definition string
	approvals  []dispatch.Approval
	deliveries []dispatch.DeliveryDetail
	did        []string
	fails      error // of acts
}

func (j *books) Executions(_ context.Context, f dispatch.ExecutionFilter) (page dispatch.ExecutionPage, err error) {
	j.filter = f
	for i, x := range j.executions {
		if f.Before != 0 && x.Seq >= f.Before {
			continue
		}
		page.Executions = append(page.Executions, x)
		if len(page.Executions) == f.Limit && i < len(j.executions)-1 {
			page.Next = x.Seq
			break
		}
	}
	return page, nil
}

func (j *books) LeftOut(_ context.Context, f dispatch.LeftOutFilter) (page dispatch.LeftOutPage, err error) {
	j.leftFilter = f
	page.Next = j.leftNext
	deliveries := 0
	for i, l := range j.left {
		if f.Before != 0 && l.Seq >= f.Before {
			continue
		}
		page.Commits = append(page.Commits, l)
		if i == len(j.left)-1 {
			break
		}
		if j.left[i+1].Seq != l.Seq {
			if deliveries++; deliveries == f.Limit {
				page.Next = l.Seq
				break
			}
		}
	}
	return page, nil
}

func (j *books) Depth(context.Context) (dispatch.Depth, error) {
	return dispatch.Depth{Running: 7, Waiting: 3}, nil
}

func (j *books) Subscribe(int) (<-chan dispatch.Change, func()) { return j.changes, func() {} }

var start = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// execution is the n-th of a journal, a second after the one before it.
func execution(n int, change ...func(*dispatch.Execution)) dispatch.Execution {
	x := dispatch.Execution{
		Seq: int64(n), ID: fmt.Sprintf("api-%d", n), Base: fmt.Sprintf("api-%d", n), Attempt: 1, Source: "github", Repository: "acme/api",
		Ref: "refs/heads/main", Kind: event.Push, SHA: fmt.Sprintf("%08x", n), Title: fmt.Sprintf("Commit number %d", n), Author: "ada",
		Route: "branches", State: dispatch.StateSucceeded, CreatedAt: start.Add(time.Duration(n) * time.Second),
	}
	for _, c := range change {
		c(&x)
	}
	return x
}

func leftOut(n int, seq int64) dispatch.LeftOut {
	return dispatch.LeftOut{
		Seq: seq, Delivery: "github:d", Source: "github", Repository: "acme/api", Ref: "refs/heads/wip", Kind: event.Push,
		ReceivedAt: start.Add(time.Duration(n) * time.Second), SHA: fmt.Sprintf("eeee%04x", n), Title: fmt.Sprintf("Idea %d", n),
		Reasons: []event.Ignored{{Route: "branches", Reason: "branch wip is none of the route's"}},
	}
}

// site is a dashboard that is served, and a person with a browser.
type site struct {
	*books
	*httptest.Server
	t      *testing.T
	board  *dashboard.Dashboard
	client *http.Client
	tokens []string
}

func open(t *testing.T, j *books, opts ...dashboard.Option) *site {
	t.Helper()
	s := &site{books: j, t: t, tokens: []string{token}}
	var handler http.Handler
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	tokens := func() (all [][sha256.Size]byte) {
		for _, text := range s.tokens {
			all = append(all, sha256.Sum256([]byte(text)))
		}
		return all
	}
	board, err := dashboard.New(j, j, tokens, s.URL, []byte("0123456789abcdef"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(board.Close)
	s.board = board
	mux := http.NewServeMux()
	for _, p := range append(dashboard.Paths(), dashboard.Executions) {
		mux.Handle(p, board)
	}
	handler = mux
	s.client = s.browser()
	return s
}

func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *site) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

func (s *site) get(path string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(r)
}

func (s *site) post(path string, form url.Values, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(r)
}

func (s *site) signIn() {
	s.t.Helper()
	if resp, text := s.post("/sign-in", url.Values{"by": {"ada"}, "token": {token}}); resp.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("sign-in: %s %s", resp.Status, text)
	}
}

// page is a page that must be there.
func (s *site) page(path string) string {
	s.t.Helper()
	resp, text := s.get(path)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s %s", path, resp.Status, text)
	}
	return text
}

var formKey = regexp.MustCompile(`name="form" value="([^"]+)"`)

func (s *site) formKey(text string) string {
	s.t.Helper()
	found := formKey.FindStringSubmatch(text)
	if found == nil {
		s.t.Fatalf("the page has no form with a key:\n%s", text)
	}
	return found[1]
}
