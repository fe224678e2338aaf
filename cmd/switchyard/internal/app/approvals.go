package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/asl/task/events"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/stepfn"
	"switchyard/webhook"
)

// errorApproval is what a state fails with whose question nobody can be asked.
const errorApproval = "Switchyard.ApprovalRefused"

// askFunc takes a state machine's question, as [dispatch.Dispatcher.AskApproval].
type askFunc func(ctx context.Context, a dispatch.Ask) error

// approvalRule takes the questions that the embedded engine's state machines put on
// its bus, to whoever is set: nobody where the engine runs without the service.
type approvalRule struct{ ask atomic.Pointer[askFunc] }

func (r *approvalRule) use(ask askFunc) { r.ask.Store(&ask) }

func (r *approvalRule) rule() events.Rule {
	return events.Rule{Source: stepfn.ApprovalSource, DetailType: stepfn.ApprovalDetailType, Deliver: r.deliver}
}

func (r *approvalRule) deliver(ctx context.Context, text []byte) error {
	ask := r.ask.Load()
	if ask == nil {
		return &task.Error{Name: errorApproval, Cause: "Nobody can be asked here: approvals need switchyard serve. In a test, mock the state."}
	}
	a, err := stepfn.DecodeApproval(text)
	if err == nil {
		err = (*ask)(ctx, a)
		if err != nil && !refusedAsk(err) {
			return err
		}
	}
	if err != nil {
		return &task.Error{Name: errorApproval, Cause: err.Error()}
	}
	return nil
}

// refusedAsk reports whether asking again would be refused again.
func refusedAsk(err error) bool {
	return errors.As(err, new(*dispatch.PermanentError)) || errors.Is(err, dispatch.ErrNotFound) || errors.Is(err, dispatch.ErrFinished)
}

// told takes an event of or about an execution that came in from outside, whose
// sender waits. Errors are those of a [webhook.Decoder].
func (a *App) told(text []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), hintTimeout)
	defer cancel()
	var is struct{ Source string }
	if json.Unmarshal(text, &is) == nil && is.Source == stepfn.ApprovalSource {
		return a.askedFromOutside(ctx, text)
	}
	a.hint(ctx)(text)
	return nil
}

// askedFromOutside records a question that EventBridge brought. It is asked once and
// never polled for, so what cannot be recorded now has to come again.
func (a *App) askedFromOutside(ctx context.Context, text []byte) error {
	ask, err := stepfn.DecodeApproval(text)
	if err != nil {
		return err
	}
	err = a.dispatcher.AskApproval(ctx, ask)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dispatch.ErrNotFound), errors.Is(err, dispatch.ErrFinished):
		a.log.Warn("an approval is asked for by an execution that is not known here, or has ended", zap.Error(err))
		return &webhook.Ignored{Reason: "a state machine asks for approval, whose execution is not known here or has ended"}
	case refusedAsk(err):
		// The state would wait for nobody until its timeout.
		if failed := a.engine.Fail(ctx, ask.ExecutionARN, ask.Token, errorApproval, err.Error()); failed != nil && !errors.Is(failed, dispatch.ErrTokenSpent) {
			a.log.Warn("the state that asks for approval cannot be told why it gets none", zap.Error(failed))
		}
		return err
	}
	return &webhook.UnsureError{Err: fmt.Errorf("the approval cannot be recorded now: %w", err)}
}

// compareLink makes the address of the page on which a host shows what lies between
// two commits of a repository, "" where it has none that we know.
func compareLink(cfg *config.Config, source, repository, from, to string) string {
	return hostPage(cfg, source, repository, providers[cfg.Sources[source].Provider].compare, url.PathEscape(from)+"..."+url.PathEscape(to))
}

// hostPage makes the address of a page of a repository at its host, in a part of
// the repository's address; "" where that is not known.
func hostPage(cfg *config.Config, source, repository, part, page string) string {
	base := strings.TrimRight(cfg.Origin(source).Base, "/")
	if base == "" || part == "" {
		return ""
	}
	segments := strings.Split(repository, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return fmt.Sprintf("%s/%s/%s/%s", base, strings.Join(segments, "/"), part, page)
}

// pullLink makes the address of a pull request's page at its host by the config in
// force, "" where that is not known.
func (h *hosts) pullLink(source, repository string, number int) string {
	cfg := h.cfg.Load()
	if cfg == nil {
		return ""
	}
	return hostPage(cfg, source, repository, providers[cfg.Sources[source].Provider].pull, strconv.Itoa(number))
}

// compare is compareLink by the config in force.
func (h *hosts) compare(source, repository, from, to string) string {
	cfg := h.cfg.Load()
	if cfg == nil {
		return ""
	}
	return compareLink(cfg, source, repository, from, to)
}
