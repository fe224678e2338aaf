package dashboard_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/ui/dashboard"
)

func (j *books) Deliveries(_ context.Context, f dispatch.DeliveryFilter) (page dispatch.DeliveryPage, err error) {
	for _, d := range j.deliveries {
		if f.Before != 0 && d.Seq >= f.Before || f.Source != "" && d.Source != f.Source {
			continue
		}
		if len(page.Deliveries) == f.Limit {
			page.Next = page.Deliveries[f.Limit-1].Seq
			break
		}
		page.Deliveries = append(page.Deliveries, d.Delivery)
	}
	return page, nil
}

func (j *books) Delivery(_ context.Context, id string) (dispatch.DeliveryDetail, error) {
	for _, d := range j.deliveries {
		if d.ID == id {
			return d, nil
		}
	}
	return dispatch.DeliveryDetail{}, dispatch.ErrNotFound
}

func (j *books) EnvironmentLimit(environment string) int { return len(environment) }

func delivered(n int, change func(*dispatch.DeliveryDetail)) dispatch.DeliveryDetail {
	d := dispatch.DeliveryDetail{Delivery: dispatch.Delivery{
		Seq: int64(n), ID: fmt.Sprintf("github:d/%d#a b", n), Source: "github", Kind: event.Push, Repository: "acme/api", Ref: "refs/heads/main", Commits: 2,
		ReceivedAt: start, State: dispatch.DeliveryExpanded,
	}}
	if change != nil {
		change(&d)
	}
	return d
}

func TestDeliveriesSayWhatBecameOfThem(t *testing.T) {
	s := open(t, &books{deliveries: []dispatch.DeliveryDetail{
		delivered(5, func(d *dispatch.DeliveryDetail) { d.State = dispatch.DeliveryPending }),
		delivered(4, func(d *dispatch.DeliveryDetail) {
			d.State, d.WaitsFor = dispatch.DeliveryCompleting, "the host <is> away"
		}),
		delivered(3, func(d *dispatch.DeliveryDetail) { d.Ignored = 2 }),
		delivered(2, func(d *dispatch.DeliveryDetail) { d.Requested, d.Ignored = 2, 1 }),
		delivered(1, func(d *dispatch.DeliveryDetail) { d.Requested = 2 }),
	}})
	s.signIn()
	text := s.page("/deliveries")
	at := 0
	for _, want := range []string{"is about to be routed", "waits: the host &lt;is&gt; away", "<td>ignored</td>", "2 started, 1 left out", "2 started</td>"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %q where it belongs:\n%s", want, text)
		}
		at += i
	}
	if text := s.page("/deliveries?source=gitlab"); !strings.Contains(text, "No delivery matches") {
		t.Error(text)
	}
}

