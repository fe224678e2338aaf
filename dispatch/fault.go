package dispatch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// PanicError is a panic of code that works on one delivery or request. A panic
// that ended the process would end it again at every start, since the row that
// caused it is still there: the row pays for it, and the rest goes on.
type PanicError struct {
	// Text is what the panic said, in one line, and Stack where it came from.
	Text  string
	Stack []byte
}

func (e *PanicError) Error() string { return "panic: " + e.Text }

// maxFault is how many characters of a panic's value are kept.
const maxFault = 200

// Guard turns a panic of work into a [*PanicError].
func Guard(work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Text: safetext.Cut(safetext.Line(fmt.Sprint(v)), maxFault), Stack: debug.Stack()}
		}
	}()
	return work()
}

// logFault reports a fault with its stack, and reports whether err is one.
func (d *Dispatcher) logFault(err error, what string, fields ...zap.Field) bool {
	var fault *PanicError
	if !errors.As(err, &fault) {
		return false
	}
	d.stats.faults.Add(1)
	d.log.Error("a panic was caught; this is a bug in Switchyard", append(fields,
		zap.String("step", what), zap.String("panic", fault.Text), zap.ByteString("stack", fault.Stack))...)
	return true
}

// plan routes an event for an answer. Where routing panics the plan says so:
// the delivery is durable all the same.
func (d *Dispatcher) plan(p Planner, ev *event.Event, id string) event.Plan {
	var plan event.Plan
	err := Guard(func() error { plan = p.Plan(*ev); return nil })
	if d.logFault(err, "route for the answer", zap.String("delivery_id", id)) {
		plan = event.Plan{Ignored: []event.Ignored{unroutable(err, id)}}
	}
	return plan
}

// unroutable is why a delivery whose routing panicked starts nothing, and
// unrecordable why one does whose requests could not be written down for that.
func unroutable(err error, id string) event.Ignored { return faultOf("routing it", err, id) }
func unrecordable(err error, id string) event.Ignored {
	return faultOf("recording its requests", err, id)
}

func faultOf(what string, err error, id string) event.Ignored {
	return event.Ignored{Reason: fmt.Sprintf("%s failed (%v): this is a bug in Switchyard, its log says more; once it is repaired, run: switchyard deliveries replay %s", what, err, id)}
}

// inert is the expansion of a delivery that starts nothing, for one reason.
func inert(p *PendingDelivery, why event.Ignored) Expansion {
	return Expansion{Delivery: p.Seq, At: p.ReceivedAt, Ignored: []Ignored{{Ignored: why}}}
}

// expansionOf is what routing makes of a delivery, or the reason why it cannot
// be routed. The delivery counts as expanded either way: those behind it must
// not wait, and it can be replayed.
// An error means that ctx has ended.
func (d *Dispatcher) expansionOf(ctx context.Context, p *PendingDelivery, r *rules, known *facts) (Expansion, error) {
	var e Expansion
	err := Guard(func() (err error) { e, err = d.expansion(ctx, p, r, known); return err })
	if d.logFault(err, "route", zap.String("delivery_id", p.ID)) {
		return inert(p, unroutable(err, p.ID)), nil
	}
	return e, err
}

// keepGoing runs a worker again when it panics, after a pause: a worker that is
// gone would stop everything of its kind until the next start of the process.
func (d *Dispatcher) keepGoing(ctx context.Context, name string, work func(context.Context)) {
	for try := 0; ; try++ {
		err := Guard(func() error { work(ctx); return nil })
		if !d.logFault(err, "worker "+name) || !sleep(ctx, backoff(time.Second, longestLook, try, d.jitter)) {
			return
		}
		d.wakeAll()
	}
}

// guarded keeps an observer and a tracer from ending the process: metrics and
// traces are no reason to stop working. The first panic is logged.
type guarded struct {
	observer Observer
	tracer   Tracer
	caught   func(error)
}

var (
	_ Observer = (*guarded)(nil)
	_ Tracer   = (*guarded)(nil)
)

func (g *guarded) tell(what func()) {
	if err := Guard(func() error { what(); return nil }); err != nil {
		g.caught(err)
	}
}

func (g *guarded) Delivered(outcome string, took time.Duration) {
	g.tell(func() { g.observer.Delivered(outcome, took) })
}

func (g *guarded) Called(op, outcome string, took time.Duration) {
	g.tell(func() { g.observer.Called(op, outcome, took) })
}

func (g *guarded) Started(latency time.Duration) { g.tell(func() { g.observer.Started(latency) }) }

func (g *guarded) Ended(state State) { g.tell(func() { g.observer.Ended(state) }) }

func (g *guarded) Inject(ctx context.Context) (traceparent string) {
	g.tell(func() { traceparent = g.tracer.Inject(ctx) })
	return traceparent
}

func (g *guarded) Start(ctx context.Context, x *Execution) (context.Context, func(error)) {
	spanCtx, end := ctx, func(error) {}
	g.tell(func() { spanCtx, end = g.tracer.Start(ctx, x) })
	return spanCtx, func(err error) { g.tell(func() { end(err) }) }
}
