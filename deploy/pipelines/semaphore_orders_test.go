//go:build unix && !race

package pipelines_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"switchyard/asl/history"
	"switchyard/asl/run"
	"switchyard/deploy/pipelines"
)

// world is all there is at one moment.
type world struct {
	item *item
	runs []*local // nil for one that has not begun: sweeps come behind the others
	work []string // of each execution: "", "runs", "ends"
	// How often it may still happen.
	stops, faults, early, patience int
	lower                          bool
}

func (w *world) key() string {
	var b strings.Builder
	for i, l := range w.runs {
		if l == nil {
			b.WriteString("- ")
			continue
		}
		fmt.Fprintf(&b, "%d%.1s ", l.number, w.work[i])
	}
	fmt.Fprint(&b, w.stops, w.faults, w.early, w.patience, w.lower, w.item.number)
	return b.String()
}

func (w *world) clone() *world {
	c := *w
	c.runs, c.work = slices.Clone(w.runs), slices.Clone(w.work)
	return &c
}

// move is something that can happen next.
type move struct {
	what string
	to   *world
	idle bool // time passes, or something goes wrong: nothing that helps for certain
}

// moves are all that can happen in a world.
func (m *model) moves(w *world) (all []move) {
	add := func(what string, idle bool, to *world) { all = append(all, move{what, to, idle}) }
	for who, l := range w.runs {
		if l == nil {
			if !m.isSweep(who) && (who == 0 || w.runs[who-1] != nil) {
				c := w.clone()
				c.runs[who] = m.begin[who]
				add("begins", false, c)
			}
			continue
		}
		if l.end != nil {
			continue
		}
		label := func(what string) string { return fmt.Sprintf("%d %s", who, what) }
		for _, call := range l.calls {
			m.calls(w, who, &call, add)
		}
		if w.work[who] == "runs" && l.child != 0 {
			c := w.clone()
			c.work[who] = "ended"
			succeeded := who != 1 // the work of one fails
			ended := told{kind: "child", branch: l.child, output: fmt.Sprintf(`{"Output": "done", "Status": %q}`, map[bool]string{true: "SUCCEEDED", false: "FAILED"}[succeeded])}
			if !succeeded {
				ended.failure = "States.TaskFailed"
			}
			m.tell(c, who, ended)
			add(label("work ends"), false, c)
		}
		if l.due != run.Never && w.early > 0 {
			c := w.clone()
			c.early--
			m.tell(c, who, told{kind: "tick"})
			add(label("waits no longer"), true, c)
		}
		if w.stops > 0 {
			c := w.clone()
			c.stops--
			m.tell(c, who, told{kind: "stop"})
			add(label("is stopped"), true, c)
		}
	}
	if w.lower && w.item.attribute != nil {
		c := w.clone()
		c.lower = false
		lowered := maps.Clone(w.item.attribute)
		lowered["limit"] = attribute{"N": "1"}
		c.item = m.stored(lowered)
		add("the limit is lowered", true, c)
	}
	if slices.ContainsFunc(all, func(mv move) bool { return !mv.idle }) || w.patience == 0 {
		return all
	}
	// Nothing else happens: time passes, until those who wait for the shortest time
	// have waited.
	shortest := run.Never
	waits := func(l *local) int64 {
		if l == nil || l.end != nil || l.due == run.Never {
			return run.Never
		}
		return l.due - l.now
	}
	for _, l := range w.runs {
		shortest = min(shortest, waits(l))
	}
	if shortest == run.Never {
		return all
	}
	m.needless(w, shortest)
	c := w.clone()
	c.patience--
	for who, l := range w.runs {
		if waits(l) == shortest {
			m.tell(c, who, told{kind: "tick"})
		}
	}
	add(fmt.Sprintf("after %d s", shortest/1000), false, c)
	return all
}

// needless checks that nobody who could enter waits for the time to look, unless
// something went wrong.
func (m *model) needless(w *world, waits int64) {
	if m.mishaps || waits < 600_000 || w.item.attribute == nil {
		return
	}
	queue, _ := w.item.attribute["queue"].(attribute)["L"].([]any)
	if len(queue) > 0 && len(holders(w.item.attribute)) < number(w.item.attribute["limit"].(attribute)) {
		m.fail(w, fmt.Sprintf("%v waits, though there is room", queue[0]))
	}
}

