package dispatch

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// isBlocked is what becomes of a request whose state machine cannot be started:
// it probes it again, or waits behind the one that does.
func (d *Dispatcher) isBlocked(x *Execution, err error) result {
	cfg := d.config()
	tries, pause := d.blocked.blocked(x.StateMachine, err.Error(), func(tries int) time.Duration {
		return backoff(cfg.RetryBase, cfg.BlockedMax, tries, d.jitter)
	})
	log := d.log.With(zap.String("state_machine", x.StateMachine), zap.String("request_id", x.ID), zap.Duration("wait", pause), zap.Error(err))
	switch {
	case tries == 1:
		log.Error("no execution of a state machine can be started; its requests wait, and a reload of the config tries at once")
	case tries > 1:
		log.Warn("a state machine is still blocked")
	}
	if tries == 0 || x.StopReason != "" {
		return d.behindOthers(x, err.Error())
	}
	return d.putOff(x, err.Error(), pause)
}

// behindOthers is what becomes of a request of a state machine that another
// one probes. It waits as long as a pause between probes can be, or until one
// succeeds; if it is to be stopped, the engine has never heard of it.
func (d *Dispatcher) behindOthers(x *Execution, reason string) result {
	if x.StopReason != "" && x.Tries == 0 {
		return result{x: x, ended: neverStarted(x, d.now())}
	}
	return d.putOff(x, reason, d.config().BlockedMax)
}

func (d *Dispatcher) putOff(x *Execution, reason string, wait time.Duration) result {
	after := func() {
		if d.blocked.missed(x.StateMachine) {
			wake(d.startSoon)
		}
	}
	f := notStartedYet(x, reason, d.due.now().Add(wait))
	f.Uncounted = true
	return result{x: x, failed: f, after: after}
}

// bringForward makes the requests of state machines that can be started again
// due at once.
func (s *starter) bringForward(ctx context.Context) {
	for _, stateMachine := range s.blocked.takeClosed() {
		s.more = true
		_ = s.persist(ctx, "bring requests forward", func() error { // fails at the end of ctx only
			now := s.due.now()
			_, err := s.hasten(ctx, stateMachine, now, now)
			return err
		})
	}
}

// notStartedYet is the record of a start that is tried again at dueAt. Its
// commit is told why it waits when that is news: an engine that is away for long
// must not cost a post for each try.
func notStartedYet(x *Execution, reason string, dueAt time.Time) *FailureRecord {
	f := &FailureRecord{Seq: x.Seq, Error: reason, DueAt: dueAt}
	status := StatusOf(&Execution{State: StateReady, LastError: reason})
	if x.LastError == "" || status != StatusOf(&Execution{State: StateReady, LastError: x.LastError}) {
		f.Status = &status
	}
	return f
}
