package dashboard_test

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

var (
	titleOf = regexp.MustCompile(`<p class="title">(.*?)</p>`)
	olderOf = regexp.MustCompile(`<a href="([^"]*)" rel="next">`)
)

func titles(text string) (all []string) {
	for _, m := range titleOf.FindAllStringSubmatch(text, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

func TestTracksShowCommitsNewestFirst(t *testing.T) {
	on := func(ref string) func(*dispatch.Execution) {
		return func(x *dispatch.Execution) { x.Ref = "refs/heads/" + ref }
	}
	in := func(s dispatch.State) func(*dispatch.Execution) { return func(x *dispatch.Execution) { x.State = s } }
	same := func(x *dispatch.Execution) {
		x.SHA, x.Title, x.Route, x.Environment = "00000004", "Commit number 4", "docs", "prod"
	}
	s := open(t, &books{
		executions: []dispatch.Execution{
			execution(5, same, in(dispatch.StateFailed)), execution(4, in(dispatch.StateSucceeded)),
			execution(3, on("hotfix"), in(dispatch.StateRunning), func(x *dispatch.Execution) { x.WaitsFor = "Deploy to prod?" }), execution(1, in(dispatch.StateWaiting)),
		},
		left: []dispatch.LeftOut{leftOut(2, 9)},
	})
	s.signIn()
	text := s.page("/")
	if d := cmp.Diff([]string{"Commit number 4", "Commit number 3", "Idea 2", "Commit number 1"}, titles(text)); d != "" {
		t.Error(d)
	}
	for _, want := range []string{
		"7 running", "3 waiting", "docs → prod", "waits for a person", "branches: branch wip is none of the route&#39;s",
		`<svg class="sign failed" x=`, `<svg class="sign asking" x=`, `<svg class="sign ignored" x=`, `<svg class="sign waiting" x=`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Count(text, `<svg class="sign succeeded" x=`) > 0 {
		t.Error("a commit with a failed execution shows green")
	}
}

func TestNewestAttemptDecidesTheSignal(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{
		execution(2, func(x *dispatch.Execution) { x.ID, x.Base, x.Attempt, x.SHA = "api-1-r2", "api-1", 2, "00000001" }),
		execution(1, func(x *dispatch.Execution) { x.State = dispatch.StateFailed }),
	}})
	s.signIn()
	if text := s.page("/"); !strings.Contains(text, `<svg class="sign succeeded" x=`) || !strings.Contains(text, "attempt 2") {
		t.Error(text)
	}
}

// Every row is on one page, whichever of both lists it is from.
func TestPagesOfTracksMeet(t *testing.T) {
	j := &books{}
	var want []string
	for n := 400; n > 0; n-- {
		if n%3 == 0 {
			j.left = append(j.left, leftOut(n, int64(n)))
			want = append(want, fmt.Sprintf("Idea %d", n))
			continue
		}
		j.executions = append(j.executions, execution(n))
		want = append(want, fmt.Sprintf("Commit number %d", n))
	}
	// A stretch of one of them alone, longer than a page.
	for n := range 130 {
		j.left = append(j.left, leftOut(-n, int64(-n-1)+1000-400))
		want = append(want, fmt.Sprintf("Idea %d", -n))
	}
	for i := range j.left {
		j.left[i].Seq = int64(len(j.left) - i)
	}
	s := open(t, j)
	s.signIn()
	var got []string
	pages := 0
	for path := "/"; path != ""; pages++ {
		text := s.page(path)
		got = append(got, titles(text)...)
		path = ""
		if m := olderOf.FindStringSubmatch(text); m != nil {
			path = html.UnescapeString(m[1])
		}
		if pages > 40 {
			t.Fatal("the pages do not end")
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("after %d pages: %s", pages, d)
	}
}

// A list that was looked through for a while, and has nothing so far, does not hide
// what the other one has.
func TestRareMatchesAreShown(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{execution(3), execution(2)}, leftNext: 77})
	s.signIn()
	text := s.page("/?author=ada")
	if d := cmp.Diff([]string{"Commit number 3", "Commit number 2"}, titles(text)); d != "" {
		t.Error(d)
	}
	if m := olderOf.FindStringSubmatch(text); m == nil || !strings.Contains(m[1], "before=-1.77") {
		t.Errorf("the next page is %q", m)
	}
}

func TestFiltersReachTheJournal(t *testing.T) {
	s := open(t, &books{})
	s.signIn()
	s.page("/?repository=acme/api&route=r&environment=&author=ada&state=&branch=main&q=+fix+&before=12.34")
	if d := cmp.Diff(dispatch.ExecutionFilter{Repository: "acme/api", Route: "r", Author: "ada", Ref: "main", Search: "fix", Before: 12, Limit: 50}, s.filter); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(dispatch.LeftOutFilter{Repository: "acme/api", Route: "r", Author: "ada", Ref: "main", Search: "fix", Before: 34, Limit: 50}, s.leftFilter); d != "" {
		t.Error(d)
	}
	s.filter, s.leftFilter = dispatch.ExecutionFilter{}, dispatch.LeftOutFilter{}
	s.page("/?state=running")
	if d := cmp.Diff(dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateRunning}, Limit: 50}, s.filter); d != "" || s.leftFilter.Limit != 0 {
		t.Errorf("%s, and what was left out by %+v", d, s.leftFilter)
	}
	s.filter = dispatch.ExecutionFilter{}
	s.page("/?state=ignored")
	if s.filter.Limit != 0 || s.leftFilter.Limit != 50 {
		t.Errorf("ignored: %+v, %+v", s.filter, s.leftFilter)
	}
	if resp, _ := s.get("/?state=green"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a state that there is none of: %s", resp.Status)
	}
	for _, before := range []string{"x", "1", "-7.1", "9223372036854775808.1", "1.1.1"} {
		s.filter = dispatch.ExecutionFilter{Before: 99}
		s.page("/?before=" + before)
		if s.filter.Before != 0 {
			t.Errorf("before=%s: %+v", before, s.filter)
		}
	}
}

