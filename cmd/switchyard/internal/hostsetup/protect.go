package hostsetup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/router"
)

// Protection is what one branch requires of statuses, and what it could.
type Protection struct {
	Contexts []Context `json:"contexts"`
	// Stale are contexts of Switchyard that the host requires and no route gives:
	// merges wait for them for ever.
	Stale []string `json:"stale,omitempty"`
	// Others are contexts that others give.
	Others []string `json:"others,omitempty"`
}

// Context is the status of a route that a branch can require.
type Context struct {
	Context string `json:"context"`
	Route   string `json:"route"`
	// Required says that the host requires it, Added since now.
	Required bool `json:"required"`
	Added    bool `json:"added,omitempty"`
	// Never says why no commit has it before it is merged; empty where one can.
	Never string `json:"never,omitempty"`
	// Unless lists in which cases it does not come, and Forks when it comes for a
	// pull request from a fork, if not always.
	Unless []string `json:"unless,omitempty"`
	Forks  string   `json:"forks,omitempty"`
}

// Safe reports whether every pull request of the repository itself has it.
func (c *Context) Safe() bool { return c.Never == "" && len(c.Unless) == 0 }

// Protect compares what a branch requires with what the routes give. With apply,
// it adds the contexts that are safe, and those of the routes that are named. host
// is nil where nobody can be asked: nothing is required then as far as is known.
//
// A commit's first environment in a route has the plain context of the route, and
// no other is ever sure to come, so that none is listed.
func Protect(ctx context.Context, host githost.Protector, gates []router.Gate, repository, branch string, apply bool, named []string) (Protection, error) {
	var required []string
	if host != nil {
		var err error
		if required, err = host.Required(ctx, repository, branch); err != nil {
			return Protection{}, fmt.Errorf("read what %s requires: %w", branch, err)
		}
	}
	p := Protection{Contexts: []Context{}}
	var ours, add []string
	for _, g := range gates {
		c := Context{Context: dispatch.StatusContext(g.Route, ""), Route: g.Route, Never: g.Never, Unless: g.Unless, Forks: g.Forks}
		c.Required = slices.Contains(required, c.Context)
		if apply && !c.Required && (c.Safe() || c.Never == "" && slices.Contains(named, g.Route)) {
			c.Required, c.Added = true, true
			add = append(add, c.Context)
		}
		ours = append(ours, c.Context)
		p.Contexts = append(p.Contexts, c)
	}
	for _, context := range required {
		switch {
		case slices.Contains(ours, context):
		case strings.HasPrefix(context, dispatch.StatusContext("", "")):
			p.Stale = append(p.Stale, context)
		default:
			p.Others = append(p.Others, context)
		}
	}
	if len(add) > 0 {
		if err := host.Require(ctx, repository, branch, add); err != nil {
			return Protection{}, fmt.Errorf("have %s require %s: %w", branch, strings.Join(add, ", "), err)
		}
	}
	return p, nil
}
