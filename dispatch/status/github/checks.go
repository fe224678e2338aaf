package github

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/internal/event"
)

const (
	// pageOfAnnotations is how many annotations a call may bring ("Create a check
	// run").
	pageOfAnnotations = 50
	// retryChecks is how long an App that may not write checks writes statuses
	// before it is tried again.
	retryChecks = time.Hour
	// maxKnown bounds how many check runs are remembered.
	maxKnown = 10_000
)

// row is what a check run stands for.
type row struct{ repository, sha, context string }

// known is a check run that GitHub has.
type known struct {
	id        int64
	execution string
	ended     bool
	title     string
	// annotations is how many it has: calls add to them.
	annotations int
}

// postCheck makes the check run of s, which is that of one execution, show its
// state. Each execution has a check run of its own, of which GitHub shows the
// newest.
func (p *Poster) postCheck(ctx context.Context, client *github.Client, owner, repo string, s dispatch.Status, targetURL string) error {
	var d status.Details
	ended := s.State != dispatch.StatusPending
	if ended && p.describe != nil {
		var err error
		if d, err = p.describe(ctx, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			d = status.Details{Log: "The details cannot be read: " + err.Error()}
		}
	}
	key := row{s.Repository, s.SHA, s.Context}
	run, err := p.find(ctx, client, owner, repo, key, s)
	if err != nil {
		return err
	}
	title := status.Line(s.Description, maxDescription)
	if run != nil && run.ended && (!ended && s.Approval == "" || run.title != title) {
		run = nil // it goes on: its annotations are of the time before
	}
	var left []*github.CheckRunAnnotation
	if ended {
		left = annotations(d.Annotations)
	}
	if run != nil {
		left = left[min(run.annotations, len(left)):]
	}
	for first := true; first || len(left) > 0; first = false {
		now := left[:min(pageOfAnnotations, len(left))]
		left = left[len(now):]
		output := &github.CheckRunOutput{Title: &title, Summary: new(summary(&s, &d, targetURL)), Annotations: now}
		if text := logText(d.Log); text != "" {
			output.Text = &text
		}
		if run, err = p.write(ctx, client, owner, repo, run, s, targetURL, output); err != nil {
			p.remember(key, nil)
			return err
		}
		run.title, run.annotations = title, run.annotations+len(now)
		p.remember(key, run)
	}
	return nil
}

// decisions are the buttons of an execution that waits for a person: the verbs of
// commands, bound to the approval, so that pressing one again does not decide what is
// asked next. GitHub shows them once a check run is completed, and takes identifiers
// of 20 characters at most ("Create a check run").
func decisions(approval string) []*github.CheckRunAction {
	bound := func(verb event.Verb) string { return string(verb) + ":" + dispatch.ShortApproval(approval) }
	return []*github.CheckRunAction{
		{Label: "Approve", Description: "Let this commit go on", Identifier: bound(event.Approve)},
		{Label: "Reject", Description: "Let this execution fail", Identifier: bound(event.Reject)},
	}
}

// write creates a check run, or updates the one that there is. One that waits for a
// person is completed, as requiring action; another follows once it goes on.
func (p *Poster) write(ctx context.Context, client *github.Client, owner, repo string, run *known, s dispatch.Status, targetURL string, output *github.CheckRunOutput) (*known, error) {
	state, conclusion, at := "in_progress", (*string)(nil), (*github.Timestamp)(nil)
	if s.State != dispatch.StatusPending {
		state, conclusion, at = "completed", github.String("failure"), (*github.Timestamp)(nil)
		if !s.WantedAt.IsZero() {
			at = &github.Timestamp{Time: s.WantedAt}
		}
		if s.State == dispatch.StatusSuccess {
			conclusion = github.String("success")
		}
	}
	var actions []*github.CheckRunAction
	if s.Approval != "" {
		state, conclusion, actions = "completed", github.String("action_required"), decisions(s.Approval)
	}
	var link *string
	if targetURL != "" {
		link = &targetURL
	}
	next := &known{execution: s.Execution, ended: conclusion != nil}
	if run == nil {
		made, _, err := client.Checks.CreateCheckRun(ctx, owner, repo, github.CreateCheckRunOptions{
			Name: s.Context, HeadSHA: s.SHA, ExternalID: &s.Execution, DetailsURL: link, Status: &state, Conclusion: conclusion, CompletedAt: at, Output: output, Actions: actions,
		})
		next.id = made.GetID()
		return next, err
	}
	next.id, next.annotations = run.id, run.annotations
	_, _, err := client.Checks.UpdateCheckRun(ctx, owner, repo, run.id, github.UpdateCheckRunOptions{
		Name: s.Context, ExternalID: &s.Execution, DetailsURL: link, Status: &state, Conclusion: conclusion, CompletedAt: at, Output: output, Actions: actions,
	})
	return next, err
}

// find returns the check run of an execution, nil where there is none yet. After a
// restart GitHub is asked.
func (p *Poster) find(ctx context.Context, client *github.Client, owner, repo string, key row, s dispatch.Status) (*known, error) {
	p.mu.Lock()
	run, there := p.runs[key]
	p.mu.Unlock()
	if there {
		if run.execution == s.Execution {
			return &run, nil
		}
		return nil, nil
	}
	opts := &github.ListCheckRunsOptions{CheckName: &s.Context, AppID: new(p.host.AppID()), Filter: github.String("latest")}
	found, _, err := client.Checks.ListCheckRunsForRef(ctx, owner, repo, s.SHA, opts)
	if err != nil {
		return nil, err
	}
	for _, r := range found.CheckRuns {
		if r.GetName() == s.Context && r.GetExternalID() == s.Execution {
			return &known{
				id: r.GetID(), execution: s.Execution, ended: r.GetStatus() == "completed", title: r.GetOutput().GetTitle(),
				annotations: r.GetOutput().GetAnnotationsCount(),
			}, nil
		}
	}
	return nil, nil
}

func (p *Poster) remember(key row, run *known) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if run == nil {
		delete(p.runs, key)
		return
	}
	if len(p.runs) >= maxKnown {
		clear(p.runs)
	}
	p.runs[key] = *run
}

// writesChecks reports whether a repository's executions become check runs: an
// App's do, unless it turned out lately that it may not write them.
func (p *Poster) writesChecks(repository string) bool {
	if p.host.AppID() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.now().Before(p.noChecks[repository])
}

// mayNot reports whether an error says that the App may not write checks, and has
// statuses written for a while.
func (p *Poster) mayNot(repository string, err error) bool {
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil || answer.Response.StatusCode != http.StatusForbidden || p.host.Throttled(err, err) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noChecks[repository] = p.now().Add(retryChecks)
	return true
}

func annotations(all []status.Annotation) []*github.CheckRunAnnotation {
	made := make([]*github.CheckRunAnnotation, len(all))
	for i, a := range all {
		m := &github.CheckRunAnnotation{
			Path: new(a.Path), StartLine: new(a.Line), EndLine: new(max(a.EndLine, a.Line)),
			AnnotationLevel: new(string(a.Level)), Message: new(a.Message),
		}
		if a.Column > 0 && a.EndLine <= a.Line {
			m.StartColumn, m.EndColumn = new(a.Column), new(a.Column)
		}
		if a.Title != "" {
			m.Title = new(a.Title)
		}
		made[i] = m
	}
	return made
}
