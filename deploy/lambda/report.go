package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Poster tells a source's host, as status.Poster does.
type Poster interface {
	Post(ctx context.Context, s dispatch.Status, targetURL string) error
}

// Reporter tells commits how their executions fare. EventBridge may send changes
// late, twice, or in another order, so each has the engine asked for where the
// execution is now.
type Reporter struct {
	Engine Engine
	// Decode reads a status change.
	Decode func([]byte) (event.Outcome, error)
	// RouteOf finds the route of an execution, see router.Router.RouteOf.
	RouteOf func(is func(id string) bool, source, repository, sha, merge, environment string) string
	// Posters are those of the sources whose commits are told.
	Posters map[string]Poster
	// Link is the address of an execution's page, "" for none.
	Link    func(executionARN string) string
	Metrics *Metrics
	Log     *zap.Logger
}

// knows reports whether a message is a status change.
func (r *Reporter) knows(body string) bool {
	_, err := r.Decode([]byte(body))
	return err == nil
}

// executionInput is what is read of the input of an execution.
type executionInput struct {
	Environment string `json:"environment"`
	Commit      struct {
		SHA  string `json:"sha"`
		Head string `json:"head"`
	} `json:"commit"`
	Source struct {
		Provider   string `json:"provider"` // the source's name
		Repository string `json:"repository"`
		Ref        string `json:"ref"`
	} `json:"source"`
}

// Report takes one status change. An error has it come again.
func (r *Reporter) Report(ctx context.Context, change []byte) error {
	hint, err := r.Decode(change)
	if err != nil {
		return err
	}
	o, err := r.Engine.Describe(ctx, hint.ExecutionARN)
	if errors.Is(err, dispatch.ErrNotFound) {
		return nil // gone, after its retention
	}
	if err != nil {
		return err
	}
	var in executionInput
	if json.Unmarshal([]byte(o.Input), &in) != nil {
		return nil //nolint:nilerr // not one that we have started
	}
	sha, merge := in.Commit.SHA, ""
	if in.Commit.Head != "" { // what it would be merged to was built, and the head is what is told
		sha, merge = in.Commit.Head, in.Commit.SHA
	}
	route := r.RouteOf(func(id string) bool { return isAttempt(o.Name, id) }, in.Source.Provider, in.Source.Repository, sha, merge, in.Environment)
	poster := r.Posters[in.Source.Provider]
	if route == "" || poster == nil {
		return nil
	}
	now := dispatch.StatusOfOutcome(&o)
	link := ""
	if r.Link != nil {
		link = r.Link(o.ExecutionARN)
	}
	err = poster.Post(ctx, dispatch.Status{
		Source: in.Source.Provider, Repository: in.Source.Repository, SHA: sha, Ref: in.Source.Ref, Execution: o.Name,
		Context: dispatch.StatusContext(route, ""), State: now.State, Description: now.Description,
	}, link)
	var permanent *dispatch.PermanentError
	if errors.As(err, &permanent) {
		r.Log.Warn("the host refuses a commit's status", zap.String("execution", o.Name), zap.String("repo", in.Source.Repository), zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("status of %s: %w", o.Name, err)
	}
	r.Metrics.count(metricStatuses)
	return nil
}
