package run

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

const (
	// integrationPrefix begins the resources that are service integrations.
	integrationPrefix = "arn:aws:states:::"
	// TokenSuffix marks a Task state that ends when somebody gives back its
	// token.
	TokenSuffix = ".waitForTaskToken"

	syncSuffix  = ".sync"   // wait for the job; the output is a text
	sync2Suffix = ".sync:2" // wait; the output is JSON
	// StartExecution is the resource of Task states that start executions; a
	// suffix may follow it.
	StartExecution = "arn:aws:states:::states:startExecution"
)

func wantsToken(s *asl.State) bool {
	return s != nil && s.Task != nil && strings.HasSuffix(s.Task.Resource, TokenSuffix)
}

// WaitsForJob reports whether a service integration ends with the job that it
// submits.
func WaitsForJob(resource string) bool {
	return strings.HasPrefix(resource, integrationPrefix) && (strings.HasSuffix(resource, syncSuffix) || strings.HasSuffix(resource, sync2Suffix))
}

// StartsExecution reports whether the resource starts an execution.
func StartsExecution(resource string) bool {
	rest, ok := strings.CutPrefix(resource, StartExecution)
	return ok && (rest == "" || rest == syncSuffix || rest == sync2Suffix || rest == TokenSuffix)
}

// tag is a short name of the execution, for IDs of what belongs to it. It
// changes with each redrive, as attempts are counted from 0 again.
func (x *Execution) tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", x.about.ARN, x.about.Started, x.about.Redrives))
	return hex.EncodeToString(sum[:10])
}

func (x *Execution) isMocked(b *branch) bool {
	return x.about.Mocked != nil && x.about.Mocked(b.state.Name)
}

// worker says who does the work of b's state.
func (x *Execution) worker(b *branch) (Worker, error) {
	if x.isMocked(b) {
		return ByHandler, nil
	}
	return x.env.Work(b.state.Task.Resource)
}

// schedule begins an attempt at the Task state.
func (x *Execution) schedule(b *branch) error {
	v, err := b.state.Fields.Arguments(x.frameOf(b))
	if err != nil {
		return err
	}
	text := v.JSON()
	if len(text) > asl.MaxData {
		return Whole(asl.TooLarge(b.state.Name))
	}
	timeout, heartbeat, err := b.state.Fields.Limits(x.frameOf(b))
	if err != nil {
		return err
	}
	w, err := x.worker(b)
	if err != nil {
		return err
	}
	l := limits{timeout.Milliseconds(), heartbeat.Milliseconds(), x.now()}
	try := x.count(b)
	f := familyOf(b.state.Task.Resource)
	ev := f.event(f.scheduled)
	ev.Has |= history.HasData | history.HasResource
	ev.ResourceType, ev.Resource, ev.Data = f.resourceType, f.resource, text
	if f.resourceType != "" {
		ev.Region = x.env.Region
	}
	if l.timeout > 0 {
		ev.Has, ev.Timeout = ev.Has|history.HasTimeout, l.timeout/1000
	}
	if l.heartbeat > 0 {
		ev.Has, ev.Heartbeat = ev.Has|history.HasHeartbeat, l.heartbeat/1000
	}
	x.follow(b, &ev)
	if w == ByActivity {
		d := &inQueue{l, v}
		b.doing = d
		x.mark(b)
		x.effect(EnqueueTask{QueuedTask: x.queuedTask(b, d)})
		return nil
	}
	d := &working{limits: l, input: v, try: try}
	b.doing = d
	x.handOver(b, d, w, false)
	return nil
}

// count gives an attempt at a mocked state its number. The numbers are kept in
// the record of the root, and so survive a restart.
func (x *Execution) count(b *branch) int {
	if !x.isMocked(b) {
		return 0
	}
	if x.tries == nil {
		x.tries = map[string]int{}
	}
	try := x.tries[b.state.Name]
	x.tries[b.state.Name]++
	x.mark(x.branches[rootID])
	return try
}

// again hands a task over that an earlier process was running.
func (x *Execution) again(b *branch, d *working) {
	w, err := x.worker(b)
	if err == nil && w == ByActivity {
		err = NoHandler(b.state.Task.Resource)
	}
	if err != nil {
		b.doing = nil
		x.stateFailed(b, located(b, err))
		return
	}
	x.handOver(b, d, w, true)
}

// NoHandler is the error of a Task state whose work nobody does.
func NoHandler(resource string) error {
	return Whole(&asl.Error{
		Name:  asl.ErrRuntime,
		Cause: fmt.Sprintf("Nothing is configured to run the resource '%s': give it a handler under engine.embedded.functions, engine.embedded.projects or engine.embedded.aws in the configuration.", resource),
	})
}

