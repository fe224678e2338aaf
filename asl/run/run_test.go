package run

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

const resource = "arn:aws:lambda:us-east-1:123456789012:function:f"

func environment() *Environment {
	return &Environment{
		Names: arns.New("us-east-1", "123456789012"), Region: "us-east-1", MaxHistory: history.MaxEvents, MapConcurrency: 40, FlushEvents: 1000,
		Random: func() float64 { return 0.5 }, UUID: func() string { return "11111111-2222-4333-8444-555555555555" },
		Token: func(r TaskRef) string { return fmt.Sprintf("token of %d", r.Branch) },
		Work: func(resource string) (Worker, error) {
			switch {
			case strings.Contains(resource, ":activity:"):
				return ByActivity, nil
			case StartsExecution(resource):
				return ByExecution, nil
			default:
				return ByHandler, nil
			}
		},
	}
}

func about(t testing.TB, input string) About {
	t.Helper()
	v, err := value.ParseString(input)
	if err != nil {
		t.Fatal(err)
	}
	return About{ID: 1, Machine: "m", Name: "x", ARN: "arn:aws:states:us-east-1:123456789012:execution:m:x", Input: v, Started: 1000, TimesOut: Never}
}

func program(t testing.TB, definition string) *Program {
	t.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return NewProgram(m)
}

// happening is what comes to an execution at a time. The attempt and the token
// are filled in from the effects so far.
type happening struct {
	at   int64
	what Message
	want string // the events, effects and end that follow, and when it wants to be looked at
}

// told is a step in one line.
func told(t testing.TB, s *Step) string {
	t.Helper()
	var words []string
	events, err := history.Decode(s.Events)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		words = append(words, ev.Type.String())
	}
	for _, e := range s.Effects {
		word := strings.TrimPrefix(fmt.Sprintf("%T", e), "run.")
		if r, ok := e.(Reply); ok {
			word += fmt.Sprintf("(%v)", r.Accepted)
		}
		words = append(words, word)
	}
	switch {
	case s.End != nil:
		words = append(words, fmt.Sprintf("end %s%s%s", s.End.Output, s.End.Error, s.End.Cause))
	case s.Due != Never:
		words = append(words, fmt.Sprintf("due %d", s.Due))
	}
	return strings.Join(words, " ")
}

func task(fields string) string {
	return `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + resource + `","End":true` + fields + `}}}`
}

