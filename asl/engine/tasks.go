package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/task"
	"switchyard/asl/value"
	"switchyard/internal/safetext"
)

// running is an attempt at a task, from the moment it is to be started.
type running struct {
	exec     int64
	branch   int64
	task     task.Task
	handler  task.Handler
	run      *mapRunner              // the handler, when it is that of a distributed Map
	cancel   context.CancelCauseFunc // nil before it starts
	lastBeat atomic.Int64            // Unix milliseconds
	// abandoned: nobody waits for the result any more.
	abandoned atomic.Bool
}

func (r *running) abandon(cause error) {
	r.abandoned.Store(true)
	if r.cancel != nil {
		r.cancel(cause)
	}
}

// taskSet is the tasks that run, for the end of the engine.
type taskSet struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	running map[*running]struct{}
	closed  bool
}

func (s *taskSet) add(r *running) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running[r] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *taskSet) remove(r *running) {
	s.mu.Lock()
	delete(s.running, r)
	s.mu.Unlock()
	s.wg.Done()
}

// interrupt ends all tasks, and waits until they have ended.
func (s *taskSet) interrupt() {
	s.mu.Lock()
	s.closed = true
	for r := range s.running {
		r.cancel(ErrShutdown)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// tag is a short name of the execution, for IDs of what belongs to it. It
// changes with each redrive, as attempts are counted from 0 again.
func (x *execution) tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", x.arn(), x.rec.Started, x.attrs.Redrives))
	return hex.EncodeToString(sum[:10])
}

// schedule begins an attempt at the Task state.
func (x *execution) schedule(b *branch) error {
	v, err := b.state.Fields.Arguments(x.frameOf(b))
	if err != nil {
		return err
	}
	if len(v.JSON()) > asl.MaxData {
		return tooLarge(b.state.Name)
	}
	t := b.state.Task
	timeout, heartbeat, err := b.state.Fields.Limits(x.frameOf(b))
	if err != nil {
		return err
	}
	b.timeout, b.heartbeat = timeout.Milliseconds(), heartbeat.Milliseconds()
	handler := x.handlerOf(b)
	if handler == nil {
		if err := x.e.mustBeActivity(t.Resource); err != nil {
			return err
		}
	}
	x.count(b)
	b.phase, b.effective, b.startedAt = phaseTask, v, x.now()
	f := familyOf(t.Resource)
	ev := history.Event{
		Type: f.scheduled, Time: b.startedAt, Has: history.HasData | history.HasResource, Data: v.JSON(),
		ResourceType: f.resourceType, Resource: f.resource,
	}
	if f.resourceType != "" {
		ev.Region = x.e.cfg.Region
	}
	if b.timeout > 0 {
		ev.Has, ev.Timeout = ev.Has|history.HasTimeout, b.timeout/1000
	}
	if b.heartbeat > 0 {
		ev.Has, ev.Heartbeat = ev.Has|history.HasHeartbeat, b.heartbeat/1000
	}
	x.follow(b, &ev)
	if handler == nil {
		x.enqueue(b)
		return nil
	}
	x.handOver(b, false)
	return nil
}

func noHandler(resource string) error {
	return &placedError{&asl.Error{
		Name:  asl.ErrRuntime,
		Cause: fmt.Sprintf("Nothing is configured to run the resource '%s': give it a handler under engine.embedded.functions, engine.embedded.projects or engine.embedded.aws in the configuration.", resource),
	}}
}

// again hands a task over that an earlier process was running.
func (x *execution) again(b *branch) {
	if x.handlerOf(b) == nil {
		x.stateFailed(b, x.located(b, noHandler(b.state.Task.Resource)))
		return
	}
	x.handOver(b, true)
}

// handOver lets the handler run once the attempt is durable.
func (x *execution) handOver(b *branch, restarted bool) {
	res := b.state.Task.Resource
	f := familyOf(res)
	x.follow(b, &history.Event{Type: f.started, Has: f.has, ResourceType: f.resourceType, Resource: f.resource})
	x.mark(b)
	handler := x.handlerOf(b)
	if _, ok := handler.(nested); !ok && waitsForJob(res) && x.mock(b) == nil {
		// The handler submits the job and waits for it in one: it has the job
		// as soon as it runs.
		x.follow(b, &history.Event{Type: history.TaskSubmitted, Has: f.has, ResourceType: f.resourceType, Resource: f.resource})
	}
	r := &running{
		exec: x.id, branch: b.id, handler: handler,
		task: task.Task{
			ID:       fmt.Sprintf("%s-%d-%d", x.tag(), b.entered, b.attempt),
			Resource: res, Input: json.RawMessage(b.effective.JSON()),
			ExecutionARN: x.arn(), ExecutionName: x.rec.Name, StateName: b.state.Name,
			Origin: x.origin(), Attempt: b.attempt, Restarted: restarted,
		},
	}
	now := x.now()
	r.lastBeat.Store(now)
	if x.running == nil {
		x.running = map[int64]*running{}
	}
	x.running[b.id] = r
	x.starts = append(x.starts, r)
	x.watch(b, now)
}

// waitsForJob reports whether a service integration ends with the job that it
// submits.
func waitsForJob(resource string) bool {
	return strings.HasPrefix(resource, integrationPrefix) && (strings.HasSuffix(resource, string(patternSync)) || strings.HasSuffix(resource, string(patternSync2)))
}

// watch lets b be looked at when its task's next limit may be exceeded.
func (x *execution) watch(b *branch, beat int64) {
	due := int64(0)
	if b.timeout > 0 {
		due = b.startedAt + b.timeout
	}
	if b.heartbeat > 0 && (due == 0 || beat+b.heartbeat < due) {
		due = beat + b.heartbeat
	}
	if due != 0 {
		x.wait(b, due)
	}
}

// start runs the handler on a goroutine of its own.
func (x *execution) start(r *running) {
	if r.abandoned.Load() {
		return
	}
	e := x.e
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	if !e.tasks.add(r) {
		cancel(nil)
		return
	}
	e.hold()
	r.task.Heartbeat = func() { r.lastBeat.Store(e.now().UnixMilli()) }
	go func() {
		defer e.release()
		defer e.tasks.remove(r)
		defer cancel(nil)
		output, err := e.runHandler(ctx, r)
		// A task that the engine's end cut short has not failed: the next
		// process runs it again.
		if r.abandoned.Load() || err != nil && errors.Is(context.Cause(ctx), ErrShutdown) {
			return
		}
		e.post(r.exec, message{kind: msgTask, task: r, output: output, err: err})
	}()
}

func (e *Engine) runHandler(ctx context.Context, r *running) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("task handler panicked", zap.String("execution", r.task.ExecutionARN), zap.String("state", r.task.StateName), zap.String("panic", safetext.Panic(p)), zap.Stack("stack"))
			err = fmt.Errorf("the task handler has a bug (%s); the service's log says where", safetext.Panic(p))
		}
	}()
	return r.handler.Run(ctx, r.task)
}