// handOver lets the work begin once the attempt is durable.
func (x *Execution) handOver(b *branch, d *working, w Worker, restarted bool) {
	res := b.state.Task.Resource
	f := familyOf(res)
	ev := f.event(f.started)
	x.follow(b, &ev)
	x.mark(b)
	if w == ByHandler && WaitsForJob(res) && !x.isMocked(b) {
		// The handler submits the job and waits for it in one: it has the job
		// as soon as it runs.
		submitted := f.event(history.TaskSubmitted)
		x.follow(b, &submitted)
	}
	d.attempt = x.begun(b)
	x.effect(StartTask{
		Branch: b.id, Attempt: d.attempt, Worker: w, ID: fmt.Sprintf("%s-%d-%d", x.tag(), b.entered, b.attempt),
		Resource: res, Input: d.input.JSON(), State: b.state.Name, Retry: b.attempt, Restarted: restarted,
		Mocked: x.isMocked(b), Try: d.try,
	})
	x.watch(b, d.limits, x.now())
}

// begun notes that something is under way for b, and numbers it.
func (x *Execution) begun(b *branch) (attempt int64) {
	if x.working == nil {
		x.working = map[int64]struct{}{}
	}
	x.working[b.id] = struct{}{}
	x.lastAttempt++
	return x.lastAttempt
}

// abandon says that nobody waits for an attempt any more, if it is under way.
// One that was to start with this very step does not start.
func (x *Execution) abandon(b *branch, attempt int64, why Reason) {
	if _, ok := x.working[b.id]; !ok {
		return
	}
	delete(x.working, b.id)
	for i, e := range x.step.Effects {
		if s, ok := e.(StartTask); ok && s.Attempt == attempt {
			x.step.Effects = slices.Delete(x.step.Effects, i, i+1)
			return
		}
	}
	x.effect(AbandonTask{attempt, why})
}

// taskEnded takes the end of the work.
func (x *Execution) taskEnded(m *TaskEnded) {
	b := x.branches[m.Branch]
	if b == nil || x.step.End != nil {
		return
	}
	d, ok := b.doing.(*working)
	if _, is := x.working[b.id]; !ok || !is || d.attempt != m.Attempt {
		return
	}
	delete(x.working, b.id)
	b.due, b.doing = 0, nil
	x.effect(TaskStored{m.Attempt})
	f := familyOf(b.state.Task.Resource)
	mocked, waits := x.isMocked(b), x.waitsForExecution(b)
	submits := wantsToken(b.state) || waits
	failed := f.failed
	switch {
	case submits && !mocked:
		failed = history.TaskSubmitFailed
	case m.Failure != nil && mocked && (submits || WaitsForJob(b.state.Task.Resource)):
		// It stands for what fails after the submission.
		submitted := f.event(history.TaskSubmitted)
		x.follow(b, &submitted)
	}
	if m.Failure != nil && m.Failure.Name == asl.ErrDataLimitExceeded && !mocked || len(m.Output) > asl.MaxData {
		m.Failure = asl.TooLarge(f.name()) // in AWS's words, whoever found it
	}
	if m.Failure != nil {
		x.workFailed(b, f.event(failed), m.Failure)
		return
	}
	result, err := value.Parse(m.Output)
	if err != nil {
		x.workFailed(b, f.event(failed), located(b, &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The task's result is not JSON: %v", err)}))
		return
	}
	ev := f.event(f.succeeded)
	ev.Has, ev.Data = ev.Has|history.HasData, result.JSON()
	if submits || mocked && WaitsForJob(b.state.Task.Resource) {
		submitted := ev
		submitted.Type = history.TaskSubmitted
		x.follow(b, &submitted)
	}
	switch {
	case mocked: // it answers for the holder of the token and for the job, too
	case waits:
		x.awaitChild(b, d.limits, result)
		return
	case submits:
		x.awaitToken(b, d.limits, m.Beat)
		return
	}
	x.follow(b, &ev)
	x.complete(b, result)
}

// workFailed records that a task failed, and fails its state.
func (x *Execution) workFailed(b *branch, ev history.Event, failure *asl.Error) {
	ev.Has |= history.HasError | history.HasCause
	ev.Error, ev.Cause = failure.Name, failure.Cause
	x.follow(b, &ev)
	x.stateFailed(b, failure)
}

// taskOverdue ends an attempt that took too long or was silent for too long.
func (x *Execution) taskOverdue(b *branch, d *working, beat int64) {
	if _, ok := x.working[b.id]; !ok {
		return
	}
	name, why, is := d.exceeded(max(beat, d.started), x.now())
	if !is {
		x.watch(b, d.limits, max(beat, d.started))
		return
	}
	x.abandon(b, d.attempt, why)
	x.taskTimedOut(b, name)
}

func (x *Execution) taskTimedOut(b *branch, name string) {
	b.doing = nil
	f := familyOf(b.state.Task.Resource)
	ev := f.event(f.timedOut)
	ev.Has, ev.Error = ev.Has|history.HasError, name
	x.follow(b, &ev)
	x.stateFailed(b, &asl.Error{Name: name})
}

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

// event begins an event of the family.
func (f *family) event(t history.Type) history.Event {
	return history.Event{Type: t, Has: f.has, ResourceType: f.resourceType, Resource: f.resource}
}

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
