package audit

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// idle is how long [Auditor.Run] waits before it looks again whether there is
// anything to audit.
const idle = time.Minute

// Run audits every repository at once, when also what hosts could not deliver is
// asked for again, and then each of them every Config.Every, spread over that
// time. It returns when ctx ends.
func (a *Auditor) Run(ctx context.Context) {
	began := a.now()
	if _, cfg := a.rules(); cfg.Every > 0 {
		a.round(ctx, Query{Heal: cfg.Heal, redeliver: cfg.Heal, quiet: true}, began)
	}
	for next := 0; ctx.Err() == nil; next++ {
		_, cfg := a.rules()
		repos, err := a.repositories(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("the repositories to audit could not be listed; trying again", zap.Duration("wait", idle), zap.Error(err))
		}
		repos = slices.DeleteFunc(repos, func(r Repository) bool { return r.Unable != nil })
		if cfg.Every <= 0 || len(repos) == 0 {
			sleep(ctx, idle)
			continue
		}
		if !sleep(ctx, cfg.Every/time.Duration(len(repos))) {
			return
		}
		repo := repos[next%len(repos)]
		a.round(ctx, Query{Repository: repo.Source + ":" + repo.Name, Heal: cfg.Heal, quiet: true}, a.now())
	}
}

// round audits what the query names, and logs what it came to.
func (a *Auditor) round(ctx context.Context, q Query, began time.Time) {
	var total Summary
	repositories, failed := 0, 0
	err := a.Audit(ctx, q, Report{
		Finding: func(f Finding) {
			a.log.Warn("no delivery told of a commit", zap.String("verdict", string(f.Verdict)), zap.String("source", f.Source), zap.String("repository", f.Repository),
				zap.String("ref", f.Ref), zap.String("commit", f.SHA), zap.String("route", f.Route), zap.String("execution", f.Execution))
		},
		Summary: func(s Summary) {
			repositories++
			total.Missing += s.Missing
			total.Healed += s.Healed
			total.Redelivered += s.Redelivered
			if s.Error != "" {
				failed++
			}
		},
	})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.Warn("an audit failed; the next one is on schedule", zap.Error(err))
	case q.redeliver || total.Missing > 0:
		a.log.Info("audited", zap.Int("repositories", repositories), zap.Int("failed", failed), zap.Int("missing", total.Missing),
			zap.Int("healed", total.Healed), zap.Int("redelivered", total.Redelivered), zap.Duration("took", a.now().Sub(began)))
	}
}
