package engine

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"switchyard/asl/run"
	"switchyard/asl/store"
)

// kindQueued documents are the tasks that wait for an activity's worker. Their
// keys order them by activity and, within it, by the time they came.
const kindQueued = "activity-task"

// activityPoll is how long a worker waits for a task, as with Step Functions.
const activityPoll = 60 * time.Second

// activityQueues is where tasks wait for workers and workers for tasks. The store
// has what it holds, but for the workers.
type activityQueues struct {
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

func newActivityQueues() *activityQueues {
	return &activityQueues{lines: map[string]*line{}}
}

// line returns an activity's line; a.mu is held.
func (a *activityQueues) line(name string) *line {
	l := a.lines[name]
	if l == nil {
		l = &line{byKey: map[string]*list.Element{}}
		a.lines[name] = l
	}
	return l
}

func lineOf(key string) string {
	name, _, _ := strings.Cut(key, "/")
	return name
}

// push adds a task: at the end, or in front when a worker could not take it.
func (a *activityQueues) push(q queued, front bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.line(lineOf(q.Key))
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
func (a *activityQueues) remove(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.lines[lineOf(key)]; l != nil && l.byKey[key] != nil {
		l.tasks.Remove(l.byKey[key])
		delete(l.byKey, key)
	}
}

// next waits for a task until one of the channels is closed or fires.
func (a *activityQueues) next(ctx context.Context, name string, timeout <-chan time.Time, stopped <-chan struct{}) (q queued, ok bool) {
	a.mu.Lock()
	l := a.line(name)
	if first := l.tasks.Front(); first != nil {
		q = l.tasks.Remove(first).(queued)
		delete(l.byKey, q.Key)
		a.mu.Unlock()
		return q, true
	}
	mine := make(chan queued, 1)
	place := l.workers.PushBack(mine)
	a.mu.Unlock()
	select {
	case q := <-mine:
		return q, true
	case <-timeout:
	case <-ctx.Done():
	case <-stopped:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
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
		e.queues.push(q, false)
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
		q, ok := e.queues.next(ctx, a.Name, timeout.C, e.noPolls)
		if !ok {
			return nil, nil
		}
		if ctx.Err() != nil {
			e.queues.push(q, true)
			return nil, nil
		}
		answer := make(chan *ActivityTask, 1)
		e.post(q.Exec, letter{
			message: &run.TakeTask{QueuedTask: run.QueuedTask{Key: q.Key, Branch: q.Branch}, Worker: worker},
			unless:  func() bool { return ctx.Err() != nil || e.stopping.Load() },
			refused: func() { e.queues.push(q, true) }, // for a worker that is still there
			answer: func(r run.Reply) {
				if !r.Accepted {
					answer <- nil
					return
				}
				answer <- &ActivityTask{Token: r.Token, Input: r.Input}
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
			return nil, nil
		}
	}
}

// EndPolls lets the workers that wait for a task, now and from now on, go
// without one. A server that shuts down would wait a minute for them.
func (e *Engine) EndPolls() { e.endPolls.Do(func() { close(e.noPolls) }) }
