package codecommit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"switchyard/internal/codecommittest"
	"switchyard/internal/event"
)

type host struct {
	*Client
	server *codecommittest.Server
	repo   *codecommittest.Repo
}

// newHost is a client of a stand-in with one empty repository, without a pace.
func newHost(t *testing.T, cfg Config) *host {
	t.Helper()
	server := codecommittest.New(t)
	repo := codecommittest.NewRepo(t, "api")
	server.Add(repo)
	return &host{connect(t, server, cfg), server, repo}
}

// connect is another client of the server, which remembers nothing yet.
func connect(t *testing.T, server *codecommittest.Server, cfg Config) *Client {
	t.Helper()
	cfg.Source, cfg.Region = "codecommit", codecommittest.Region
	c, err := New(t.Context(), cfg, WithAPI(server.Client()), WithPace(rate.NewLimiter(rate.Inf, 1)), WithFirstWait(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func push(branch, before, after string) *event.Event {
	return &event.Event{Source: "codecommit", Kind: event.Push, Repository: event.Repository{FullName: "api"}, Ref: "refs/heads/" + branch, Before: before, After: after}
}

func (h *host) shas(t *testing.T, e *event.Event) []string {
	t.Helper()
	all, err := h.Commits(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	shas := []string{}
	for i := range all {
		shas = append(shas, all[i].SHA)
	}
	return shas
}

// revList is what git says.
func (h *host) revList(args ...string) []string {
	return strings.Fields(h.repo.Git(append([]string{"rev-list", "--topo-order", "--reverse"}, args...)...))
}

// dag is a made-up history.
type dag struct {
	parents [][]int
	dates   []int64
}

// randomDAG has n commits with up to three parents among those before, mostly
// the last ones. skew is by how many seconds a clock may be wrong, one commit
// takes about a minute.
func randomDAG(r *rand.Rand, n int, skew int64) dag {
	d := dag{}
	for i := range n {
		var of []int
		for range []int{1, 1, 1, 1, 2, 2, 2, 3}[r.IntN(8)] {
			if i == 0 || r.IntN(40) == 0 {
				continue // another root
			}
			p := i - 1 - r.IntN(min(i, []int{1, 2, 3, 5, 30}[r.IntN(5)]))
			dup := false
			for _, q := range of {
				dup = dup || q == p
			}
			if !dup {
				of = append(of, p)
			}
		}
		date := int64(1_700_000_000 + 60*i)
		if skew > 0 {
			date += r.Int64N(2*skew) - skew
		}
		d.parents, d.dates = append(d.parents, of), append(d.dates, date)
	}
	return d
}

// load makes the history in the repository, and returns the commits' IDs.
func (h *host) load(t *testing.T, d dag) []string {
	t.Helper()
	var stream strings.Builder
	for i, parents := range d.parents {
		// Each is on a ref of its own, which the API does not show.
		fmt.Fprintf(&stream, "commit refs/all/%d\nmark :%d\ncommitter Ada <ada@example.test> %d +0000\ndata <<.\ncommit %d\n.\n", i, i+1, d.dates[i], i)
		for j, p := range parents {
			fmt.Fprintf(&stream, "%s :%d\n", []string{"from", "merge"}[min(j, 1)], p+1)
		}
		fmt.Fprintf(&stream, "M 100644 inline f%d\ndata 1\nx\n\n", i%7)
	}
	h.repo.Feed(stream.String(), "fast-import", "--quiet", "--force")
	refs := strings.Fields(h.repo.Git("for-each-ref", "--format=%(refname) %(objectname)", "refs/all"))
	shas := make([]string, len(d.parents))
	for i := 0; i < len(refs); i += 2 {
		var n int
		if _, err := fmt.Sscanf(refs[i], "refs/all/%d", &n); err != nil {
			t.Fatal(err)
		}
		shas[n] = refs[i+1]
	}
	return shas
}

func (h *host) branch(name, sha string) { h.repo.Git("update-ref", "refs/heads/"+name, sha) }
