package lambda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/audit"
	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Finder looks for executions.
type Finder interface {
	// Named says where the execution of that name is that a state machine has; an
	// error that wraps dispatch.ErrNotFound where it has none.
	Named(ctx context.Context, stateMachine, name string) (event.Outcome, error)
}

// Ledger is what an audit goes by where there is no journal: Step Functions knows
// the executions, the bucket keeps where branches were, and what is missing is put
// on the queue. What deliveries told, nobody remembers.
type Ledger struct {
	*Sink
	Engine Finder
}

var _ audit.Ledger = (*Ledger)(nil)

// key is where the state of a repository is kept.
func key(source, repository string) string {
	return "audits/" + url.PathEscape(source) + "/" + url.PathEscape(repository) + ".json"
}

// Audited implements [audit.Ledger]. A role that may not list the bucket is told
// that an object which is not there is not for it to see: that is no first audit.
func (l *Ledger) Audited(ctx context.Context, source, repository string) ([]byte, error) {
	at := key(source, repository)
	out, err := l.Store.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.Store.Bucket, Key: &at})
	var none *types.NoSuchKey
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get s3://%s/%s (it needs s3:GetObject, and s3:ListBucket to tell what is not there): %v", l.Store.Bucket, at, err)
	}
	defer out.Body.Close()
	state, err := io.ReadAll(out.Body)
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %v", l.Store.Bucket, at, err)
	}
	return state, nil
}

// KeepAudited implements [audit.Ledger].
func (l *Ledger) KeepAudited(ctx context.Context, source, repository string, state []byte, _ time.Time) error {
	at := key(source, repository)
	_, err := l.Store.Objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &l.Store.Bucket, Key: &at, Body: bytes.NewReader(state), ContentType: aws.String("application/json")})
	if err != nil {
		return fmt.Errorf("put s3://%s/%s: %v", l.Store.Bucket, at, err)
	}
	return nil
}

// Tip implements [audit.Ledger].
func (l *Ledger) Tip(context.Context, string, string, string) (string, error) { return "", nil }

// Heard implements [audit.Ledger].
func (l *Ledger) Heard(_ context.Context, _, _ string, after int64) ([]event.Event, int64, bool, error) {
	return nil, after, false, nil
}

// Known implements [audit.Ledger].
func (l *Ledger) Known(context.Context, string, string, []string) (map[string]event.Commit, error) {
	return nil, nil
}

// Exist implements [audit.Ledger].
func (l *Ledger) Exist(ctx context.Context, requests []event.Request) ([]bool, error) {
	exist := make([]bool, len(requests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(starts)
	for i := range requests {
		group.Go(func() error {
			_, err := l.Engine.Named(ctx, requests[i].StateMachine, requests[i].ID)
			if exist[i] = err == nil; errors.Is(err, dispatch.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return exist, group.Wait()
}

// Auditor audits on schedule.
type Auditor struct {
	*audit.Auditor
	// Heal has it start what is missing.
	Heal    bool
	Metrics *Metrics
	Log     *zap.Logger
}

// Run audits all repositories. What could not be looked at is logged and counted,
// and looked at the next time.
func (a *Auditor) Run(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	err := a.Audit(ctx, audit.Query{Heal: a.Heal}, audit.Report{
		Finding: func(f audit.Finding) {
			a.Log.Warn("no delivery told of a commit", zap.String("verdict", string(f.Verdict)), zap.String("source", f.Source), zap.String("repository", f.Repository),
				zap.String("ref", f.Ref), zap.String("commit", f.SHA), zap.String("route", f.Route), zap.String("execution", f.Execution))
			a.Metrics.count(metricMissing)
		},
		Summary: func(s audit.Summary) {
			a.Metrics.count(metricAudited)
			if s.Error != "" {
				a.Log.Warn("an audit could not be ended", zap.String("source", s.Source), zap.String("repository", s.Repository), zap.String("error", s.Error))
				a.Metrics.count(metricAuditFails)
			}
		},
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		a.Log.Warn("the function's time ended before the audit; the next one goes on", zap.Error(err))
		return nil
	}
	return err
}
