package main

import (
	"fmt"
	"strings"
	"time"

	"switchyard/asl/history"
	"switchyard/internal/safetext"
)

// visit is a state that an execution entered, an iteration of a Map or a branch
// of a Parallel, with what ran in it.
type visit struct {
	parent   *visit
	children []*visit
	name     string // of the state; empty for an iteration or branch
	kind     string // Task, Map, …; Iteration or Branch
	index    int64  // an iteration's or branch's
	entered  int64  // Unix milliseconds
	left     int64  // 0 while it is open
	result   string
	resource string
	tries    []try
}

// try is an attempt of a Task state, or what went wrong with it.
type try struct {
	at, ended int64
	err       string
}

// drawing is an execution as a tree of visits.
type drawing struct {
	root    *visit
	owner   map[int64]*visit // by event
	started int64
	last    int64
	failed  bool // the execution as a whole
}

// drawn builds the tree from a history, by following each event to the one
// before it.
func drawn(events []history.Event) *drawing {
	d := &drawing{root: &visit{kind: "Execution"}, owner: make(map[int64]*visit, len(events))}
	for i := range events {
		ev := &events[i]
		if i == 0 {
			d.started = ev.Time
		}
		d.last = ev.Time
		d.failed = ev.Type == history.ExecutionFailed
		d.owner[ev.ID] = d.place(ev, events)
	}
	return d
}

// place notes what an event says, and returns the visit it belongs to.
func (d *drawing) place(ev *history.Event, events []history.Event) *visit {
	what := ev.Type.String()
	at := d.owner[ev.Prev]
	if at == nil {
		at = d.root
	}
	if kind, ok := strings.CutSuffix(what, "StateEntered"); ok {
		return d.enter(at, ev, kind, events)
	}
	switch {
	case ev.Type == history.MapIterationStarted:
		return at.add(&visit{kind: "Iteration", index: ev.Index, entered: ev.Time})
	case strings.HasPrefix(what, "MapIteration"):
		at = at.up(func(v *visit) bool { return v.kind == "Iteration" })
		at.close(ev.Time, ended(what))
	case strings.HasSuffix(what, "StateExited"):
		at = at.up(func(v *visit) bool { return v.name == ev.Name })
		at.close(ev.Time, "ok")
		if n := len(at.tries); n > 0 && at.tries[n-1].err != "" {
			at.result = "caught"
		}
	case strings.HasSuffix(what, "StateAborted"):
		at.close(ev.Time, "aborted")
	case what == "ParallelStateSucceeded", what == "ParallelStateFailed", what == "MapStateSucceeded", what == "MapStateFailed":
		at = at.up(func(v *visit) bool { return strings.HasPrefix(what, v.kind) })
		if ev.Error != "" {
			at.tries = append(at.tries, try{at.entered, ev.Time, problem(ev)})
		}
	case strings.HasSuffix(what, "Scheduled"):
		at.tries = append(at.tries, try{at: ev.Time})
		at.resource = ev.Resource
		if ev.ResourceType != "" {
			at.resource = ev.ResourceType + ":" + ev.Resource
		}
	case len(at.tries) > 0 && at.left == 0:
		last := &at.tries[len(at.tries)-1]
		last.ended = ev.Time
		if strings.HasSuffix(what, "Failed") || strings.HasSuffix(what, "TimedOut") {
			last.err = problem(ev)
		}
	}
	return at
}

// enter opens a visit below or beside the one that the event follows.
func (d *drawing) enter(at *visit, ev *history.Event, kind string, events []history.Event) *visit {
	v := &visit{name: ev.Name, kind: kind, entered: ev.Time}
	before := history.Type(0)
	if ev.Prev > 0 && ev.Prev <= int64(len(events)) {
		before = events[ev.Prev-1].Type
	}
	switch {
	case before == history.ParallelStateStarted:
		// Their order in the history is their order in the definition.
		branch := at.add(&visit{kind: "Branch", index: int64(len(at.children)), entered: ev.Time})
		return branch.add(v)
	case before == history.MapIterationStarted || at.parent == nil:
		return at.add(v)
	}
	return at.parent.add(v)
}

func (v *visit) add(child *visit) *visit {
	child.parent = v
	v.children = append(v.children, child)
	return child
}

// up is the innermost visit around v, or v itself, that is open and meant.
func (v *visit) up(meant func(*visit) bool) *visit {
	for u := v; u.parent != nil; u = u.parent {
		if u.left == 0 && meant(u) {
			return u
		}
	}
	return v
}

func (v *visit) close(at int64, result string) {
	if v.left == 0 {
		v.left, v.result = at, result
	}
}

func ended(what string) string {
	switch {
	case strings.HasSuffix(what, "Succeeded"):
		return "ok"
	case strings.HasSuffix(what, "Aborted"):
		return "aborted"
	}
	return "failed"
}

func problem(ev *history.Event) string {
	if ev.Cause == "" {
		return ev.Error
	}
	return ev.Error + ": " + ev.Cause
}

// open are the states that were entered and not left, the innermost ones.
func (d *drawing) open() []*visit {
	var found []*visit
	var walk func(*visit)
	walk = func(v *visit) {
		if v.kind == "Task" && v.left == 0 {
			found = append(found, v)
		}
		for _, c := range v.children {
			walk(c)
		}
	}
	walk(d.root)
	return found
}

// maxProblem is how many characters of an error a table shows.
const maxProblem = 100

// show writes the tree as a table: a state to a row, and an attempt to a row
// where there was more than one.
func (d *drawing) show(o *output) error {
	var rows [][]string
	var walk func(v *visit, depth int)
	walk = func(v *visit, depth int) {
		rows = append(rows, d.rows(v, depth)...)
		for _, c := range v.children {
			walk(c, depth+1)
		}
	}
	for _, v := range d.root.children {
		walk(v, 0)
	}
	return o.table([]string{"at", "took", "state", "type", "result"}, rows)
}

func (d *drawing) rows(v *visit, depth int) [][]string {
	indent := strings.Repeat("  ", depth)
	name, kind := v.name, v.kind
	switch v.kind {
	case "Iteration":
		name, kind = fmt.Sprintf("[%d]", v.index), ""
	case "Branch":
		return [][]string{{d.since(v.entered), "", fmt.Sprintf("%sbranch %d", indent, v.index+1), "", ""}}
	}
	if v.resource != "" {
		kind += " " + v.resource
	}
	result, until := v.result, v.left
	if v.left == 0 {
		until = d.last
		result = "not left"
		if v.kind == "Fail" || d.failed && len(v.children) > 0 || len(v.tries) > 0 && v.tries[len(v.tries)-1].err != "" {
			result = "failed"
		}
	}
	if n := len(v.tries); n > 0 && result != "ok" && v.tries[n-1].err != "" && n == 1 {
		result += " " + oneProblem(v.tries[0].err)
	}
	all := [][]string{{d.since(v.entered), duration(until - v.entered), indent + name, kind, result}}
	if len(v.tries) < 2 {
		return all
	}
	for i, t := range v.tries {
		outcome, took := "ok", ""
		if t.err != "" {
			outcome = oneProblem(t.err)
		} else if t.ended == 0 {
			outcome = "not ended"
		}
		if t.ended > 0 {
			took = duration(t.ended - t.at)
		}
		all = append(all, []string{d.since(t.at), took, fmt.Sprintf("%s  attempt %d", indent, i+1), "", outcome})
	}
	return all
}

func (d *drawing) since(at int64) string { return "+" + duration(at-d.started) }

func duration(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func oneProblem(problem string) string { return safetext.Cut(safetext.Line(problem), maxProblem) }