func TestDeliveriesArePaged(t *testing.T) {
	j := &books{}
	for n := 120; n > 0; n-- {
		j.deliveries = append(j.deliveries, delivered(n, nil))
	}
	s := open(t, j)
	s.signIn()
	rows, pages := 0, 0
	for path := "/deliveries?source=github"; path != ""; pages++ {
		text := s.page(path)
		rows += strings.Count(text, `<td><a href="/deliveries/`)
		path = ""
		if m := olderOf.FindStringSubmatch(text); m != nil {
			path = html.UnescapeString(m[1])
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if rows != 120 || pages != 3 {
		t.Errorf("%d rows on %d pages", rows, pages)
	}
}

func TestDeliveryIsReplayedByOperators(t *testing.T) {
	s := open(t, &books{deliveries: []dispatch.DeliveryDetail{delivered(1, func(d *dispatch.DeliveryDetail) {
		d.Requested, d.Executions = 1, []dispatch.Execution{execution(7)}
		d.Reasons = []dispatch.Ignored{{Ignored: event.Ignored{Route: "docs", Reason: "no <docs>"}}, {Ignored: event.Ignored{Route: "r", Commit: "0123456789", Reason: "asked before"}, Execution: "api-6"}}
		d.Event.Repository.FullName = "acme/<api>"
	})}})
	s.signIn()
	path := "/deliveries/" + url.PathEscape("github:d/1#a b")
	text := s.page(path)
	for _, want := range []string{`href="/executions/api-7"`, "no &lt;docs&gt;", `href="/executions/api-6"`, "acme/&lt;api&gt;", ">Replay<"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if found := inline.FindString(text); found != "" {
		t.Errorf("the page has %q", found)
	}
	if resp, _ := s.post(path+"/replay", url.Values{}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("without the form's key: %s", resp.Status)
	}
	resp, _ := s.post(path+"/replay", url.Values{"form": {s.formKey(text)}})
	if d := cmp.Diff([]string{"replay github:d/1#a b"}, s.did); d != "" || resp.Header.Get("Location") != path {
		t.Errorf("%s to %s: %s", resp.Status, resp.Header.Get("Location"), d)
	}
	if resp, _ := s.get("/deliveries/none"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("one that there is not: %s", resp.Status)
	}
}

func TestEnvironmentsShowWhoHoldsAndWhoWaits(t *testing.T) {
	in := func(e string, s dispatch.State) func(*dispatch.Execution) {
		return func(x *dispatch.Execution) { x.Environment, x.State = e, s }
	}
	s := open(t, &books{executions: []dispatch.Execution{
		execution(5, in("prod", dispatch.StateWaiting)), execution(4, in("prod", dispatch.StateWaiting)), execution(3, in("prod", dispatch.StateRunning)),
		execution(2, in("acceptance", dispatch.StateReady)), execution(1, in("", dispatch.StateRunning)),
	}})
	s.signIn()
	text := s.page("/environments")
	at := 0
	for _, want := range []string{"prod <small>1 of at most 4 at work, 2 waiting", "Commit number 3", "Commit number 4", "Commit number 5", "acceptance <small>1 of at most 10 at work, 0 waiting", "Commit number 2"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %q where it belongs:\n%s", want, text)
		}
		at += i
	}
	if strings.Contains(text, "Commit number 1<") {
		t.Error("an execution without an environment is shown in one")
	}
}

// What a push of thousands of commits makes is counted, and its beginning is listed.
func TestLongListsAreCut(t *testing.T) {
	j := &books{}
	for n := 900; n > 0; n-- {
		j.executions = append(j.executions, execution(n, func(x *dispatch.Execution) {
			if x.Environment, x.State = "prod", dispatch.StateWaiting; n <= 300 {
				x.State = dispatch.StateRunning
			}
		}))
	}
	j.deliveries = []dispatch.DeliveryDetail{delivered(1, func(d *dispatch.DeliveryDetail) {
		d.Executions = j.executions
		for n := range 700 {
			d.Reasons = append(d.Reasons, dispatch.Ignored{Ignored: event.Ignored{Route: "docs", Reason: fmt.Sprintf("reason %d", n)}})
			d.Event.Commits = append(d.Event.Commits, event.Commit{Message: strings.Repeat("words ", 100)})
		}
	})}
	s := open(t, j)
	s.signIn()
	for path, want := range map[string][]string{
		"/environments": {"300 of at most 4 at work, 600 waiting", "and 200 more at work", "and 500 more waiting", "Commit number 301,"},
		"/deliveries/" + url.PathEscape("github:d/1#a b"): {"and 800 more", "and 600 more", "The beginning of it"},
	} {
		text := s.page(path)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s has no %q", path, w)
			}
		}
		if len(text) > 200_000 {
			t.Errorf("%s has %d bytes", path, len(text))
		}
	}
}

func TestHealthSaysWhatNeedsALook(t *testing.T) {
	good := dashboard.Check{Name: "journal", Says: "ready", Good: true}
	checks := []dashboard.Check{good, {Name: "statuses to <b>", Says: "2 repositories are left <alone>"}}
	s := open(t, &books{}, dashboard.WithHealth(func(context.Context) []dashboard.Check { return checks }))
	s.signIn()
	text := s.page("/health")
	for _, want := range []string{"1 of what is below needs a look", "statuses to &lt;b&gt;", "left &lt;alone&gt;", "7 run, 0 are about to start, 3 wait"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	checks = checks[:1]
	if text := s.page("/health"); !strings.Contains(text, "All is well") {
		t.Error(text)
	}
}
