// Package doctor looks at a live installation: whether what the config names is
// there, may be used, and works together. Its checks change nothing but where one
// says so.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Status is how a check came out.
type Status string

// How checks come out. Unknown is one that could not be made; Found says why.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	Unknown Status = "not checked"
)

// Result is what one check found. Its texts may hold what hosts say, and are not
// escaped.
type Result struct {
	// Area is what it is about, such as "service" or "source github".
	Area string `json:"area"`
	// Check names it within its area.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Found is what is so, and Fix what to do about it, empty where nothing is.
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"`
}

// Check finds out something. What it returns has no Area yet.
type Check struct {
	Area string
	// Name stands for the check where it does not end in time.
	Name string
	Run  func(context.Context) []Result
	// Limit is how long it may take, 0 for the usual.
	Limit time.Duration
}

// atOnce is how many checks are made at the same time.
const atOnce = 8

// Run makes the checks, each within the limit, and returns what they found in
// their order.
func Run(ctx context.Context, checks []Check, limit time.Duration) []Result {
	found := make([][]Result, len(checks))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, c := range checks {
		g.Go(func() error {
			found[i] = c.run(ctx, limit)
			return nil
		})
	}
	_ = g.Wait() // none returns an error
	return slices.Concat(found...)
}

func (c *Check) run(ctx context.Context, limit time.Duration) []Result {
	if c.Limit != 0 {
		limit = c.Limit
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := c.Run(timed)
	if ctx.Err() == nil && timed.Err() != nil {
		// What failed then failed for that.
		found = slices.DeleteFunc(found, func(r Result) bool { return r.Status == Failed || r.Status == Unknown })
		found = append(found, unknown(c.Name, "it did not end within %v", limit))
	}
	for i := range found {
		found[i].Area = c.Area
	}
	return found
}

// Healthy reports whether nothing failed.
func Healthy(found []Result) bool {
	return !slices.ContainsFunc(found, func(r Result) bool { return r.Status == Failed })
}

func good(check, format string, args ...any) Result {
	return Result{Check: check, Status: OK, Found: fmt.Sprintf(format, args...)}
}

func unknown(check, format string, args ...any) Result {
	return Result{Check: check, Status: Unknown, Found: fmt.Sprintf(format, args...)}
}

func warning(check, found, fix string) Result {
	return Result{Check: check, Status: Warning, Found: found, Fix: fix}
}

func failed(check, found, fix string) Result {
	return Result{Check: check, Status: Failed, Found: found, Fix: fix}
}
