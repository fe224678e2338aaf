package app

import (
	"context"
	"fmt"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

var (
	_ dispatch.Commander = (*hosts)(nil)
	_ dispatch.Merger    = (*hosts)(nil)
)

// RefusesCommands implements [dispatch.Commander]: without a host that says who
// may write to a repository, nobody may give commands.
func (h *hosts) RefusesCommands(source string) error {
	if err := h.Refuses(source); err != nil {
		return err
	}
	_, err := face[githost.Judge](h, source, "says who may write to a repository")
	return err
}

// face is what a source's host offers beside commits.
func face[F any](h *hosts, source, what string) (F, error) {
	f, ok := h.of(source).(F)
	if !ok {
		return f, fmt.Errorf("%w: the source %s is of a kind that has nobody who %s", dispatch.ErrCannotAsk, source, what)
	}
	return f, nil
}

// MayWrite implements [dispatch.Commander].
func (h *hosts) MayWrite(ctx context.Context, source, repository, login string) (bool, error) {
	judge, err := face[githost.Judge](h, source, "says who may write to a repository")
	if err != nil {
		return false, err
	}
	return judge.MayWrite(ctx, repository, login)
}

// Names implements [dispatch.Commander].
func (h *hosts) Names(ctx context.Context, source, repository, login string) ([]string, error) {
	if namer, ok := h.of(source).(githost.Namer); ok {
		return namer.Names(ctx, repository, login)
	}
	return nil, nil
}

// PullRequest implements [dispatch.Commander].
func (h *hosts) PullRequest(ctx context.Context, source, repository string, number int) (event.Event, error) {
	reader, err := face[githost.PullRequestReader](h, source, "shows single pull requests")
	if err != nil {
		return event.Event{}, err
	}
	return reader.PullRequest(ctx, repository, number)
}

// Merge implements [dispatch.Merger].
func (h *hosts) Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error) {
	merger, err := face[githost.Merger](h, pull.Source, "tells what pull requests would be merged to")
	if err != nil {
		return "", "", err
	}
	return merger.Merge(ctx, pull)
}

// Answer implements [dispatch.Commander].
func (h *hosts) Answer(ctx context.Context, a *dispatch.Answer) error {
	if a.Unlabel != "" {
		unlabeler, err := face[githost.Unlabeler](h, a.Source, "takes labels off")
		if err != nil {
			return err
		}
		return unlabeler.Unlabel(ctx, a.Repository, a.PullRequest, a.Unlabel)
	}
	commenter, err := face[githost.Commenter](h, a.Source, "writes comments")
	if err != nil {
		return err
	}
	return commenter.Comment(ctx, a.Repository, a.PullRequest, a.Text)
}
