package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

// answerPage is how many answers are read at once.
const answerPage = 16

// reply tells the authors of commands what came of them, one after another. An
// answer is given again where this process ends between giving it and noting
// that.
func (d *Dispatcher) reply(ctx context.Context) {
	var idle lookout
	for ctx.Err() == nil {
		refused := map[string]bool{}
		var next time.Time
		more := true
		for more && ctx.Err() == nil {
			var page []Answer
			err := d.persist(ctx, "read answers to commands", func() (err error) {
				page, next, err = d.journal.NextAnswers(ctx, d.due.now(), answerPage, slices.Sorted(maps.Keys(refused)))
				return err
			})
			if err != nil {
				break // persist has tried long enough
			}
			for i := range page {
				if a := &page[i]; !refused[a.Source] && !d.tryToReply(ctx, a) {
					refused[a.Source] = true // the others wait for the next round
				}
			}
			more = len(page) == answerPage
		}
		d.rest(ctx, &idle, next, d.replySoon)
	}
}

// tryToReply gives one answer, and reports whether the host takes any.
func (d *Dispatcher) tryToReply(ctx context.Context, a *Answer) bool {
	err := d.refusesCommands(a.Source)
	if err == nil {
		err = d.call(ctx, "answer", func(ctx context.Context) error { return Give(ctx, d.commander, a) })
	}
	if ctx.Err() != nil {
		return false
	}
	var permanent *PermanentError
	var fault *PanicError
	var throttled *ThrottledError
	cfg := d.config()
	wait := backoff(cfg.RetryBase, cfg.RetryMax, a.Tries, d.jitter)
	if errors.As(err, &throttled) {
		wait = max(wait, throttled.After)
	}
	fields := []zap.Field{zap.String("source", a.Source), zap.String("repo", a.Repository), zap.Int("pull_request", a.PullRequest), zap.Error(err)}
	final := errors.Is(err, ErrCannotAsk) || errors.As(err, &permanent) || errors.As(err, &fault) || d.due.now().Sub(a.WantedAt) >= cfg.CompleteFor
	switch {
	case err == nil:
	case final:
		d.logFault(err, "answer a command", fields...)
		d.log.Warn("a command stays without an answer", fields...)
	default:
		d.log.Warn("answering a command failed; trying again", append(fields, zap.Duration("wait", wait))...)
		_ = d.persist(ctx, "postpone an answer", func() error {
			return d.journal.AnswerFailed(ctx, a.Seq, d.due.now().Add(wait), clip(err.Error(), maxReason))
		})
		return false
	}
	_ = d.persist(ctx, "record an answer", func() error { return d.journal.AnswerGiven(ctx, a.Seq) })
	return true
}
