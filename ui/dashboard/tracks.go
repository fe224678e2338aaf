package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// tracksSize is how many executions, and how many deliveries that left something
// out, a page of tracks reads at most.
const tracksSize = 50

// maxLeftOut is how many commits of one delivery are shown that started nothing.
const maxLeftOut = 10

// ignored is the state, in filters, of commits that started nothing.
const ignored = "ignored"

// tracksQuery is what the address of a page of tracks says.
type tracksQuery struct {
	Repository, Route, Environment, Author, State, Branch, Search string
	before                                                        cursor
}

// cursor is where a page begins: below an execution and below a delivery, by Seq; 0
// is the newest and end nothing.
type cursor struct{ execution, delivery int64 }

const end = -1

func (c cursor) String() string { return fmt.Sprintf("%d.%d", c.execution, c.delivery) }

func readCursor(text string) cursor {
	left, right, _ := strings.Cut(text, ".")
	x, err1 := strconv.ParseInt(left, 10, 64)
	d, err2 := strconv.ParseInt(right, 10, 64)
	if err1 != nil || err2 != nil || x < end || d < end {
		return cursor{} // a page that nobody links to begins at the newest
	}
	return cursor{x, d}
}

func readTracksQuery(q url.Values) tracksQuery {
	field := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	return tracksQuery{
		Repository: field("repository"), Route: field("route"), Environment: field("environment"), Author: field("author"),
		State: field("state"), Branch: field("branch"), Search: field("q"), before: readCursor(q.Get("before")),
	}
}

// Filtered reports whether the page leaves anything out.
func (q tracksQuery) Filtered() bool {
	q.before = cursor{}
	return q != tracksQuery{}
}

