package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// Actor changes things in a person's name; each change is durable when it returns
// nil. [dispatch.Dispatcher] does.
type Actor interface {
	Stop(ctx context.Context, id, by string) error
	Rerun(ctx context.Context, id, by string) (string, error)
	Redrive(ctx context.Context, id string) (dispatch.RedriveKind, error)
	Replay(ctx context.Context, id string) (event.Receipt, error)
	Decide(ctx context.Context, d dispatch.Decision) (dispatch.Approval, error)
}

// act is a button on an execution's page.
type act struct{ Name, Words, Help string }

// actsOn are what an operator can do to an execution as it stands.
func actsOn(p *executionPage) []act {
	if p.Session == nil || !p.Session.Operator() {
		return nil
	}
	if !p.X.State.Finished() {
		if p.X.StopReason != "" {
			return nil
		}
		return []act{{"stop", "Stop", "Ends it; what it has done already stays."}}
	}
	acts := []act{{"rerun", "Run again", "Starts another attempt, from the beginning and with the same input."}}
	switch p.X.State {
	case dispatch.StateFailed, dispatch.StateTimedOut, dispatch.StateAborted:
		if p.X.ARN != "" {
			acts = append(acts, act{"redrive", "Go on from where it ended", "Runs the state again that did not succeed, and what follows."})
		}
	case dispatch.StateDead:
		acts = append(acts, act{"redrive", "Start it after all", "Asks the engine once more, which has refused it."})
	default: // it never began, or succeeded
	}
	return acts
}

// actOnExecution does what a button of an execution's page says.
func (d *Dashboard) actOnExecution(w http.ResponseWriter, r *http.Request, s *Session) {
	id, name := r.PathValue("id"), r.PathValue("act")
	ctx := r.Context()
	to := id
	var err error
	switch name {
	case "stop":
		err = d.do.Stop(ctx, id, s.By)
	case "rerun":
		to, err = d.do.Rerun(ctx, id, s.By)
	case "redrive":
		_, err = d.do.Redrive(ctx, id)
	case "approve", "reject":
		_, err = d.do.Decide(ctx, dispatch.Decision{
			Execution: id, Approval: r.PostForm.Get("approval"), Approve: name == "approve", SHA: r.PostForm.Get("commit"),
			Reason: strings.TrimSpace(r.PostForm.Get("reason")), By: s.By, Way: dispatch.ByPage,
		})
	default:
		d.tell(w, s, http.StatusNotFound, "There is no such thing to do to an execution.")
		return
	}
	if err != nil {
		d.refuse(w, s, name, id, err)
		return
	}
	d.log.Info("acted", zap.String("act", name), zap.String("execution", safetext.Line(id)), zap.String("by", safetext.Line(s.By)))
	http.Redirect(w, r, "/executions/"+url.PathEscape(to), http.StatusSeeOther)
}

// refuse says why an act was not done.
func (d *Dashboard) refuse(w http.ResponseWriter, s *Session, act, id string, err error) {
	refused, permanent := new(dispatch.RefusedError), new(dispatch.PermanentError)
	switch {
	case errors.As(err, &refused):
		d.tell(w, s, http.StatusConflict, "Nothing was done: "+safetext.Line(refused.Reason)+".")
	case errors.Is(err, dispatch.ErrNotFound):
		d.tell(w, s, http.StatusNotFound, "Nothing was done: it is not in the journal, or no longer.")
	case errors.Is(err, dispatch.ErrFinished), errors.Is(err, dispatch.ErrUnfinished), errors.Is(err, dispatch.ErrNotRedrivable), errors.Is(err, dispatch.ErrNotStarted), errors.As(err, &permanent):
		d.tell(w, s, http.StatusConflict, "Nothing was done: "+safetext.Line(err.Error())+".")
	default:
		d.log.Error("an act was not confirmed", zap.String("act", act), zap.String("of", safetext.Line(id)), zap.Error(err))
		d.tell(w, s, http.StatusServiceUnavailable, "It could not be confirmed, and may have been done: look, and try again.")
	}
}
