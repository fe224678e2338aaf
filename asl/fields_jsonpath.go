package asl

import (
	"time"

	"switchyard/asl/value"
)

// jsonPath is the [Fields] of a state in JSONPath.
type jsonPath struct{ *State }

var _ Fields = jsonPath{}

// input applies InputPath.
func (s jsonPath) input(f *Frame) (value.Value, error) {
	v, err := s.InputPath.Apply(f.see(f.Input))
	if err == nil {
		f.trace(AfterInputPath, v)
	}
	return v, err
}

// Arguments implements [Fields]: InputPath and Parameters.
func (s jsonPath) Arguments(f *Frame) (value.Value, error) {
	v, err := s.input(f)
	if err == nil && s.Parameters != nil {
		v, err = s.Parameters.Eval(f.see(v))
	}
	if err != nil {
		return value.Value{}, err
	}
	if s.Type != TypeMap { // there Parameters is another name of ItemSelector
		f.trace(AfterParameters, v)
	}
	if s.Parameters != nil {
		err = s.refusal("Parameters", v)
	}
	return v, err
}

// Complete implements [Fields]: ResultSelector, ResultPath, Assign, OutputPath.
func (s jsonPath) Complete(f *Frame, result value.Value) (Exit, error) {
	f.trace(Result, result)
	return s.place(f, result)
}

func (s jsonPath) place(f *Frame, result value.Value) (Exit, error) {
	var err error
	if s.ResultSelector != nil {
		if result, err = s.ResultSelector.Eval(f.see(result)); err != nil {
			return Exit{}, err
		}
	}
	f.trace(AfterResultSelector, result)
	output, err := s.ResultPath.Apply(f.Input, result)
	if err != nil {
		return Exit{}, err
	}
	f.trace(AfterResultPath, output)
	return exit(f, result, output, s.Assign, &s.OutputPath)
}

// exit assigns variables, which see seen as $, and applies OutputPath to output.
func exit(f *Frame, seen, output value.Value, assign *Assignment, path *Filter) (x Exit, err error) {
	if assign != nil {
		err := assign.Eval(f.see(seen), func(name string, v value.Value) {
			x.Assigned = append(x.Assigned, Binding{name, v})
		})
		if err != nil {
			return Exit{}, err
		}
	}
	x.Output, err = path.Apply(f.see(output))
	return x, err
}

var whole Filter

// Catch implements [Fields].
func (s jsonPath) Catch(f *Frame, c *Catcher, failure *Error) (Exit, error) {
	caught := value.OfObject(
		value.Field{Key: "Error", Value: value.OfString(failure.Name)},
		value.Field{Key: "Cause", Value: value.OfString(failure.Cause)},
	)
	output, err := c.ResultPath.Apply(f.Input, caught)
	if err != nil {
		return Exit{}, err
	}
	return exit(f, caught, output, c.Assign, &whole)
}

// Pass implements [Fields].
func (s jsonPath) Pass(f *Frame) (Exit, error) {
	if !s.State.Pass.HasResult {
		v, err := s.Arguments(f)
		if err != nil {
			return Exit{}, err
		}
		return s.place(f, v)
	}
	silent := Frame{Input: f.Input, Scope: f.Scope} // AWS shows nothing of what Result replaces
	if _, err := s.Arguments(&silent); err != nil {
		return Exit{}, err
	}
	return s.Complete(f, s.State.Pass.Result)
}

// Leave implements [Fields].
func (s jsonPath) Leave(f *Frame) (Exit, error) {
	v, err := s.input(f)
	if err != nil {
		return Exit{}, err
	}
	return exit(f, v, v, s.Assign, &s.OutputPath)
}

// Choose implements [Fields].
func (s jsonPath) Choose(f *Frame) (*State, Exit, error) {
	v, err := s.input(f)
	if err != nil {
		return nil, Exit{}, err
	}
	next, assign := s.Choice.Default, s.Assign
	rule, err := s.Choice.Choose(f.see(v))
	if err != nil {
		return nil, Exit{}, err
	}
	if rule != nil {
		next, assign = rule.Next, rule.Assign
	}
	if next == nil {
		return nil, Exit{}, noChoice()
	}
	x, err := exit(f, v, v, assign, &s.OutputPath)
	return next, x, err
}

