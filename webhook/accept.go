package webhook

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// acceptAll hands the events over, in their order, and answers only once all
// are on disk.
func (h *Handler) acceptAll(ctx context.Context, source string, evs []event.Event) answer {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.AcceptTimeout)
	defer cancel()
	var receipts []event.Receipt
	for i := range evs {
		evs[i].Source = source
		receipt, err := h.accept(ctx, evs[i])
		if err != nil {
			return unavailable(err)
		}
		receipts = append(receipts, receipt)
	}
	return accepted(joined(receipts))
}

// accept hands one event over.
func (h *Handler) accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	receipt, err := h.sink.Accept(ctx, ev)
	if err != nil {
		h.failures.Failed("accept", errors.New(shown(err.Error())), fields(&ev)...)
		return receipt, err
	}
	h.failures.Succeeded("accept")
	if ev.CloneRefused != "" {
		h.log.Warn("clone URL not used", append(fields(&ev), zap.String("reason", ev.CloneRefused))...)
		receipt.Note = strings.TrimPrefix(receipt.Note+"; "+ev.CloneRefused, "; ")
	}
	if ce := h.log.Check(zap.InfoLevel, "delivery accepted"); ce != nil {
		ce.Write(append(fields(&ev), zap.Int("commits", len(ev.Commits)), zap.Int("executions", len(receipt.Executions)), zap.Int("new", receipt.New),
			zap.Bool("duplicate", receipt.Duplicate), zap.String("ignored", shown(receipt.Ignored)))...)
	}
	return receipt, nil
}

func fields(ev *event.Event) []zap.Field {
	return []zap.Field{
		zap.String("source", ev.Source), zap.String("delivery_id", shown(ev.DeliveryID)),
		zap.String("repo", shown(ev.Repository.FullName)), zap.String("ref", shown(ev.Ref)),
	}
}

// shown makes a text from outside fit for a log line, whatever its encoder.
func shown(s string) string { return safetext.Cut(safetext.Line(s), 300) }