// tell tells an execution of a world, and stops its work where it says so.
func (m *model) tell(w *world, who int, what told) (accepted bool) {
	a := m.after(w.runs[who], what)
	w.runs[who] = a.local
	if a.stops {
		w.work[who] = "ended"
	}
	return a.accepted
}

// calls are the ways in which a call can go.
func (m *model) calls(w *world, who int, call *run.StartTask, add func(string, bool, *world)) {
	label := fmt.Sprintf("%d %s", who, call.State)
	ended := told{kind: "ended", branch: call.Branch, attempt: call.Attempt}
	answer := func(w *world, output any, failure string) {
		what := ended
		if what.failure = failure; failure == "" {
			what.output = text(output)
		}
		m.tell(w, who, what)
	}
	field := func(name string) string { // of the input
		var all map[string]any
		if err := json.Unmarshal([]byte(call.Input), &all); err != nil {
			m.t.Fatal(err)
		}
		return all[name].(string)
	}
	switch resource := strings.TrimPrefix(strings.TrimPrefix(call.Resource, "arn:aws:states:::"), "aws-sdk:"); resource {
	case "dynamodb:getItem":
		c := w.clone()
		answer(c, map[string]any{"Item": c.item.attribute}, "")
		add(label, false, c)
	case "dynamodb:updateItem", "dynamodb:updateItem.waitForTaskToken":
		refused := "DynamoDB.ConditionalCheckFailedException"
		if strings.HasSuffix(resource, run.TokenSuffix) {
			refused = "DynamoDb.ConditionalCheckFailedException"
		}
		c := w.clone()
		after := m.update(w.item, call.Input)
		m.entered(w, after.item, who)
		if c.item = after.item; after.held {
			answer(c, map[string]any{"Attributes": after.attribute}, "")
		} else {
			answer(c, nil, refused)
		}
		add(fmt.Sprintf("%s (%v)", label, after.held), false, c)
		if w.faults > 0 {
			for what, after := range map[string]*item{"comes to nothing": w.item, "loses its answer": after.item} {
				c := w.clone()
				c.faults--
				c.item = after
				answer(c, nil, "DynamoDB.InternalServerErrorException")
				add(label+" "+what, true, c)
			}
		}
	case "states:startExecution":
		c := w.clone()
		if free := slices.IndexFunc(c.runs[m.executions:], func(l *local) bool { return l == nil || l.end != nil }); free >= 0 {
			c.runs[m.executions+free] = m.begin[m.executions+free]
		}
		answer(c, struct{}{}, "")
		add(label, false, c)
	case "states:startExecution.sync:2":
		c := w.clone()
		c.work[who] = "runs"
		answer(c, map[string]any{"ExecutionArn": "held"}, "")
		m.inside(c)
		add(label, false, c)
	case "sfn:describeExecution":
		c := w.clone()
		status := "RUNNING"
		asked := field("ExecutionArn")
		of := slices.IndexFunc(w.runs, func(l *local) bool { return l != nil && arn(l.who) == asked })
		if of < 0 {
			m.fail(w, "nobody is "+asked)
		} else if w.runs[of].end != nil {
			status = "ABORTED"
		}
		answer(c, map[string]any{"Status": status}, "")
		add(label, false, c)
	case "sfn:sendTaskSuccess":
		c := w.clone()
		failure := "Sfn.TaskTimedOutException"
		var of int
		token := field("TaskToken")
		if _, err := fmt.Sscanf(token, "%d/", &of); err == nil && w.runs[of].end == nil && m.tell(c, of, told{kind: "token", token: token}) {
			failure = ""
		}
		answer(c, struct{}{}, failure)
		add(label, false, c)
	default:
		m.t.Fatalf("%s is not expected to be called", call.Resource)
	}
}

func holders(item attribute) attribute {
	v, _ := item["holders"].(attribute)
	all, _ := v["M"].(attribute)
	return all
}

