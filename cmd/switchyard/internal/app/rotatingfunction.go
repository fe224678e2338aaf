package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/deploy/lambda"
	"switchyard/internal/awssecret"
)

// refreshPatience is how long an invocation waits for its secrets to be read
// again. A git host waits for 10 s in all.
const refreshPatience = 3 * time.Second

// RotatingFunction is a Lambda function that follows the rotation of its secrets
// in AWS: from time to time an invocation first reads them again. It is safe for
// concurrent use.
type RotatingFunction struct {
	secrets *awssecret.Resolver
	again   func(context.Context) (*lambda.Function, error)
	log     *zap.Logger
	now     func() time.Time
	current atomic.Pointer[lambda.Function]

	refreshing sync.Mutex // one invocation reads, others go on
	due        time.Time
	outdated   bool // what was read last is not in use yet
}

// NewRotatingFunction serves with f, whose secrets were read with secrets, until
// they are rotated; then with what again builds of a config that is read anew.
func NewRotatingFunction(f *lambda.Function, secrets *awssecret.Resolver, again func(context.Context) (*lambda.Function, error), log *zap.Logger) *RotatingFunction {
	// Without the monotonic clock, which stands still while Lambda has frozen
	// the process.
	now := func() time.Time { return time.Now().Round(0) }
	r := &RotatingFunction{secrets: secrets, again: again, log: log.Named("secrets"), now: now, due: now().Add(secrets.Every())}
	r.current.Store(f)
	return r
}

// Invoke implements the handler of aws-lambda-go.
func (r *RotatingFunction) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if r.secrets.Every() > 0 && r.refreshing.TryLock() {
		r.refresh(ctx)
		r.refreshing.Unlock()
	}
	return r.current.Load().Invoke(ctx, payload)
}

// refresh reads the secrets again when they are due. Whatever fails, the function
// that runs stays.
func (r *RotatingFunction) refresh(ctx context.Context) {
	if r.now().Before(r.due) {
		return
	}
	r.due = r.now().Add(r.secrets.Every())
	ctx, cancel := context.WithTimeout(ctx, refreshPatience)
	defer cancel()
	if r.outdated = r.secrets.Refresh(ctx) || r.outdated; !r.outdated {
		return
	}
	f, err := r.again(ctx)
	if err != nil {
		r.log.Error("rotated secrets cannot be used; the old ones stay", zap.Error(err))
		return
	}
	r.current.Store(f)
	r.outdated = false
	r.log.Info("rotated secrets are in use")
}
