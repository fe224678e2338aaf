package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"switchyard/dispatch"
)

// lookPages is how many pages of the journal the page of environments looks through
// for executions that have not ended: 100,000 requests.
const lookPages = 5

// maxListed is how many of what may be thousands a page lists.
const maxListed = 100

// environment is where executions deploy, with who holds it and who waits.
type environment struct {
	Name string
	// Limit is how many run at once, 0 for any number.
	Limit int
	// AtWork counts those that are ready or run, and Waiting those that wait; Holders
	// and Queue are the oldest maxListed of each, the oldest first.
	AtWork, Waiting int
	Holders, Queue  []queued
}

// MoreAtWork and MoreWaiting count those that are not listed.
func (e *environment) MoreAtWork() int  { return e.AtWork - len(e.Holders) }
func (e *environment) MoreWaiting() int { return e.Waiting - len(e.Queue) }

type queued struct {
	dispatch.Execution
	Since stamp
}

type environmentsPage struct {
	page
	Environments []*environment
}

func (d *Dashboard) showEnvironments(w http.ResponseWriter, r *http.Request, s *Session) {
	p := environmentsPage{page: d.pageFor(s, "Environments", "/environments")}
	p.Live = "/live"
	var err error
	if p.Environments, err = d.environments(r.Context()); err != nil {
		d.broken(w, fmt.Errorf("environments: %w", err))
		return
	}
	d.show(w, http.StatusOK, "environments.html", &p)
}

// environments are those in which an execution runs or waits, by name.
func (d *Dashboard) environments(ctx context.Context) ([]*environment, error) {
	var unfinished []dispatch.Execution
	f := dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateWaiting, dispatch.StateReady, dispatch.StateRunning}, Limit: 1000}
	for range lookPages {
		found, err := d.read.Executions(ctx, f)
		if err != nil {
			return nil, err
		}
		unfinished = append(unfinished, found.Executions...)
		if f.Before = found.Next; f.Before == 0 {
			break
		}
	}
	known := map[string]*environment{}
	for _, x := range slices.Backward(unfinished) {
		if x.Environment == "" {
			continue
		}
		e := known[x.Environment]
		if e == nil {
			e = &environment{Name: x.Environment, Limit: d.read.EnvironmentLimit(x.Environment)}
			known[x.Environment] = e
		}
		if x.State == dispatch.StateWaiting {
			if e.Waiting++; e.Waiting <= maxListed {
				e.Queue = append(e.Queue, queued{x, stamp(x.CreatedAt)})
			}
			continue
		}
		since := x.StartedAt
		if since.IsZero() {
			since = x.CreatedAt
		}
		if e.AtWork++; e.AtWork <= maxListed {
			e.Holders = append(e.Holders, queued{x, stamp(since)})
		}
	}
	// Those for which somebody waits come first.
	return slices.SortedFunc(maps.Values(known), func(a, b *environment) int {
		return cmp.Or(cmp.Compare(min(b.Waiting, 1), min(a.Waiting, 1)), cmp.Compare(a.Name, b.Name))
	}), nil
}
