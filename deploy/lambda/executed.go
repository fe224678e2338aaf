package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const (
	// maxFound is how many executions one command is about, at most, and
	// maxAttempts how many attempts at one are looked for.
	maxFound    = 500
	maxAttempts = 100
)

// executed is the last attempt at an execution.
type executed struct {
	event.Outcome
	base    string // the name of the first attempt
	attempt int
	machine string
	route   string
	reason  string
}

// isAttempt reports whether an execution is an attempt at the one called base.
func isAttempt(name, base string) bool {
	if name == base {
		return true
	}
	_, attempt := attemptOf(name)
	return attempt > 1 && dispatch.AttemptID(base, attempt) == name
}

// attemptOf takes the name of an attempt apart: what is before its number, which is
// the first one's name unless that is too long, and the number, 1 where it has none.
func attemptOf(name string) (before string, attempt int) {
	if at := strings.LastIndex(name, "-r"); at > 0 {
		if n, err := strconv.Atoi(name[at+2:]); err == nil && n > 1 && dispatch.AttemptID(name[:at], n) == name {
			return name[:at], n
		}
	}
	return name, 1
}

// head is the commit that the command is about.
func (k *command) head() string {
	if k.o.SHA != "" || k.pull == nil {
		return k.o.SHA
	}
	return k.pull.After
}

// found are the executions that the command is about: the one that it names, or
// those of the pull request's head, or, where it stops them, of all its commits.
func (k *command) found(ctx context.Context) ([]executed, error) {
	if k.o.Execution != "" {
		return k.byName(ctx)
	}
	if k.pull == nil {
		return nil, nil
	}
	shas := []string{k.head()}
	if k.o.Verb == event.Stop && k.o.SHA == "" {
		all, err := k.commits(ctx)
		if err != nil {
			return nil, err
		}
		shas = all
	}
	requests, err := k.candidates(ctx, shas)
	if err != nil {
		return nil, err
	}
	return k.lastAttempts(ctx, requests)
}

// commits are those of the pull request; its head alone where the host does not list
// them.
func (k *command) commits(ctx context.Context) ([]string, error) {
	shas := []string{k.pull.After}
	if !k.pull.Truncated {
		return shas, nil
	}
	all, err := k.Host.Commits(ctx, k.pull)
	if err != nil && !errors.Is(err, dispatch.ErrCannotAsk) && !errors.As(err, new(*dispatch.PermanentError)) {
		return nil, fmt.Errorf("list the commits of pull request #%d: %w", k.o.PullRequest, err)
	}
	for i := range all {
		if all[i].SHA != k.pull.After {
			shas = append(shas, all[i].SHA)
		}
	}
	return shas, nil
}

// candidates are what routes would ask for of commits of the pull request, had each
// of them been its head or been allowed, and of its head, had that been pushed:
// whatever was started for one of these has such a name. Of what the pull request
// would have been merged to before, nobody knows.
func (k *command) candidates(ctx context.Context, shas []string) ([]event.Request, error) {
	var all []event.Request
	seen := map[string]bool{}
	for _, sha := range shas {
		pull := *k.pull
		pull.Kind, pull.Action, pull.After, pull.Commits, pull.Truncated, pull.Total = event.PullRequest, "allowed", sha, []event.Commit{{SHA: sha}}, false, 1
		events := []event.Event{pull}
		if !pull.PullRequest.Fork && sha == k.pull.After {
			push := pull
			push.Kind, push.Action, push.PullRequest = event.Push, "", nil
			events = append(events, push)
		}
		for i := range events {
			plan := k.Planner.Plan(events[i])
			if plan.Unmerged && sha == k.pull.After {
				var err error
				if plan, _, err = dispatch.Complete(ctx, k.Host, k.Planner, &events[i], k.tries); err != nil {
					return nil, err
				}
			}
			for _, r := range plan.Requests {
				if !seen[r.ID] && !r.Teardown && (k.o.Route == "" || r.Route == k.o.Route) && len(all) < maxFound {
					seen[r.ID] = true
					all = append(all, r)
				}
			}
		}
	}
	return all, nil
}

// lastAttempts are the last attempts at those requests that were started.
func (k *command) lastAttempts(ctx context.Context, requests []event.Request) ([]executed, error) {
	found := make([]*executed, len(requests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(starts)
	for i := range requests {
		group.Go(func() (err error) {
			r := &requests[i]
			found[i], err = k.lastAttempt(ctx, executed{base: r.ID, machine: r.StateMachine, route: r.Route, reason: r.Reason})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []executed
	for _, x := range found {
		if x != nil {
			all = append(all, *x)
		}
	}
	return all, nil
}

// lastAttempt finds the last attempt at an execution, nil where there is none.
func (k *command) lastAttempt(ctx context.Context, x executed) (*executed, error) {
	var last *executed
	for attempt := max(1, x.attempt); attempt <= maxAttempts; attempt++ {
		o, err := k.Commands.Engine.Named(ctx, x.machine, dispatch.AttemptID(x.base, attempt))
		if errors.Is(err, dispatch.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		one := x
		one.Outcome, one.attempt = o, attempt
		last = &one
	}
	return last, nil
}

// byName finds the execution that a button names, on whichever state machine it is.
// Whoever names one must have it shown with their repository.
func (k *command) byName(ctx context.Context) ([]executed, error) {
	base, attempt := attemptOf(k.o.Execution)
	var mu sync.Mutex
	var found []executed
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(starts)
	for _, machine := range k.StateMachines {
		group.Go(func() error {
			x, err := k.lastAttempt(ctx, executed{base: base, attempt: attempt, machine: machine})
			if err != nil || x == nil {
				return err
			}
			var in executionInput
			if json.Unmarshal([]byte(x.Input), &in) != nil || in.Source.Provider != k.ev.Source || in.Source.Repository != k.ev.Repository.FullName {
				return nil //nolint:nilerr // another's
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, *x)
			return nil
		})
	}
	return found, group.Wait()
}
