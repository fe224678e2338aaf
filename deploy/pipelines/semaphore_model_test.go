//go:build unix && !race

package pipelines_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/run"
	"switchyard/asl/value"
)

// The semaphore is proved by going through what can happen: its own definitions,
// run by the engine's rules, in every order in which calls, answers, ends of the
// work, timeouts, lost answers and stops of executions can follow each other.
//
// An execution is a [local]: what it has been told so far. As the same messages
// lead to the same state, an execution is run once for each sequence of messages,
// however many orders it is part of. A [world] is a local for each execution,
// the item in the table and what is under way.

// told is what an execution is told.
type told struct {
	kind            string // "begin", "ended", "token", "child", "tick", "stop"
	branch, attempt int64
	output          string // JSON
	failure         string
	token           string
}

// local is an execution after what it was told.
type local struct {
	number   int
	who      int // its number among the executions
	sweep    bool
	log      []told
	now, due int64
	calls    []run.StartTask        // that it waits for
	child    int64                  // the branch that waits for its work, 0 for none
	refs     map[string]run.TaskRef // of its tokens
	events   map[int64]*history.Event
	end      *run.End
	next     map[told]*after
}

// after is what comes of telling an execution something.
type after struct {
	*local
	stops    bool // it stops its work
	accepted bool // it takes what the holder of a token says
}

// signature is the same for executions that do the same from here on, whatever
// they were told before. What a sweep does follows from what it has seen last;
// what the others do, from the states they are in, the calls that they wait for
// and how their work ended. Their number is that in the table.
func (l *local) signature() string {
	var b strings.Builder
	fmt.Fprint(&b, l.who, len(l.refs), l.child != 0, l.due-l.now)
	if l.end != nil {
		return fmt.Sprint(l.who, l.end.Event, l.end.Error)
	}
	for _, c := range l.calls {
		fmt.Fprint(&b, "|", c.State, c.Retry, c.Input)
	}
	var at []string
	seen := map[int64]bool{} // events that others follow
	for id := int64(len(l.events)); id > 1; id-- {
		ev := l.events[id]
		switch ev.Type {
		case history.ParallelStateSucceeded, history.ParallelStateFailed:
			b.WriteString("|" + ev.Type.String())
		case history.FailStateEntered:
			b.WriteString("|" + ev.Name)
		}
		if !seen[id] {
			last := ev.Type.String()
			for ; ev != nil && !strings.HasSuffix(ev.Type.String(), "StateEntered"); ev = l.events[ev.Prev] {
				if ev.Type == history.TaskScheduled { // with the token that is waited for
					last += ev.Data
				}
			}
			if ev != nil {
				at = append(at, ev.Name+" "+last)
			}
		}
		seen[l.events[id].Prev] = true
	}
	slices.Sort(at)
	fmt.Fprint(&b, at)
	if !l.sweep { // the number of its slot, as it was last told
		for _, what := range slices.Backward(l.log) {
			var item struct{ Attributes, Item attribute }
			if what.output != "" && json.Unmarshal([]byte(what.output), &item) == nil {
				if lot := holders(item.Attributes)[arn(l.who)]; lot != nil {
					fmt.Fprint(&b, "|", number(lot.(attribute)))
					break
				} else if lot := holders(item.Item)[arn(l.who)]; lot != nil {
					fmt.Fprint(&b, "|", number(lot.(attribute)))
					break
				}
			}
		}
	}
	if l.sweep {
		from := 0
		for i, what := range l.log {
			if strings.HasPrefix(what.output, `{"Item"`) {
				from = i
			}
		}
		for _, what := range l.log[from:] {
			fmt.Fprint(&b, "|", what.output, what.failure)
		}
	}
	return b.String()
}

// item is what is in the table. One that is as another is the same.
type item struct {
	attribute
	number  int
	updates map[string]updated // by their inputs
}

// updated is an item after an update.
type updated struct {
	*item
	held bool
}

func (m *model) stored(v attribute) *item {
	s := text(v)
	if m.items[s] == nil {
		m.items[s] = &item{v, len(m.items), map[string]updated{}}
	}
	return m.items[s]
}

// update is what comes of a call of dynamodb:updateItem.
func (m *model) update(i *item, input string) updated {
	known, ok := i.updates[input]
	if !ok {
		var u updateInput
		if err := json.Unmarshal([]byte(input), &u); err != nil {
			m.t.Fatal(err)
		}
		after, held := u.apply(i.attribute)
		known = updated{m.stored(after), held}
		i.updates[input] = known
	}
	return known
}

// model goes through the worlds of one scenario.
type model struct {
	t               *testing.T
	semaphore       *run.Program
	sweep           *run.Program
	env             *run.Environment
	playing         *local
	locals          map[string]*local // by their signatures
	begin           []*local
	executions      int
	mishaps         bool // something may go wrong
	seen            map[string]bool
	items           map[string]*item
	trail           []string
	succeeded, lost int
}

func name(who int) string { return fmt.Sprintf("c%d", who) }

func arn(who int) string {
	return "arn:aws:states:us-east-1:123456789012:execution:semaphore:" + name(who)
}

