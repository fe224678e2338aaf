package dashboard

import (
	"context"
	"net/http"

	"switchyard/dispatch"
)

// Check is one thing that the page of health tells of the service.
type Check struct {
	// Name is what it is about, and Says how it stands.
	Name, Says string
	Good       bool
}

// WithHealth shows a page that tells how the service is.
func WithHealth(f func(ctx context.Context) []Check) Option {
	return func(d *Dashboard) { d.health = f }
}

type healthPage struct {
	page
	Checks []Check
	Depth  dispatch.Depth
	// Bad counts the checks that are not good.
	Bad int
}

func (d *Dashboard) showHealth(w http.ResponseWriter, r *http.Request, s *Session) {
	p := healthPage{page: d.pageFor(s, "Health", "/health")}
	p.Live = "/live"
	if d.health != nil {
		p.Checks = d.health(r.Context())
	}
	for _, c := range p.Checks {
		if !c.Good {
			p.Bad++
		}
	}
	var err error
	if p.Depth, err = d.read.Depth(r.Context()); err != nil {
		p.Bad++
		p.Checks = append(p.Checks, Check{Name: "journal", Says: err.Error()})
	}
	d.show(w, http.StatusOK, "health.html", &p)
}
