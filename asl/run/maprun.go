package run

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// MapFrame is what the ItemSelector of a distributed Map sees beside the item.
// Entered and Seed are as in [asl.Frame].
type MapFrame struct {
	Input, Context, Variables value.Value
	Entered                   time.Time
	Seed                      uint64
}

// redriven is a Map run with which a redrive of its execution goes on. The zero
// value is none: the state makes a run of its own.
type redriven struct {
	key     string // the Machine of the run's children
	started int64  // when the run began, in Unix milliseconds
	count   int    // how often it was redriven
	at      int64  // when it was last redriven, in Unix milliseconds
}

func (r *redriven) is() bool { return r.key != "" }

// maxMapRunRedrives is how often a Map run can be redriven.
// Source: Step Functions developer guide, "Redriving Map Runs".
const maxMapRunRedrives = 1000

// mapWork evaluates the Map state's fields but for those that are looked at
// after the first event. The run is one of before, if there is one.
func (x *Execution) mapWork(b *branch, before *redriven) (w *MapWork, err error) {
	w = &MapWork{State: b.state, Redrives: before.count, Redriven: before.at}
	if w.ID, w.Key = x.mapRunID(b); before.is() {
		w.ID, w.Key = arns.MapRunID(before.key), before.key
	}
	f := x.frameOf(b)
	if w.Iterations, err = b.state.Fields.Iterations(f); err != nil {
		return nil, err
	}
	w.Frame = MapFrame{Input: b.input, Context: x.contextObject(b), Variables: b.vars, Entered: f.Entered, Seed: f.Seed}
	return w, nil
}

// distribute evaluates the fields that only a distributed Map has. Batches and
// the names of objects have to be the same again after a restart.
func (x *Execution) distribute(b *branch, w *MapWork) (err error) {
	w.Distribution, err = b.state.Fields.Distribution(x.frameOf(b).Repeatable(0), w.Input)
	return err
}

// startMapRun begins the run of a distributed Map.
func (x *Execution) startMapRun(b *branch) error {
	w, err := x.mapWork(b, &redriven{})
	if err != nil {
		return err
	}
	x.follow(b, &history.Event{Type: history.MapStateStarted, Has: history.HasLength, Length: int64(len(w.Items))})
	if err := x.distribute(b, w); err != nil {
		return err
	}
	d := &mapping{started: x.now()}
	b.doing = d
	x.mark(b)
	x.follow(b, &history.Event{Type: history.MapRunStarted, Has: history.HasARN, ARN: x.env.Names.MapRun(w.Key)})
	d.attempt = x.begun(b)
	x.effect(StartMapRun{Branch: b.id, Attempt: d.attempt, Work: w, State: b.state.Name, Started: d.started})
	return nil
}

// redriveMapRun goes on with a run that had ended before a redrive.
func (x *Execution) redriveMapRun(b *branch, r redriven) {
	r.count++
	r.at = x.now()
	if r.count > maxMapRunRedrives {
		x.stateFailed(b, located(b, &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The Map Run cannot be redriven more than %d times.", maxMapRunRedrives)}))
		return
	}
	w, err := x.redistribute(b, &r)
	if err != nil {
		x.stateFailed(b, located(b, err))
		return
	}
	d := &mapping{started: r.started, run: r}
	b.doing = d
	x.mark(b)
	x.follow(b, &history.Event{Type: history.MapRunRedriven, Has: history.HasARN | history.HasLength, ARN: x.env.Names.MapRun(w.Key), Length: int64(r.count)})
	d.attempt = x.begun(b)
	x.effect(StartMapRun{Branch: b.id, Attempt: d.attempt, Work: w, State: b.state.Name, Started: d.started})
}

// redistribute evaluates all fields of a run that has begun before.
func (x *Execution) redistribute(b *branch, before *redriven) (*MapWork, error) {
	w, err := x.mapWork(b, before)
	if err == nil {
		err = x.distribute(b, w)
	}
	return w, err
}

// resumeMapRun goes on with a run that an earlier process began.
func (x *Execution) resumeMapRun(b *branch, d *mapping) {
	w, err := x.redistribute(b, &d.run)
	if err != nil {
		x.stateFailed(b, located(b, err))
		return
	}
	d.attempt = x.begun(b)
	x.effect(StartMapRun{Branch: b.id, Attempt: d.attempt, Work: w, State: b.state.Name, Started: d.started, Restored: true})
}

// mapRunEnded goes on with a distributed Map state whose run is over.
func (x *Execution) mapRunEnded(m *MapRunEnded) {
	b := x.branches[m.Branch]
	if b == nil || x.step.End != nil {
		return
	}
	d, ok := b.doing.(*mapping)
	if _, is := x.working[b.id]; !ok || !is || d.attempt != m.Attempt {
		return
	}
	if m.Failure != nil && x.terminated() {
		return // it failed because its children were terminated, too
	}
	delete(x.working, b.id)
	b.due = 0
	x.effect(EndMapRun{Attempt: m.Attempt, Failed: m.Failure != nil, At: x.now()})
	if failure := m.Failure; failure != nil {
		if failure.Name != asl.ErrExceedToleratedThreshold {
			failure = located(b, failure)
		}
		x.follow(b, &history.Event{Type: history.MapRunFailed, Has: history.HasError | history.HasCause, Error: failure.Name, Cause: failure.Cause})
		x.stateFailed(b, failure)
		return
	}
	// What follows the state follows the start of its run, as in the latest
	// recordings of AWS.
	started := b.prev
	x.follow(b, &history.Event{Type: history.MapRunSucceeded})
	x.record(b, &history.Event{Type: history.MapStateSucceeded})
	b.prev = started
	b.doing = nil
	result, err := value.Parse(m.Output)
	if err != nil {
		x.stateFailed(b, located(b, err))
		return
	}
	x.complete(b, result)
}

// abortMapRun says that nobody waits for the run of b any more, if it has one.
func (x *Execution) abortMapRun(b *branch) {
	d, ok := b.doing.(*mapping)
	if _, is := x.working[b.id]; !ok || !is {
		return
	}
	x.follow(b, &history.Event{Type: history.MapRunAborted})
	x.effect(EndMapRun{Attempt: d.attempt, Aborted: true, At: x.now()})
}

// mapRunID gives the ID of the run that a distributed Map state is about to
// make or has made, and the Machine of its children. Both follow from where the
// branch is.
func (x *Execution) mapRunID(b *branch) (id, key string) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d", x.tag(), b.id, b.entered, b.attempt))
	digits := fmt.Sprintf("%09x%s", x.about.ID, hex.EncodeToString(sum[:])[:11])
	id = digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-000000000000"
	return id, arns.BaseMachine(x.about.Machine) + "/" + mapLabel(b.state) + ":" + id
}

// mapLabel is the state's Label, or its name where that can be one.
func mapLabel(s *asl.State) string {
	switch {
	case s.Map.Label != "":
		return s.Map.Label
	case len(s.Name) <= 40 && !strings.ContainsAny(s.Name, "?*<>{}[]:;,\\|^~$#%&`\"/ \t\r\n"):
		return s.Name
	}
	sum := sha256.Sum256([]byte(s.Name))
	return hex.EncodeToString(sum[:16])
}