func newModel(t *testing.T, executions, sweeps, limit int, semaphore, sweep []byte) *model {
	t.Helper()
	m := &model{t: t, locals: map[string]*local{}, seen: map[string]bool{}, items: map[string]*item{}, executions: executions}
	fill := strings.NewReplacer("${SemaphoreTable}", "semaphores", "${SweepStateMachine}", prefix+"sweep", "${HeldStateMachine}", prefix+"held",
		`"firstLimit": "1"`, fmt.Sprintf(`"firstLimit": "%d"`, limit))
	program := func(definition []byte) *run.Program {
		parsed, err := asl.Parse([]byte(fill.Replace(string(definition))))
		if err != nil {
			t.Fatal(err)
		}
		return run.NewProgram(parsed)
	}
	m.semaphore, m.sweep = program(semaphore), program(sweep)
	m.env = &run.Environment{
		Names: arns.New("us-east-1", "123456789012"), Region: "us-east-1", MaxHistory: history.MaxEvents, MapConcurrency: 40, FlushEvents: 1000,
		Random: func() float64 { return 0.5 }, UUID: func() string { return "11111111-2222-4333-8444-555555555555" },
		Token: func(r run.TaskRef) string {
			for token, known := range m.playing.refs {
				if known == r {
					return token
				}
			}
			token := fmt.Sprintf("%d/%d", m.playing.who, len(m.playing.refs))
			m.playing.refs[token] = r
			return token
		},
		Work: func(resource string) (run.Worker, error) {
			if run.StartsExecution(resource) {
				return run.ByExecution, nil
			}
			return run.ByHandler, nil
		},
	}
	for who := range executions + sweeps {
		m.begin = append(m.begin, m.after(&local{who: who, sweep: who >= executions}, told{kind: "begin"}).local)
	}
	return m
}

func (m *model) isSweep(who int) bool { return who >= m.executions }

// after gives the execution as it is after what it is told.
func (m *model) after(l *local, what told) *after {
	if known := l.next[what]; known != nil {
		return known
	}
	a := &after{local: &local{who: l.who, sweep: l.sweep, log: append(slices.Clip(l.log), what), next: map[told]*after{}, refs: map[string]run.TaskRef{}, events: map[int64]*history.Event{}}}
	m.play(a)
	s := a.signature()
	if known := m.locals[s]; known != nil {
		a.local = known
	} else {
		a.number = len(m.locals)
		m.locals[s] = a.local
	}
	if l.next != nil {
		l.next[what] = a
	}
	return a
}

// play runs the execution from its begin.
func (m *model) play(l *after) {
	m.playing = l.local
	about := run.About{ID: int64(l.who + 1), Machine: "semaphore", Name: name(l.who), ARN: arn(l.who), Started: 1000, TimesOut: run.Never}
	program, input := m.semaphore, fmt.Sprintf(`{"environment": "production", "name": %q}`, name(l.who))
	l.now = 1000
	if l.sweep { // long after all others, so that all leases have run out
		program, input, l.now = m.sweep, `{"semaphore": "production"}`, 1<<40
	}
	var err error
	if about.Input, err = value.ParseString(input); err != nil {
		m.t.Fatal(err)
	}
	x := run.New(about, program, m.env)
	for _, what := range l.log {
		l.accepted, l.stops = false, false
		var messages []run.Message
		now := l.now
		switch what.kind {
		case "ended", "token", "child":
			var failure *asl.Error
			if what.failure != "" {
				failure = &asl.Error{Name: what.failure}
			}
			switch what.kind {
			case "ended":
				l.calls = slices.DeleteFunc(slices.Clone(l.calls), func(c run.StartTask) bool { return c.Attempt == what.attempt })
				messages = append(messages, run.TaskEnded{Branch: what.branch, Attempt: what.attempt, Output: []byte(what.output), Failure: failure})
			case "token":
				messages = append(messages, &run.TokenUse{Ref: l.refs[what.token], Output: value.EmptyObject})
			case "child":
				ended := &run.EndedChild{Succeeded: failure == nil}
				if ended.Parsed, err = value.ParseString(what.output); err != nil {
					m.t.Fatal(err)
				}
				ended.Described = ended.Parsed
				l.child = 0
				messages = append(messages, run.ChildSeen{Branch: what.branch, ARN: "held", Ended: ended})
			}
		case "tick":
			now = l.due // then it is as before, so that waiting again is nothing new
			messages = append(messages, run.Tick{})
		case "stop":
			messages = append(messages, run.Stop{})
		}
		for more := true; more; messages = nil {
			step := x.Advance(run.Time{Now: now}, messages...)
			events, err := history.Decode(step.Events)
			if err != nil {
				m.t.Fatal(err)
			}
			for _, ev := range events {
				l.events[ev.ID] = &ev
			}
			for _, e := range step.Effects {
				switch e := e.(type) {
				case run.StartTask:
					l.calls = append(l.calls, e)
				case run.AbandonTask:
					l.calls = slices.DeleteFunc(slices.Clone(l.calls), func(c run.StartTask) bool { return c.Attempt == e.Attempt })
				case run.LookAtChild: // it has just begun, and will tell of its end
					l.child = e.Branch
				case run.StopChild:
					l.stops, l.child = true, 0
				case run.Reply:
					l.accepted = e.Accepted
				}
			}
			l.due, more = step.Due, step.More
			if step.End != nil {
				end := *step.End
				l.end, l.calls, l.child, more = &end, nil, 0, false
			}
		}
	}
}
