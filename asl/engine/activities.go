package engine

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// kindQueued documents are the tasks that wait for an activity's worker. Their
// keys order them by activity and, within it, by the time they came.
const kindQueued = "activity-task"

// activityPoll is how long a worker waits for a task, as with Step Functions.
const activityPoll = 60 * time.Second

// activityDesk is where tasks wait for workers and workers for tasks. The store
// has what it holds, but for the workers.
type activityDesk struct {
	mu    sync.Mutex
	lines map[string]*line
}

// line is the tasks of one activity, or the workers that wait for them.
type line struct {
	tasks   list.List // of queued
	byKey   map[string]*list.Element
	workers list.List // of chan queued, each of capacity 1
}

// queued is a task that waits for a worker.
type queued struct {
	Key    string `json:"-"`
	Exec   int64  `json:"exec"`
	Branch int64  `json:"branch"`
}

func newActivityDesk() *activityDesk {
	return &activityDesk{lines: map[string]*line{}}
}

// line returns an activity's line; d.mu is held.
func (d *activityDesk) line(name string) *line {
	l := d.lines[name]
	if l == nil {
		l = &line{byKey: map[string]*list.Element{}}
		d.lines[name] = l
	}
	return l
}

func lineOf(key string) string {
	name, _, _ := strings.Cut(key, "/")
	return name
}

// push adds a task: at the end, or in front when a worker could not take it.
func (d *activityDesk) push(q queued, front bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.line(lineOf(q.Key))
	if w := l.workers.Front(); w != nil {
		l.workers.Remove(w).(chan queued) <- q
		return
	}
	if l.byKey[q.Key] != nil {
		return
	}
	if front {
		l.byKey[q.Key] = l.tasks.PushFront(q)
	} else {
		l.byKey[q.Key] = l.tasks.PushBack(q)
	}
}

// remove takes out a task that is not to be done any more.
func (d *activityDesk) remove(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lines[lineOf(key)]; l != nil && l.byKey[key] != nil {
		l.tasks.Remove(l.byKey[key])
		delete(l.byKey, key)
	}
}

// next waits for a task until one of the channels is closed or fires.
func (d *activityDesk) next(ctx context.Context, name string, timeout <-chan time.Time, stopped <-chan struct{}) (q queued, ok bool) {
	d.mu.Lock()
	l := d.line(name)
	if first := l.tasks.Front(); first != nil {
		q = l.tasks.Remove(first).(queued)
		delete(l.byKey, q.Key)
		d.mu.Unlock()
		return q, true
	}
	mine := make(chan queued, 1)
	place := l.workers.PushBack(mine)
	d.mu.Unlock()
	select {
	case q := <-mine:
		return q, true
	case <-timeout:
	case <-ctx.Done():
	case <-stopped:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case q := <-mine: // at the last moment
		return q, true
	default:
		l.workers.Remove(place)
		return queued{}, false
	}
}

// loadActivityTasks reads the tasks that wait for workers.
func (e *Engine) loadActivityTasks(ctx context.Context) error {
	err := store.EachDoc(ctx, e.store, kindQueued, func(d store.Doc) error {
		q := queued{Key: d.Key}
		if err := json.Unmarshal(d.Body, &q); err != nil {
			return err
		}
		e.desk.push(q, false)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read tasks of activities: %w", err)
	}
	return nil
}

// ActivityTask is work for an activity's worker.
type ActivityTask struct {
	Token string
	Input string // JSON
}

// GetActivityTask waits up to a minute for a task of the activity and returns
// it, once it is durable that the worker has it; nil when there was none. Tasks
// come in the order in which they were scheduled, each to one worker.
func (e *Engine) GetActivityTask(ctx context.Context, arn, worker string) (*ActivityTask, error) {
	a, err := e.catalog.Activity(arn)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(activityPoll)
	defer timeout.Stop()
	for {
		q, ok := e.desk.next(ctx, a.Name, timeout.C, e.noPolls)
		if !ok {
			return nil, nil
		}
		if ctx.Err() != nil {
			e.desk.push(q, true)
			return nil, nil
		}
		var left atomic.Bool
		answer := make(chan *ActivityTask, 1)
		e.post(q.Exec, message{
			kind: msgCall,
			call: func(x *execution) {
				if left.Load() || e.stopping.Load() {
					e.desk.push(q, true) // for a worker that is still there
					return
				}
				x.startActivity(q, worker, answer)
			},
			gone: func(bool) { answer <- nil },
		})
		select {
		case t := <-answer:
			if t != nil {
				return t, nil
			}
			// Nobody wants the work any more.
			e.store.Apply(&store.Write{Docs: []store.Doc{{Kind: kindQueued, Key: q.Key}}, Done: func(error) {
				// What is not deleted now is when a worker asks for it again.
			}})
		case <-e.ended:
			return nil, nil
		case <-ctx.Done():
			left.Store(true)
			return nil, nil
		}
	}
}

// EndPolls lets the workers that wait for a task, now and from now on, go
// without one. A server that shuts down would wait a minute for them.
func (e *Engine) EndPolls() { e.endPolls.Do(func() { close(e.noPolls) }) }

// mustBeActivity checks that a resource without a handler is an activity.
func (e *Engine) mustBeActivity(resource string) error {
	if kind, _, ok := arns.Split(resource); !ok || kind != "activity" {
		return noHandler(resource)
	}
	if _, err := e.catalog.Activity(resource); err != nil {
		return &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The activity %s does not exist.", resource)}
	}
	return nil
}

// queued is b's task while it waits for a worker. It keeps its key over a
// restart.
func (x *execution) queued(b *branch) queued {
	_, name, _ := arns.Split(b.state.Task.Resource)
	return queued{Key: fmt.Sprintf("%s/%013d-%011d-%09d", name, b.startedAt, x.id, b.id), Exec: x.id, Branch: b.id}
}

// enqueue lets b wait for one of its activity's workers.
func (x *execution) enqueue(b *branch) {
	b.phase = phaseQueued
	x.mark(b)
	q := x.queued(b)
	body := fmt.Appendf(nil, `{"exec":%d,"branch":%d}`, q.Exec, q.Branch)
	x.docs = append(x.docs, store.Doc{Kind: kindQueued, Key: q.Key, Body: body})
	x.then(func() { x.e.desk.push(q, false) })
}

// unqueue takes b's task back.
func (x *execution) unqueue(b *branch) {
	key := x.queued(b).Key
	x.docs = append(x.docs, store.Doc{Kind: kindQueued, Key: key})
	x.then(func() { x.e.desk.remove(key) })
}

// startActivity gives a worker the task it was promised, or nil when the task
// does not wait any more.
func (x *execution) startActivity(q queued, worker string, answer chan<- *ActivityTask) {
	b := x.branches[q.Branch]
	if x.end != nil || b == nil || b.over() || b.phase != phaseQueued || x.queued(b) != q {
		answer <- nil
		return
	}
	x.unqueue(b)
	ev := history.Event{Type: history.ActivityStarted}
	if worker != "" {
		ev.Has, ev.Name = history.HasName, worker
	}
	x.follow(b, &ev)
	t := &ActivityTask{Token: x.e.token(x.ref(b)), Input: b.effective.JSON()}
	// The limits count from here: how long a task waits for a worker is not
	// the worker's fault.
	b.startedAt, b.effective = x.now(), value.Value{}
	x.awaitToken(b, b.startedAt)
	x.then(func() { answer <- t })
}