// noChoice is the error of a Choice without a rule that matches or a Default.
func noChoice() error {
	return &Error{Name: ErrNoChoiceMatched, Cause: "Failed to transition out of the state. The state does not point to a next state."}
}

// Failure implements [Fields]. A Fail state has neither InputPath nor Parameters.
func (s jsonPath) Failure(f *Frame) (*Error, error) {
	f.trace(AfterInputPath, f.Input)
	name, cause, err := s.Fail.Outcome(f.see(f.Input))
	return &Error{Name: name, Cause: cause}, err
}

// Until implements [Fields].
func (s jsonPath) Until(f *Frame, entered time.Time) (time.Time, error) {
	v, err := s.input(f)
	if err != nil {
		return time.Time{}, err
	}
	return s.Wait.Until(f.see(v), entered)
}

// Limits implements [Fields]. Their paths see the input as it came.
func (s jsonPath) Limits(f *Frame) (timeout, heartbeat time.Duration, err error) {
	sc := f.see(f.Input)
	if s.Task.Timeout != nil {
		if timeout, err = s.Task.Timeout.Eval(sc); err != nil {
			return 0, 0, err
		}
	}
	if s.Task.Heartbeat != nil {
		heartbeat, err = s.Task.Heartbeat.Eval(sc)
	}
	return timeout, heartbeat, err
}

// Iterations implements [Fields].
func (s jsonPath) Iterations(f *Frame) (it Iterations, err error) {
	if it.Input, err = s.input(f); err != nil {
		return it, err
	}
	sc := f.see(it.Input)
	if it.MaxConcurrency, err = s.Map.MaxConcurrency(sc); err != nil || s.Map.ItemReader != nil {
		return it, err
	}
	it.Items, err = s.Map.Items(sc)
	return it, err
}

// Iteration implements [Fields].
func (s jsonPath) Iteration(f *Frame, of, item value.Value) (value.Value, error) {
	if s.Map.ItemSelector == nil {
		return item, nil
	}
	return s.Map.ItemSelector.Eval(f.see(of))
}

// Distribution implements [Fields].
func (s jsonPath) Distribution(f *Frame, of value.Value) (d Distribution, err error) {
	sc := f.see(of)
	if d.Tolerance, err = s.Map.Tolerance(sc); err != nil {
		return d, err
	}
	if r := s.Map.ItemReader; r != nil {
		if d.ReaderParameters, err = orEmpty(sc, r.Parameters); err != nil {
			return d, err
		}
		if d.MaxItems, err = r.Config.MaxItems(sc); err != nil {
			return d, err
		}
	}
	if b := s.Map.ItemBatcher; b != nil {
		if d.Batching, err = b.batching(sc); err != nil {
			return d, err
		}
	}
	w := s.Map.ResultWriter
	var params value.Value
	if w != nil {
		if params, err = orEmpty(sc, w.Parameters); err != nil {
			return d, err
		}
	}
	d.Writing, err = w.writing(params)
	return d, err
}

// orEmpty gives the parameters, {} when there are none.
func orEmpty(sc *Scope, e Expression) (value.Value, error) {
	if e == nil {
		return value.EmptyObject, nil
	}
	return e.Eval(sc)
}

func (b *ItemBatcher) batching(sc *Scope) (*Batching, error) {
	out := &Batching{MaxBytes: MaxData}
	var err error
	if out.MaxItems, err = b.MaxItems(sc); err != nil {
		return nil, err
	}
	n, err := b.MaxBytes(sc)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		out.MaxBytes = min(n, MaxData)
	}
	if b.BatchInput != nil {
		out.HasInput = true
		out.Input, err = b.BatchInput.Eval(sc)
	}
	return out, err
}