// taskEnded takes a handler's answer.
func (x *execution) taskEnded(m *message) {
	r := m.task
	b := x.branches[r.branch]
	if x.running[r.branch] != r || b == nil || x.end != nil {
		return
	}
	delete(x.running, r.branch)
	b.due = 0
	if k, ok := r.handler.(task.Keeper); ok {
		x.then(func() { k.Forget(r.task) })
	}
	if r.run != nil {
		x.mapRunEnded(b, r.run, m.output, m.err)
		return
	}
	f := familyOf(r.task.Resource)
	ev := history.Event{Type: f.failed, Has: f.has, ResourceType: f.resourceType, Resource: f.resource}
	child, isNested := r.handler.(nested)
	mocked := x.mock(b) != nil
	submits := wantsToken(b.state) || isNested && child.parent.Waits
	if submits && !mocked {
		ev.Type = history.TaskSubmitFailed
	}
	fail := func(e *asl.Error, placed bool) {
		if !placed {
			e = x.located(b, e)
		}
		ev.Has |= history.HasError | history.HasCause
		ev.Error, ev.Cause = e.Name, e.Cause
		x.follow(b, &ev)
		x.stateFailed(b, e)
	}
	if m.err != nil {
		var failure *task.Error
		if !errors.As(m.err, &failure) {
			failure = &task.Error{Name: asl.ErrTaskFailed, Cause: m.err.Error()}
		}
		if mocked && (submits || waitsForJob(r.task.Resource)) {
			// It stands for what fails after the submission.
			x.follow(b, &history.Event{Type: history.TaskSubmitted, Has: f.has, ResourceType: f.resourceType, Resource: f.resource})
		}
		if failure.Name == asl.ErrDataLimitExceeded && !mocked {
			fail(x.located(b, tooLarge(f.name())), true)
			return
		}
		fail(&asl.Error{Name: failure.Name, Cause: failure.Cause}, true)
		return
	}
	if len(m.output) > asl.MaxData {
		fail(x.located(b, tooLarge(f.name())), true)
		return
	}
	result, err := value.Parse(m.output)
	if err != nil {
		fail(&asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The task's result is not JSON: %v", err)}, false)
		return
	}
	ev.Has, ev.Data = ev.Has|history.HasData, result.JSON()
	if submits || mocked && waitsForJob(r.task.Resource) {
		submitted := ev
		submitted.Type = history.TaskSubmitted
		x.follow(b, &submitted)
	}
	switch {
	case mocked: // it answers for the holder of the token and for the job, too
	case isNested && child.parent.Waits:
		x.awaitChild(b, result)
		return
	case wantsToken(b.state):
		x.awaitToken(b, r.lastBeat.Load())
		return
	}
	ev.Type = f.succeeded
	x.follow(b, &ev)
	if err := x.complete(b, result); err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// taskOverdue ends an attempt that took too long or was silent for too long.
func (x *execution) taskOverdue(b *branch, now int64) {
	r := x.running[b.id]
	if r == nil {
		return
	}
	beat := r.lastBeat.Load()
	name, cause := b.overdue(beat, now)
	if cause == nil {
		x.watch(b, beat)
		return
	}
	delete(x.running, b.id)
	r.abandon(cause)
	x.taskTimedOut(b, name)
}

// overdue gives the limit that the task has exceeded, if any.
func (b *branch) overdue(beat, now int64) (name string, cause error) {
	switch {
	case b.timeout > 0 && now >= b.startedAt+b.timeout:
		return asl.ErrTimeout, ErrTimedOut
	case b.heartbeat > 0 && now >= beat+b.heartbeat:
		return asl.ErrHeartbeatTimeout, ErrHeartbeat
	}
	return "", nil
}

func (x *execution) taskTimedOut(b *branch, name string) {
	f := familyOf(b.state.Task.Resource)
	x.follow(b, &history.Event{Type: f.timedOut, Has: f.has | history.HasError, ResourceType: f.resourceType, Resource: f.resource, Error: name})
	x.stateFailed(b, &asl.Error{Name: name})
}

// integrationPrefix begins the resources that are service integrations.
const integrationPrefix = "arn:aws:states:::"

// family is the events that a kind of resource leaves in the history.
type family struct {
	scheduled, started, succeeded, failed, timedOut history.Type
	resourceType, resource                          string
	// has is HasResource where every event names the resource.
	has history.Has
}

// name is what AWS calls the resource in the error of a result that is too
// large: the service, or the ARN.
func (f *family) name() string { return cmp.Or(f.resourceType, f.resource) }

// familyOf tells Lambda functions and activities, by their own ARNs, from
// service integrations (arn:aws:states:::service:action).
func familyOf(resource string) family {
	if rest, ok := strings.CutPrefix(resource, integrationPrefix); ok {
		at := strings.LastIndex(strings.TrimSuffix(rest, ":2"), ":") // startExecution.sync:2
		return family{
			history.TaskScheduled, history.TaskStarted, history.TaskSucceeded, history.TaskFailed, history.TaskTimedOut,
			rest[:max(at, 0)], rest[at+1:], history.HasResource,
		}
	}
	if kind, _, ok := arns.Split(resource); ok && kind == "activity" {
		return family{history.ActivityScheduled, history.ActivityStarted, history.ActivitySucceeded, history.ActivityFailed, history.ActivityTimedOut, "", resource, 0}
	}
	return family{
		history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionSucceeded, history.LambdaFunctionFailed, history.LambdaFunctionTimedOut, "", resource, 0,
	}
}