// entered checks what an update does to the holders.
func (m *model) entered(w *world, after *item, who int) {
	before, now := holders(w.item.attribute), holders(after.attribute)
	switch {
	case len(now) > len(before):
		if len(now) > number(after.attribute["limit"].(attribute)) {
			m.fail(w, fmt.Sprintf("%d enters, then %d have a slot, of a limit of %s", who, len(now), text(after.attribute["limit"])))
		}
		if first := w.item.attribute["queue"].(attribute)["L"].([]any)[0].(attribute)["S"]; first != arn(who) {
			m.fail(w, fmt.Sprintf("%d enters, and %v was first", who, first))
		}
		lot := number(now[arn(who)].(attribute))
		if last := number(w.item.attribute["fence"].(attribute)); lot <= last || number(after.attribute["fence"].(attribute)) != lot {
			m.fail(w, fmt.Sprintf("%d enters, and gets the number %d after %d", who, lot, last))
		}
	case len(now) < len(before):
		for of := range before {
			if _, still := now[of]; still || of == arn(who) {
				continue
			}
			if of := slices.IndexFunc(w.runs, func(l *local) bool { return l != nil && arn(l.who) == of }); w.runs[of].end == nil {
				m.fail(w, fmt.Sprintf("%d takes the slot of %d, which runs", who, of))
			}
		}
	}
}

// inside checks those whose work runs.
func (m *model) inside(w *world) {
	for who, work := range w.work {
		if _, has := holders(w.item.attribute)[arn(who)]; work == "runs" && !has && w.runs[who].end == nil {
			m.fail(w, fmt.Sprintf("the work of %d runs without a slot", who))
		}
	}
}

// settled checks a world in which nothing can happen any more.
func (m *model) settled(w *world) {
	for who, l := range w.runs {
		switch {
		case l == nil:
		case l.end == nil:
			m.fail(w, fmt.Sprintf("%d waits for ever", who))
		case l.end.Event == history.ExecutionSucceeded:
			m.succeeded++
		case l.end.Event == history.ExecutionFailed && who != 1:
			m.fail(w, fmt.Sprintf("%d fails: %s %s", who, l.end.Error, l.end.Cause))
		case l.end.Event == history.ExecutionFailed && l.end.Error != "States.TaskFailed":
			m.fail(w, fmt.Sprintf("%d fails with %s %s, and not with its work's error", who, l.end.Error, l.end.Cause))
		}
	}
	for of := range holders(w.item.attribute) {
		m.lost++
		if who := slices.IndexFunc(w.runs, func(l *local) bool { return l != nil && arn(l.who) == of }); w.runs[who].end.Event != history.ExecutionAborted {
			m.fail(w, fmt.Sprintf("%d has ended, and its slot is not free", who))
		}
	}
}

// wrong is what must not be, and how it came to it.
type wrong string

func (m *model) fail(w *world, what string) {
	panic(wrong(fmt.Sprintf("%s\nafter:\n  %s\n%s", what, strings.Join(m.trail, "\n  "), text(w.item.attribute))))
}

// explore goes through all worlds that follow.
func (m *model) explore(w *world) {
	key := w.key()
	if m.seen[key] {
		return
	}
	m.seen[key] = true
	m.inside(w)
	all := m.moves(w)
	if !slices.ContainsFunc(all, func(mv move) bool { return !mv.idle }) {
		m.settled(w)
	}
	for _, mv := range all {
		m.trail = append(m.trail, mv.what)
		m.explore(mv.to)
		m.trail = m.trail[:len(m.trail)-1]
	}
}

// scenario is how many executions there are for how many slots, and how often what
// can happen: that an execution is stopped, a call or its answer gets lost, somebody
// waits no longer although the time has not come.
type scenario struct {
	executions, limit, stops, faults, early int
	lower                                   bool // the limit, to 1
}