func TestLinksOfAPageKeepItsFilters(t *testing.T) {
	j := &books{}
	for n := 120; n > 0; n-- {
		j.executions = append(j.executions, execution(n))
	}
	s := open(t, j)
	s.signIn()
	m := olderOf.FindStringSubmatch(s.page("/?q=a%26b%22&author=ada"))
	if m == nil {
		t.Fatal("no link to what is older")
	}
	to, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	if q := to.Query(); q.Get("q") != `a&b"` || q.Get("author") != "ada" || q.Get("before") == "" {
		t.Errorf("older is at %s", to)
	}
}

// Texts of strangers are text on the page, each line of it safe to read.
func TestTracksShowHostileTextAsText(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.Form}}` + "\u202e\x1b[31m\x00"
	s := open(t, &books{
		executions: []dispatch.Execution{execution(1, func(x *dispatch.Execution) {
			x.Ref, x.Title, x.Author, x.Repository, x.SHA = "refs/heads/"+hostile, hostile, hostile, hostile, hostile
			x.Route, x.Environment, x.WaitsFor, x.State = hostile, hostile, hostile, dispatch.StateRunning
		})},
		left: []dispatch.LeftOut{{Seq: 1, Source: hostile, Repository: hostile, Ref: hostile, SHA: hostile, Title: hostile, Author: hostile, Reasons: []event.Ignored{{Route: hostile, Reason: hostile}}}},
	})
	s.signIn()
	text := s.page("/?q=" + url.QueryEscape(hostile) + "&branch=" + url.QueryEscape(hostile))
	for _, bad := range []string{"<script>alert", "<img src=x"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	// What fields hold and offer is what is searched for, byte by byte.
	_, rows, _ := strings.Cut(text, `<div id="tracks">`)
	if at := strings.IndexAny(rows, "\x1b\x00\u202e"); at >= 0 {
		t.Errorf("the rows hold what is not printable: %q", rows[max(0, at-60):at+20])
	}
	if !strings.Contains(text, "&lt;script&gt;alert(1)") {
		t.Error("the text is not there at all")
	}
}

var inline = regexp.MustCompile(`(?i)<style|<script(?: [^>]*)?>[^<]|\sstyle=|\son[a-z]+=|javascript:`)

func TestPagesHoldNothingInline(t *testing.T) {
	s := open(t, &books{executions: []dispatch.Execution{execution(1)}})
	for _, path := range []string{"/sign-in", "/sign-in?link=x", "/", "/?state=nonsense"} {
		resp, text := s.get(path)
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if path == "/sign-in?link=x" {
			s.signIn()
		}
	}
	for _, name := range []string{"style.css", "live.js", "icon.svg"} {
		resp, text := s.get("/assets/" + name)
		if resp.StatusCode != http.StatusOK || text == "" || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s, %v", name, resp.Status, resp.Header)
		}
	}
	if resp, _ := s.get("/assets/../dashboard.go"); resp.StatusCode == http.StatusOK {
		t.Error("other files are served")
	}
}

func TestTracksAreSmall(t *testing.T) {
	j := &books{}
	for n := 10_000; n > 0; n-- {
		j.executions = append(j.executions, execution(n, func(x *dispatch.Execution) {
			x.Ref, x.Title = fmt.Sprintf("refs/heads/feature/%d-of-many-branches", n%40), strings.Repeat("words ", 30)
		}))
	}
	s := open(t, j)
	s.signIn()
	if text := s.page("/"); len(text) > 100_000 || len(titles(text)) != 50 {
		t.Errorf("%d bytes for %d rows", len(text), len(titles(text)))
	}
}

func TestLiveTellsOfChanges(t *testing.T) {
	j := &books{changes: make(chan dispatch.Change, 4)}
	s := open(t, j)
	s.signIn()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/live?execution=api-7", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, kind)
	}
	j.changes <- dispatch.Change{ID: "api-6", State: dispatch.StateFailed}
	j.changes <- dispatch.Change{ID: "api-7", State: dispatch.StateFailed}
	var lines []string
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if lines = append(lines, in.Text()); strings.HasPrefix(in.Text(), "data:") {
			s.board.Close() // ends the answer
		}
	}
	if want := []string{"event: change", "data: 1"}; !slices.Equal(lines[max(0, len(lines)-3):len(lines)-1], want) {
		t.Errorf("lines %q", lines)
	}
	if strings.Contains(strings.Join(lines, ""), "api-") {
		t.Errorf("an event says what has changed: %q", lines)
	}
}
