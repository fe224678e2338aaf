package journaltest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func commitsAreSearched(t *testing.T, f *fixture) {
	by := func(author, title string) option {
		return func(r *dispatch.NewRequest) { r.Commit.Author, r.Commit.Message = author, title }
	}
	f.push(f.request("one", by("ada", "Fix the 100% case")), f.request("two", by("grace", "Fix 100 cases"), onRef("refs/heads/feature/a_b")),
		f.request("three", by("ada", "Ünïcode"), onRef("refs/heads/feature/axb")))
	for name, row := range map[string]struct {
		filter dispatch.ExecutionFilter
		want   []string
	}{
		"by author":                     {dispatch.ExecutionFilter{Author: "ada"}, []string{"three", "one"}},
		"no part of an author":          {dispatch.ExecutionFilter{Author: "ad"}, []string{}},
		"in a title, any case":          {dispatch.ExecutionFilter{Search: "fix"}, []string{"two", "one"}},
		"in a ref":                      {dispatch.ExecutionFilter{Search: "Feature/"}, []string{"three", "two"}},
		"beginning of a commit":         {dispatch.ExecutionFilter{Search: "sha-t"}, []string{"three", "two"}},
		"not the middle of a commit":    {dispatch.ExecutionFilter{Search: "ha-t"}, []string{}},
		"a percent sign is itself":      {dispatch.ExecutionFilter{Search: "100%"}, []string{"one"}},
		"an underscore is itself":       {dispatch.ExecutionFilter{Search: "a_b"}, []string{"two"}},
		"a backslash is itself":         {dispatch.ExecutionFilter{Search: `a\_b`}, []string{}},
		"a quote is itself":             {dispatch.ExecutionFilter{Search: `' OR 1=1 --`}, []string{}},
		"both":                          {dispatch.ExecutionFilter{Author: "ada", Search: "fix"}, []string{"one"}},
		"with a state that none is in":  {dispatch.ExecutionFilter{Search: "fix", States: []dispatch.State{dispatch.StateDead}}, []string{}},
		"other letters are as they are": {dispatch.ExecutionFilter{Search: "Ünï"}, []string{"three"}},
	} {
		page, err := f.j.Executions(t.Context(), row.filter)
		f.must(err)
		f.diff(name, row.want, idsOf(page.Executions))
	}
}

// pushOf delivers commits and expands them, some to requests, some to reasons.
func (f *fixture) pushOf(id, ref string, commits []event.Commit, requests []dispatch.NewRequest, ignored ...dispatch.Ignored) {
	f.t.Helper()
	ev := event.Event{Source: "github", DeliveryID: id, Kind: event.Push, Ref: ref, Commits: commits}
	ev.Repository.FullName = "acme/api"
	if n := len(commits); n > 0 {
		ev.After = commits[n-1].SHA
	}
	text, err := json.Marshal(ev)
	f.must(err)
	f.now = f.now.Add(time.Second)
	d := delivery(id, f.now)
	d.Ref, d.Event, d.Commits = ref, text, len(commits)
	at, err := f.j.Append(f.t.Context(), d)
	f.must(err)
	_, err = f.j.Expand(f.t.Context(), []dispatch.Expansion{{Delivery: at.Seq, Requests: requests, Ignored: ignored, At: f.now}})
	f.must(err)
}

func leftOutIsListed(t *testing.T, f *fixture) {
	commit := func(sha, author string) event.Commit {
		return event.Commit{SHA: sha, Message: "Title of " + sha + "\n\nBody", Author: author}
	}
	why := func(route, sha, reason string) dispatch.Ignored {
		return dispatch.Ignored{Ignored: event.Ignored{Route: route, Commit: sha, Reason: reason}}
	}
	f.pushOf("unrouted", "refs/heads/wip", []event.Commit{commit("u1", "ada"), commit("u2", "grace")}, nil,
		why("branches", "", "branch wip is none of the route's"), why("docs", "", "no branch"))
	f.pushOf("partly", "refs/heads/main", []event.Commit{commit("p1", "ada"), commit("sha-p2", "ada"), commit("p3", "ada")},
		[]dispatch.NewRequest{f.request("p2")}, why("branches", "p1", "skip marker"), why("docs", "", "no docs"), why("branches", "p3", "skip marker"))
	known := why("branches", "k1", "requested before")
	known.Execution = "p2"
	f.pushOf("known", "refs/heads/main", []event.Commit{commit("k1", "ada")}, nil, known)
	f.pushOf("whole", "refs/heads/main", []event.Commit{commit("w1", "ada")}, nil, why("", "", "the repository is not routed"))
	f.pushOf("fine", "refs/heads/main", []event.Commit{commit("sha-f1", "ada")}, []dispatch.NewRequest{f.request("f1")})

	list := func(filter dispatch.LeftOutFilter) (shas []string, next int64) {
		page, err := f.j.LeftOut(t.Context(), filter)
		f.must(err)
		for i := range page.Commits {
			shas = append(shas, page.Commits[i].SHA)
		}
		return shas, page.Next
	}
	for name, row := range map[string]struct {
		filter dispatch.LeftOutFilter
		want   []string
	}{
		"all":                   {dispatch.LeftOutFilter{}, []string{"w1", "p3", "p1", "u2"}},
		"of a branch":           {dispatch.LeftOutFilter{Ref: "wip"}, []string{"u2"}},
		"of an author":          {dispatch.LeftOutFilter{Author: "grace"}, []string{"u2"}},
		"of a route":            {dispatch.LeftOutFilter{Route: "docs"}, []string{"w1", "u2"}},
		"found by title":        {dispatch.LeftOutFilter{Search: "title of P"}, []string{"p3", "p1"}},
		"found by commit":       {dispatch.LeftOutFilter{Search: "w1"}, []string{"w1"}},
		"of another repository": {dispatch.LeftOutFilter{Repository: "acme/web"}, nil},
	} {
		got, _ := list(row.filter)
		f.diff(name, row.want, got)
	}
	page, err := f.j.LeftOut(t.Context(), dispatch.LeftOutFilter{Ref: "wip"})
	f.must(err)
	f.diff("one of them", []dispatch.LeftOut{{
		Seq: page.Commits[0].Seq, Delivery: "github:unrouted", Source: "github", Repository: "acme/api", Ref: "refs/heads/wip", Kind: event.Push,
		ReceivedAt: epoch.Add(time.Second), SHA: "u2", Title: "Title of u2", Author: "grace",
		Reasons: []event.Ignored{{Route: "branches", Reason: "branch wip is none of the route's"}, {Route: "docs", Reason: "no branch"}},
	}}, page.Commits)

	// Pages meet without a gap, also where a filter is decided of what was read.
	for _, search := range []string{"", "title"} {
		var all []string
		pages := 0
		for before := int64(0); ; pages++ {
			if pages > 9 {
				t.Fatal("the list does not end")
			}
			shas, next := list(dispatch.LeftOutFilter{Search: search, Before: before, Limit: 1})
			all = append(all, shas...)
			if before = next; next == 0 {
				break
			}
		}
		f.diff(fmt.Sprintf("page by page, search %q", search), []string{"w1", "p3", "p1", "u2"}, all)
	}
}
