package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/run"
	"switchyard/asl/task"
	"switchyard/internal/safetext"
)

// attempt is an attempt at a task, or a Map run, from the moment it is to be
// started.
type attempt struct {
	exec     int64
	branch   int64
	number   int64
	task     task.Task
	handler  task.Handler
	maps     *mapRunner              // the handler, when it is that of a distributed Map
	cancel   context.CancelCauseFunc // nil before it starts
	lastBeat atomic.Int64            // Unix milliseconds
	// abandoned: nobody waits for the result any more.
	abandoned atomic.Bool
}

func (x *execution) newAttempt(f run.StartTask) *attempt {
	a := &attempt{exec: x.id, branch: f.Branch, number: f.Attempt, handler: x.handlerOf(f), task: task.Task{
		ID: f.ID, Resource: f.Resource, Input: json.RawMessage(f.Input),
		ExecutionARN: x.arn(), ExecutionName: x.rec.Name, StateName: f.State,
		Origin: x.origin(), Attempt: f.Retry, Restarted: f.Restarted,
	}}
	a.lastBeat.Store(x.e.now().UnixMilli())
	return a
}

// handlerOf finds what does the work of a task.
func (x *execution) handlerOf(f run.StartTask) task.Handler {
	switch {
	case f.Mocked:
		return mocked{x.testCase.mock(f.State), f.Try}
	case f.Worker == run.ByExecution:
		return nested{x.e, parentTask{Exec: x.id, Branch: f.Branch, Waits: run.WaitsForJob(f.Resource)}, x.origin()}
	}
	if h := x.e.handlerFor(f.Resource); h != nil {
		return h
	}
	return x.e.fallback
}

// work says who does the work of a resource.
func (e *Engine) work(resource string) (run.Worker, error) {
	switch kind, _, _ := arns.Split(resource); {
	case e.handlerFor(resource) != nil || e.fallback != nil:
		return run.ByHandler, nil
	case run.StartsExecution(resource):
		return run.ByExecution, nil
	case kind != "activity":
		return 0, run.NoHandler(resource)
	}
	if _, err := e.catalog.Activity(resource); err != nil {
		return 0, &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The activity %s does not exist.", resource)}
	}
	return run.ByActivity, nil
}

// beats are the last signs of life of the tasks that run, by branch.
func (x *execution) beats() map[int64]int64 {
	if len(x.attempts) == 0 {
		return nil
	}
	beats := make(map[int64]int64, len(x.attempts))
	for _, a := range x.attempts {
		beats[a.branch] = max(beats[a.branch], a.lastBeat.Load())
	}
	return beats
}

// causes are what the context of an abandoned task says.
var causes = map[run.Reason]error{run.Aborted: ErrAborted, run.TimedOut: ErrTimedOut, run.Silent: ErrHeartbeat}

func (a *attempt) abandon(why run.Reason) {
	a.abandoned.Store(true)
	if cause := causes[why]; cause != nil && a.cancel != nil {
		a.cancel(cause)
	}
}

// taskSet is the tasks that run, for the end of the engine.
type taskSet struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	running map[*attempt]struct{}
	closed  bool
}

func (s *taskSet) add(a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running[a] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *taskSet) remove(a *attempt) {
	s.mu.Lock()
	delete(s.running, a)
	s.mu.Unlock()
	s.wg.Done()
}

// interrupt ends all tasks, and waits until they have ended.
func (s *taskSet) interrupt() {
	s.mu.Lock()
	s.closed = true
	for a := range s.running {
		a.cancel(ErrShutdown)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// start runs the handler on a goroutine of its own.
func (x *execution) start(a *attempt) {
	if a.abandoned.Load() {
		return
	}
	e := x.e
	ctx, cancel := context.WithCancelCause(context.Background())
	a.cancel = cancel
	if !e.tasks.add(a) {
		cancel(nil)
		return
	}
	e.hold()
	a.task.Heartbeat = func() { a.lastBeat.Store(e.now().UnixMilli()) }
	go func() {
		defer e.release()
		defer e.tasks.remove(a)
		defer cancel(nil)
		output, err := e.runHandler(ctx, a)
		// A task that the engine's end cut short has not failed: the next
		// process runs it again.
		if a.abandoned.Load() || err != nil && errors.Is(context.Cause(ctx), ErrShutdown) {
			return
		}
		e.post(a.exec, letter{message: a.ended(output, err)})
	}()
}

// ended says how the attempt ended.
func (a *attempt) ended(output []byte, err error) run.Message {
	var failure *asl.Error
	if a.maps != nil {
		if err != nil && !errors.As(err, &failure) {
			failure = &asl.Error{Name: asl.ErrRuntime, Cause: err.Error()}
		}
		return run.MapRunEnded{Branch: a.branch, Attempt: a.number, Output: output, Failure: failure}
	}
	var known *task.Error
	switch {
	case errors.As(err, &known):
		failure = &asl.Error{Name: known.Name, Cause: known.Cause}
	case err != nil:
		failure = &asl.Error{Name: asl.ErrTaskFailed, Cause: err.Error()}
	}
	return run.TaskEnded{Branch: a.branch, Attempt: a.number, Output: output, Failure: failure, Beat: a.lastBeat.Load()}
}

func (e *Engine) runHandler(ctx context.Context, a *attempt) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("task handler panicked", zap.String("execution", a.task.ExecutionARN), zap.String("state", a.task.StateName), zap.String("panic", safetext.Panic(p)), zap.Stack("stack"))
			err = fmt.Errorf("the task handler has a bug (%s); the service's log says where", safetext.Panic(p))
		}
	}()
	return a.handler.Run(ctx, a.task)
}