// address is that of the page of the same filters that begins at a place.
func (q tracksQuery) address(before cursor) string {
	v := url.Values{}
	for name, value := range map[string]string{
		"repository": q.Repository, "route": q.Route, "environment": q.Environment, "author": q.Author,
		"state": q.State, "branch": q.Branch, "q": q.Search,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if before != (cursor{}) {
		v.Set("before", before.String())
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}

// Only is the address of the tracks of one repository and branch.
func (q tracksQuery) Only(repository, branch string) string {
	return tracksQuery{Repository: repository, Branch: branch}.address(cursor{})
}

// tracksPage is a page of tracks.
type tracksPage struct {
	page
	Query tracksQuery
	Rows  []*row
	Rail  rail
	Depth dispatch.Depth
	// Older and Newest are addresses, "" where there is nothing.
	Older, Newest string
	// Looked says that the page holds fewer rows than there may be further down.
	Looked bool
	States []string
	// Repositories, Routes, Environments and Authors are those of the page, to
	// choose from.
	Repositories, Routes, Environments, Authors []string
}

func (d *Dashboard) showTracks(w http.ResponseWriter, r *http.Request, s *Session) {
	p := tracksPage{page: d.pageFor(s, "Tracks", "/"), Query: readTracksQuery(r.URL.Query())}
	p.Live = "/live"
	for _, state := range dispatch.States() {
		p.States = append(p.States, string(state))
	}
	p.States = append(p.States, ignored)
	if s := p.Query.State; s != "" && !slices.Contains(p.States, s) {
		d.tell(w, p.Session, http.StatusBadRequest, "There is no such state to filter by; there are "+strings.Join(p.States, ", ")+".")
		return
	}
	err := d.readTracks(r.Context(), &p)
	if err == nil {
		p.Depth, err = d.read.Depth(r.Context())
	}
	if err != nil {
		d.broken(w, err)
		return
	}
	d.show(w, http.StatusOK, "tracks.html", p)
}

func (d *Dashboard) readTracks(ctx context.Context, p *tracksPage) error {
	q := &p.Query
	executions := dispatch.ExecutionPage{}
	left := dispatch.LeftOutPage{}
	var err error
	if q.before.execution != end && q.State != ignored {
		f := dispatch.ExecutionFilter{
			Repository: q.Repository, Route: q.Route, Environment: q.Environment, Author: q.Author, Ref: q.Branch, Search: q.Search,
			Before: q.before.execution, Limit: tracksSize,
		}
		if q.State != "" {
			f.States = []dispatch.State{dispatch.State(q.State)}
		}
		if executions, err = d.read.Executions(ctx, f); err != nil {
			return fmt.Errorf("executions of tracks: %w", err)
		}
	}
	if q.before.delivery != end && (q.State == "" || q.State == ignored) && q.Environment == "" {
		f := dispatch.LeftOutFilter{
			Repository: q.Repository, Route: q.Route, Author: q.Author, Ref: q.Branch, Search: q.Search,
			Before: q.before.delivery, Limit: tracksSize,
		}
		if left, err = d.read.LeftOut(ctx, f); err != nil {
			return fmt.Errorf("left out of tracks: %w", err)
		}
	}
	var next cursor
	p.Rows, next = merge(&executions, &left, q.before)
	p.Rail = layRail(p.Rows)
	if next != (cursor{end, end}) {
		p.Older = q.address(next)
		p.Looked = len(p.Rows) < tracksSize/5
	}
	if q.before != (cursor{}) {
		p.Newest = q.address(cursor{})
	}
	p.suggest()
	return nil
}

// merge makes rows of what there is, newest first, and says where the next page
// begins. It takes no more of one list than is known of the other; but where a
// filter finds little, and a list was only looked through for a while, it does not
// wait for that.
func merge(executions *dispatch.ExecutionPage, left *dispatch.LeftOutPage, from cursor) (rows []*row, next cursor) {
	b := rowBuilder{known: map[track]map[string]*row{}}
	xs, ls := executions.Executions, left.Commits
	next = from
	full := func(n int, more int64) bool { return n >= tracksSize && more != 0 }
	holdExecutions, holdLeftOut := full(len(xs), executions.Next), full(deliveriesOf(ls), left.Next)
	for n := 0; len(xs)+len(ls) > 0 && n < tracksSize; n++ {
		if len(xs) == 0 && holdExecutions || len(ls) == 0 && holdLeftOut {
			break // what comes next is on the next page of that list
		}
		if len(ls) == 0 || len(xs) > 0 && !xs[0].CreatedAt.Before(ls[0].ReceivedAt) {
			b.addExecution(&xs[0])
			next.execution = xs[0].Seq
			xs = xs[1:]
			continue
		}
		seq := ls[0].Seq
		of := 1
		for of < len(ls) && ls[of].Seq == seq {
			of++
		}
		b.addLeftOut(ls[:of])
		next.delivery = seq
		ls = ls[of:]
	}
	if len(xs) == 0 {
		next.execution = beyond(executions.Next)
	}
	if len(ls) == 0 {
		next.delivery = beyond(left.Next)
	}
	return b.rows, next
}

// deliveriesOf counts those that the commits are of.
func deliveriesOf(commits []dispatch.LeftOut) (n int) {
	for i := range commits {
		if i == 0 || commits[i].Seq != commits[i-1].Seq {
			n++
		}
	}
	return n
}

// beyond is the cursor behind a list that was used up.
func beyond(next int64) int64 {
	if next == 0 {
		return end
	}
	return next
}

// track is a branch of a repository at a source.
type track struct{ source, repository, ref string }

// row is a commit on a track.
type row struct {
	track
	SHA, Title, Author string
	PullRequest        int
	// At is when the newest of it came.
	At stamp
	// Runs are its executions, newest first.
	Runs []dispatch.Execution
	// LeftOut says why it started nothing; More counts commits of the same delivery
	// that are not shown.
	LeftOut []event.Ignored
	More    int
	// Lane is where its track lies on the rail, and Rail what is drawn beside it.
	Lane int
	Rail railRow
}

// Branch is the short name of a branch, and the full one of any other ref.
func (r *row) Branch() string     { return strings.TrimPrefix(r.ref, "refs/heads/") }
func (r *row) Repository() string { return r.repository }

// Signal is what the row shows as a whole: the first of what needs a person, fails,
// moves, waits and is well.
func (r *row) Signal() string {
	if len(r.Runs) == 0 {
		return ignored
	}
	best := len(urgency)
	newest := map[string]bool{}
	for i := range r.Runs {
		x := &r.Runs[i]
		if newest[x.Base] { // an earlier attempt says nothing any more
			continue
		}
		newest[x.Base] = true
		if at := slices.Index(urgency, signalOf(x)); at >= 0 {
			best = min(best, at)
		}
	}
	if best == len(urgency) {
		return string(r.Runs[0].State)
	}
	return urgency[best]
}

// asking is the signal of an execution that waits for a person.
const asking = "asking"

var urgency = []string{
	asking, string(dispatch.StateDead), string(dispatch.StateFailed), string(dispatch.StateTimedOut), string(dispatch.StateRunning),
	string(dispatch.StateReady), string(dispatch.StateWaiting), string(dispatch.StateAborted), string(dispatch.StateSucceeded), string(dispatch.StateSuperseded),
}

// signalOf names what is shown of an execution: its state, or that it waits for a
// person.
func signalOf(x *dispatch.Execution) string {
	if x.State == dispatch.StateRunning && x.WaitsFor != "" {
		return asking
	}
	return string(x.State)
}

// rowBuilder makes one row of all that is known of a commit on a track.
type rowBuilder struct {
	rows  []*row
	known map[track]map[string]*row
}

func (b *rowBuilder) row(t track, sha string) (r *row, fresh bool) {
	if r = b.known[t][sha]; r != nil {
		return r, false
	}
	r = &row{track: t, SHA: sha}
	if b.known[t] == nil {
		b.known[t] = map[string]*row{}
	}
	b.known[t][sha] = r
	b.rows = append(b.rows, r)
	return r, true
}

func (b *rowBuilder) addExecution(x *dispatch.Execution) {
	r, fresh := b.row(track{x.Source, x.Repository, x.Ref}, x.SHA)
	if fresh {
		r.At = stamp(x.CreatedAt)
	}
	if r.Title == "" {
		r.Title, r.Author, r.PullRequest = x.Title, x.Author, x.PullRequest
	}
	r.Runs = append(r.Runs, *x)
}

// addLeftOut adds the commits of one delivery that started nothing.
func (b *rowBuilder) addLeftOut(commits []dispatch.LeftOut) {
	var last *row
	for i := range commits {
		l := &commits[i]
		if i >= maxLeftOut {
			last.More = len(commits) - i
			return
		}
		r, fresh := b.row(track{l.Source, l.Repository, l.Ref}, l.SHA)
		last = r
		if fresh {
			r.At, r.Title, r.Author, r.LeftOut = stamp(l.ReceivedAt), l.Title, l.Author, l.Reasons
		}
	}
}

// suggest lists what filters can be set to.
func (p *tracksPage) suggest() {
	collect := func(list *[]string, value string) {
		if value != "" && !slices.Contains(*list, value) {
			*list = append(*list, value)
		}
	}
	for _, r := range p.Rows {
		collect(&p.Repositories, r.repository)
		collect(&p.Authors, r.Author)
		for i := range r.Runs {
			collect(&p.Routes, r.Runs[i].Route)
			collect(&p.Environments, r.Runs[i].Environment)
		}
	}
	for _, list := range [][]string{p.Repositories, p.Authors, p.Routes, p.Environments} {
		slices.Sort(list)
	}
}
