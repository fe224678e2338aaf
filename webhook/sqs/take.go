package sqs

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/zap"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
)

// take hands the events of a message to the sink and says what came of it, one
// of webhook's outcomes: "" when ctx ended before the sink took all.
func (p *Poller) take(ctx context.Context, m *types.Message) string {
	evs, err := p.decode([]byte(aws.ToString(m.Body)))
	id := aws.ToString(m.MessageId)
	var ignored *webhook.Ignored
	var fault *faultError
	var unsure *webhook.UnsureError
	switch {
	case errors.As(err, &ignored):
		p.log.Info("message ignored", zap.String("message_id", id), zap.String("delivery_id", firstID(evs)), zap.String("reason", shown(ignored.Reason)))
		return webhook.OutcomeIgnored
	case errors.As(err, &fault):
		p.log.Error("decoding a message panicked; it stays in the queue", zap.String("message_id", id), zap.Error(err), zap.StackSkip("stack", 1))
		return webhook.OutcomeFault
	case errors.As(err, &unsure):
		p.log.Warn("a message cannot be taken now; it stays in the queue", zap.String("message_id", id), zap.String("reason", shown(err.Error())))
		return webhook.OutcomeUnsure
	case err != nil:
		p.log.Error("a message was not understood; it stays in the queue", zap.String("message_id", id), zap.String("reason", shown(err.Error())))
		return webhook.OutcomeUndecodable
	}
	outcome := webhook.OutcomeIgnored
	for i := range evs {
		evs[i].Source = p.source
		receipt, ok := p.accept(ctx, &evs[i])
		switch {
		case !ok:
			return ""
		case receipt.Ignored != "": // no worse than what another event became
		case !receipt.Duplicate:
			outcome = webhook.OutcomeAccepted
		case outcome == webhook.OutcomeIgnored:
			outcome = webhook.OutcomeDuplicate
		}
	}
	return outcome
}

func firstID(evs []event.Event) string {
	if len(evs) == 0 {
		return ""
	}
	return shown(evs[0].DeliveryID)
}

// faultError is a panic of the decoder.
type faultError struct{ error }

// decode makes a panic of the decoder an error: it costs this message only.
func (p *Poller) decode(text []byte) (evs []event.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			evs, err = nil, &faultError{errors.New(safetext.Panic(v))}
		}
	}()
	return p.decoder.DecodeMessage(text)
}

// accept has the sink take an event, however often it must be asked, until ctx
// ends. What it is asked to take when ctx ends it may still take.
func (p *Poller) accept(ctx context.Context, ev *event.Event) (event.Receipt, bool) {
	wait := firstRetry
	for {
		began := time.Now()
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptTimeout)
		receipt, err := p.sink.Accept(call, *ev)
		cancel()
		if err == nil {
			p.accepts.Succeeded("accept")
			p.log.Info("delivery accepted", append(fields(ev), zap.Int("commits", len(ev.Commits)), zap.Int("executions", len(receipt.Executions)),
				zap.Int("new", receipt.New), zap.Bool("duplicate", receipt.Duplicate), zap.String("ignored", shown(receipt.Ignored)))...)
			if ev.CloneRefused != "" {
				p.log.Warn("clone URL not used", append(fields(ev), zap.String("reason", ev.CloneRefused))...)
			}
			return receipt, true
		}
		p.observe(p.source, webhook.OutcomeUnavailable, time.Since(began))
		p.accepts.Failed("accept", errors.New(shown(err.Error())), fields(ev)...)
		var hint interface{ RetryIn() time.Duration }
		pauseFor := wait
		if errors.As(err, &hint) && hint.RetryIn() > 0 {
			pauseFor = hint.RetryIn()
		}
		if !pause(ctx, min(pauseFor, lastRetry)) {
			return event.Receipt{}, false
		}
		wait = min(2*wait, lastRetry)
	}
}

func fields(ev *event.Event) []zap.Field {
	return []zap.Field{
		zap.String("delivery_id", shown(ev.DeliveryID)), zap.String("repo", shown(ev.Repository.FullName)), zap.String("ref", shown(ev.Ref)),
	}
}