// explored goes through all that can happen in a scenario. It gives what is wrong in
// one of them, "" for nothing.
func (s scenario) explored(t *testing.T, semaphore, sweep []byte) (m *model, what string) {
	t.Helper()
	m = newModel(t, s.executions, 1, s.limit, semaphore, sweep)
	m.mishaps = s.stops+s.faults+s.early > 0
	defer func() {
		if p := recover(); p != nil {
			found, ok := p.(wrong)
			if !ok {
				panic(p)
			}
			what = string(found)
		}
	}()
	m.explore(&world{
		runs: make([]*local, s.executions+1), work: make([]string, s.executions+1), item: m.stored(nil),
		stops: s.stops, faults: s.faults, early: s.early, patience: 8, lower: s.lower,
	})
	return m, ""
}

var scenarios = map[string]scenario{
	"two, and one is stopped":                       {2, 1, 1, 0, 1, false},
	"two, and a call fails or its answer is lost":   {2, 1, 0, 1, 1, false},
	"two, one is stopped, and a call fails":         {2, 1, 1, 1, 0, false},
	"three for one slot":                            {3, 1, 0, 0, 0, false},
	"three for two slots, and the limit is lowered": {3, 2, 0, 0, 0, true},
}

func TestSemaphoreInEveryOrder(t *testing.T) {
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			m, what := s.explored(t, pipelines.Semaphore, pipelines.Sweep)
			if what != "" {
				t.Fatal(what)
			}
			if m.succeeded == 0 || s.stops > 0 && m.lost == 0 {
				t.Error("what the scenario is about has not happened")
			}
			t.Logf("%d worlds of %d states of executions and %d of the item; in those at the end %d executions have succeeded, and %d slots of stopped ones are left", len(m.seen), len(m.locals), len(m.items), m.succeeded, m.lost)
		})
	}
}

// What is wrong in a semaphore is found.
func TestSemaphoreModelFindsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		scenario string
		edits    []string // old, new
		found    string
	}{
		"another limit is another number": {
			"three for two slots, and the limit is lowered",
			[]string{`"#queue[0] = :name AND size(#holders) < #limit"`, `"#queue[0] = :name AND size(#holders) <> #limit"`}, "have a slot, of a limit",
		},
		"one too many":  {"three for one slot", []string{`"#queue[0] = :name AND size(#holders) < #limit"`, `"#queue[0] = :name AND NOT #limit < size(#holders)"`}, "have a slot, of a limit"},
		"no order":      {"three for one slot", []string{`"#queue[0] = :name AND size(#holders) < #limit"`, `"size(#holders) < #limit"`}, "was first"},
		"numbers again": {"three for one slot", []string{`#fence = #fence + :one, #leases`, `#leases`}, "gets the number"},
		"work without a Catch": {
			"three for one slot",
			[]string{`["States.ALL"], "Assign": {"result"`, `["Never"], "Assign": {"result"`, `["States.ALL"], "Assign": {"outcome"`, `["Never"], "Assign": {"outcome"`}, "its slot is not free",
		},
		"a living one is swept away": {"two, and one is stopped", []string{`status = 'RUNNING'`, `status = 'NONE'`}, "which runs"},
		"no slot is swept":           {"two, and one is stopped", []string{`.N) < $toMillis`, `.N) > $toMillis`}, "waits for ever"},
		"waiting before looking":     {"three for one slot", []string{` AND NOT (#queue[0] = :name AND size(#holders) < #limit)`, ``}, "though there is room"},
		"nobody is called":           {"three for one slot", []string{`"Condition": "{% $exists($lookup($states.input.tokens.M,`, `"Condition": "{% false and $exists($lookup($states.input.tokens.M,`}, "though there is room"},
	} {
		t.Run(name, func(t *testing.T) {
			edit := strings.NewReplacer(c.edits...)
			semaphore, sweep := edit.Replace(string(pipelines.Semaphore)), edit.Replace(string(pipelines.Sweep))
			if semaphore == string(pipelines.Semaphore) && sweep == string(pipelines.Sweep) {
				t.Fatal("the edit changes nothing")
			}
			_, what := scenarios[c.scenario].explored(t, []byte(semaphore), []byte(sweep))
			if first, _, _ := strings.Cut(what, "\n"); !strings.Contains(first, c.found) {
				t.Errorf("found %q, expected %q", what, c.found)
			}
		})
	}
}