func TestAdvance(t *testing.T) {
	for name, c := range map[string]struct {
		definition, input string
		happenings        []happening
	}{
		"pass": {`{"StartAt":"P","States":{"P":{"Type":"Pass","Result":7,"End":true}}}`, `{}`, []happening{
			{1000, nil, "PassStateEntered PassStateExited ExecutionSucceeded end 7"},
		}},
		"wait": {`{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":5,"End":true}}}`, `{}`, []happening{
			{1000, nil, "WaitStateEntered due 6000"},
			{5999, Tick{}, "due 6000"},
			{6000, Tick{}, "WaitStateExited ExecutionSucceeded end {}"},
		}},
		"task": {task(""), `[1]`, []happening{
			{1000, nil, "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted StartTask"},
			{1500, TaskEnded{Branch: 1, Attempt: 7, Output: []byte(`2`)}, ""}, // not the one that runs
			{2000, TaskEnded{Branch: 1, Attempt: 1, Output: []byte(`2`)}, "LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded TaskStored end 2"},
		}},
		"retry": {task(`,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":2,"MaxAttempts":1}]`), `{}`, []happening{
			{1000, nil, "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted StartTask"},
			{2000, TaskEnded{Branch: 1, Attempt: 1, Failure: &asl.Error{Name: "E"}}, "LambdaFunctionFailed TaskStored due 4000"},
			{4000, Tick{}, "LambdaFunctionScheduled LambdaFunctionStarted StartTask"},
			{5000, TaskEnded{Branch: 1, Attempt: 2, Failure: &asl.Error{Name: "E", Cause: "!"}}, "LambdaFunctionFailed ExecutionFailed TaskStored end E!"},
		}},
		"silent task": {task(`,"TimeoutSeconds":60,"HeartbeatSeconds":10`), `{}`, []happening{
			{1000, nil, "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted StartTask due 11000"},
			{11000, Tick{Beats: map[int64]int64{1: 9000}}, "due 19000"},
			{19000, Tick{Beats: map[int64]int64{1: 9000}}, "LambdaFunctionTimedOut ExecutionFailed AbandonTask end States.HeartbeatTimeout"},
		}},
		"stop": {task(""), `{}`, []happening{
			{1000, nil, "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted StartTask"},
			{2000, Stop{Error: "E", Cause: "!"}, "ExecutionAborted AbandonTask end E!"},
		}},
		"one branch fails": {`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Catch":[{"ErrorEquals":["E"],"Next":"S"}],"Branches":[
			{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}},{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":9,"End":true}}}]},"S":{"Type":"Succeed"}}}`, `{}`, []happening{
			{1000, nil, "ParallelStateEntered ParallelStateStarted FailStateEntered ParallelStateFailed ParallelStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded " + `end {"Error":"E","Cause":""}`},
		}},
		"activity": {strings.ReplaceAll(task(`,"HeartbeatSeconds":10`), resource, "arn:aws:states:us-east-1:123456789012:activity:a"), `{}`, []happening{
			{1000, nil, "TaskStateEntered ActivityScheduled EnqueueTask"},
			{2000, &TakeTask{QueuedTask: QueuedTask{Key: "other", Branch: 1}}, "Reply(false)"},
			{3000, &TakeTask{QueuedTask: QueuedTask{Key: "a/0000000001000-00000000001-000000001", Branch: 1}}, "ActivityStarted DequeueTask Reply(true) due 13000"},
			{4000, &TokenUse{Ref: TaskRef{Exec: 1, Branch: 1, Entered: 2, At: 1000}, Beat: true}, "Reply(true) due 14000"},
			{5000, &TokenUse{Ref: TaskRef{Exec: 1, Branch: 1, Entered: 2, Attempt: 1, At: 1000}, Beat: true}, "Reply(false) due 14000"},
			{6000, &TokenUse{Ref: TaskRef{Exec: 1, Branch: 1, Entered: 2, At: 1000}, Output: value.OfInt(3)}, "ActivitySucceeded TaskStateExited ExecutionSucceeded Reply(true) end 3"},
		}},
		"another execution": {strings.ReplaceAll(task(`,"Parameters":{"StateMachineArn":"a","Input":{}}`), resource, StartExecution+".sync:2"), `{}`, []happening{
			{1000, nil, "TaskStateEntered TaskScheduled TaskStarted StartTask"},
			{2000, TaskEnded{Branch: 1, Attempt: 1, Output: []byte(`{"ExecutionArn":"c"}`)}, "TaskSubmitted TaskStored LookAtChild"},
			{3000, ChildSeen{Branch: 1, ARN: "c", LookAgain: 1000}, "due 4000"},
			{4000, Tick{}, "LookAtChild"},
			{5000, ChildSeen{Branch: 1, ARN: "c", Ended: &EndedChild{Succeeded: true, Parsed: value.OfInt(4)}}, "TaskSucceeded TaskStateExited ExecutionSucceeded end 4"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			prog, env := program(t, c.definition), environment()
			x := New(about(t, c.input), prog, env)
			for _, h := range c.happenings {
				var messages []Message
				if h.what != nil {
					messages = append(messages, h.what)
				}
				if got := told(t, x.Advance(Time{Now: h.at}, messages...)); got != h.want {
					t.Errorf("at %d: %s\nwant    %s", h.at, got, h.want)
				}
			}
		})
	}
}

// records keeps what steps put and drop.
type records map[int64]Record

func (r records) apply(s *Step) {
	for _, rec := range s.Put {
		r[rec.ID] = Record{rec.ID, append([]byte(nil), rec.Body...)}
	}
	for _, id := range s.Drop {
		delete(r, id)
	}
}

func (r records) list() []Record {
	var all []Record
	for id := int64(1); len(all) < len(r); id++ {
		if rec, ok := r[id]; ok {
			all = append(all, rec)
		}
	}
	return all
}

const branchy = `{"StartAt":"P","States":{"P":{"Type":"Parallel","Assign":{"v":1},"Next":"M","Branches":[
	{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + resource + `","Retry":[{"ErrorEquals":["E"],"IntervalSeconds":1}],"End":true}}},
	{"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":3,"Next":"C"},"C":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericEquals":1,"Next":"D"}]},"D":{"Type":"Pass","End":true}}}]},
	"M":{"Type":"Map","MaxConcurrency":1,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"` + resource + `","Catch":[{"ErrorEquals":["States.ALL"],"Next":"J"}],"End":true},"J":{"Type":"Pass","Result":"caught","End":true}}},"End":true}}}`

// script is what happens to branchy: how the tasks end, in the order in which
// they start.
var script = []TaskEnded{{Failure: &asl.Error{Name: "E", Cause: "no"}}, {Output: []byte(`5`)}, {Output: []byte(`6`)}, {Failure: &asl.Error{Name: "F"}}}

// recorded runs branchy to its end, restored from its records before every step
// when restarts is set, and returns its history.
func recorded(t *testing.T, restarts bool) ([]history.Event, string) {
	t.Helper()
	prog, env, who := program(t, branchy), environment(), about(t, `{"n":1}`)
	x, kept, last := New(who, prog, env), records{}, int64(1)
	var (
		events   []history.Event
		running  []StartTask
		done     int
		messages []Message
		now      = int64(1000)
	)
	for range 100 {
		s := x.Advance(Time{Now: now}, messages...)
		found, err := history.Decode(s.Events)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, found...)
		for _, e := range s.Effects {
			if start, ok := e.(StartTask); ok {
				running = append(running, start)
			}
		}
		if s.End != nil {
			return events, string(s.End.Output)
		}
		kept.apply(s)
		last = max(last, s.Events.Last)
		if restarts && len(running) == 0 {
			if x, err = Restore(who, prog, env, kept.list(), last, Time{Now: now}); err != nil {
				t.Fatal(err)
			}
		}
		if now += 500; len(running) > 0 {
			m := script[done]
			m.Branch, m.Attempt = running[0].Branch, running[0].Attempt
			done, running, messages = done+1, running[1:], []Message{m}
		} else {
			messages = []Message{Tick{}}
		}
	}
	t.Fatal("it does not end")
	return nil, ""
}

func TestRestoredExecutionGoesOnAsIfNothingHadBeen(t *testing.T) {
	want, output := recorded(t, false)
	got, again := recorded(t, true)
	if output != again || len(got) != len(want) {
		t.Fatalf("%d events and %s, without restarts %d and %s", len(got), again, len(want), output)
	}
	for i := range want {
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Errorf("event %d is %v, without restarts %v", want[i].ID, got[i], want[i])
		}
	}
}

// A history says everything that came from outside and when: an execution that
// is told the same writes the same history.
func TestHistoryIsReplayed(t *testing.T) {
	want, output := recorded(t, false)
	x := New(about(t, `{"n":1}`), program(t, branchy), environment())
	var (
		got     []history.Event
		running = map[int64]StartTask{} // by the event that entered the state
		end     *End
	)
	advance := func(now int64, messages ...Message) {
		s := x.Advance(Time{Now: now}, messages...)
		found, err := history.Decode(s.Events)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, found...)
		for _, e := range s.Effects {
			if start, ok := e.(StartTask); ok {
				running[x.branches[start.Branch].entered] = start
			}
		}
		end = s.End
	}
	owner := map[int64]int64{} // the event that entered the state an event belongs to
	advance(want[0].Time)
	for i := range want {
		ev := &want[i]
		if owner[ev.ID] = owner[ev.Prev]; strings.HasSuffix(ev.Type.String(), "StateEntered") {
			owner[ev.ID] = ev.ID
		}
		if i < len(got) {
			continue // it has followed from what came before
		}
		start := running[owner[ev.ID]]
		switch ev.Type {
		case history.LambdaFunctionSucceeded:
			advance(ev.Time, TaskEnded{Branch: start.Branch, Attempt: start.Attempt, Output: []byte(ev.Data)})
		case history.LambdaFunctionFailed:
			advance(ev.Time, TaskEnded{Branch: start.Branch, Attempt: start.Attempt, Failure: &asl.Error{Name: ev.Error, Cause: ev.Cause}})
		default:
			advance(ev.Time, Tick{})
		}
	}
	if end == nil || string(end.Output) != output {
		t.Fatalf("it ended with %+v, recorded was %s", end, output)
	}
	for i := range want {
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Errorf("event %d is %v, recorded was %v", want[i].ID, got[i], want[i])
		}
	}
}

func FuzzRestore(f *testing.F) {
	prog, env := program(f, branchy), environment()
	x := New(about(f, `{"n":1}`), prog, env)
	kept := records{}
	kept.apply(x.Advance(Time{Now: 1000}))
	for _, r := range kept.list() {
		f.Add(r.Body, int64(1))
	}
	f.Fuzz(func(t *testing.T, body []byte, id int64) {
		_, err := Restore(about(t, `{"n":1}`), prog, env, []Record{{ID: id, Body: body}}, 5, Time{Now: 2000})
		if err != nil && id == rootID && !errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "state") {
			t.Fatal(err)
		}
	})
}

// What a Parallel has stored of its branches goes with it, also of the one that
// ends it: a restart would not know whose that is.
func TestRecordsOfBranchesGoWithThem(t *testing.T) {
	const definition = `{"StartAt":"P","States":{"P":{"Type":"Parallel","Next":"W","Branches":[
		{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + resource + `","End":true}}},
		{"StartAt":"B","States":{"B":{"Type":"Task","Resource":"` + resource + `","End":true}}}]},
		"W":{"Type":"Wait","Seconds":3600,"End":true}}}`
	prog, env, who := program(t, definition), environment(), about(t, `{}`)
	x, kept := New(who, prog, env), records{}
	s := x.Advance(Time{Now: 1000})
	kept.apply(s)
	var running []StartTask
	for _, e := range s.Effects {
		if start, ok := e.(StartTask); ok {
			running = append(running, start)
		}
	}
	last := s.Events.Last
	for i, task := range running {
		s = x.Advance(Time{Now: 2000 + int64(i)}, TaskEnded{Branch: task.Branch, Attempt: task.Attempt, Output: []byte(`1`)})
		kept.apply(s)
		last = max(last, s.Events.Last)
	}
	if len(running) != 2 || len(kept) != 1 {
		t.Errorf("%d tasks have ended, and left are %d records", len(running), len(kept))
	}
	if _, err := Restore(who, prog, env, kept.list(), last, Time{Now: 3000}); err != nil {
		t.Error(err)
	}
}
