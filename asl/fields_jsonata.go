package asl

import (
	"time"

	"switchyard/asl/value"
)

// exits are the fields by which a state in JSONata, a choice or a catcher is
// left; each is nil when absent.
type exits struct {
	output query
	assign []assigned
}

type assigned struct {
	name string
	q    query
}

// leave evaluates Assign and Output; without Output the output is other.
func (x *exits) leave(s sight, other value.Value) (out Exit, err error) {
	for _, a := range x.assign {
		v, err := a.q.see(s)
		if err != nil {
			return Exit{}, err
		}
		out.Assigned = append(out.Assigned, Binding{a.name, v})
	}
	out.Output = other
	if x.output != nil {
		out.Output, err = x.output.see(s)
	}
	return out, err
}

// jsonataFields is the [Fields] of a state in JSONata. What is nil is absent.
type jsonataFields struct {
	*State
	exits
	choices []exits // of the Choice's rules
	catches []exits

	arguments query // of a Task, a Parallel

	timeout, heartbeat query
	seconds, timestamp query
	failError, cause   query

	items, selector            query
	concurrency                query
	toleratedCount, percentage query
	reader, maxItems           query
	batch, maxBatch, maxBytes  query
	hasBatcher                 bool
	writer                     query
}

var _ Fields = (*jsonataFields)(nil)

// sees is what the fields see while the state runs.
func (s *jsonataFields) sees(f *Frame) sight { return sight{Scope: f.see(f.Input), now: f.Now} }

// seesMore is sees with something more in $states.
func (s *jsonataFields) seesMore(f *Frame, extra string, v value.Value) sight {
	return sight{Scope: f.see(f.Input), now: f.Now, extra: extra, value: v}
}

// Arguments implements [Fields].
func (s *jsonataFields) Arguments(f *Frame) (value.Value, error) {
	if s.arguments == nil {
		return f.Input, nil
	}
	v, err := s.arguments.see(s.sees(f))
	if err != nil {
		return value.Value{}, err
	}
	f.trace(AfterArguments, v)
	return v, s.refusal("Arguments", v)
}

// Complete implements [Fields].
func (s *jsonataFields) Complete(f *Frame, result value.Value) (Exit, error) {
	f.trace(Result, result)
	return s.leave(s.seesMore(f, "result", result), result)
}

// Catch implements [Fields].
func (s *jsonataFields) Catch(f *Frame, c *Catcher, failure *Error) (Exit, error) {
	caught := value.OfObject(
		value.Field{Key: "Error", Value: value.OfString(failure.Name)},
		value.Field{Key: "Cause", Value: value.OfString(failure.Cause)},
	)
	for i := range s.State.Catch {
		if c == &s.State.Catch[i] {
			return s.catches[i].leave(s.seesMore(f, "errorOutput", caught), caught)
		}
	}
	return Exit{Output: caught}, nil
}

// Pass implements [Fields].
func (s *jsonataFields) Pass(f *Frame) (Exit, error) { return s.leave(s.sees(f), f.Input) }

// Leave implements [Fields].
func (s *jsonataFields) Leave(f *Frame) (Exit, error) { return s.leave(s.sees(f), f.Input) }

// Choose implements [Fields].
func (s *jsonataFields) Choose(f *Frame) (*State, Exit, error) {
	next, way := s.Choice.Default, &s.exits
	for i := range s.Choice.Rules {
		holds, err := s.Choice.Rules[i].Condition.(jsonataCondition).holds(s.sees(f))
		if err != nil {
			return nil, Exit{}, err
		}
		if holds {
			next, way = s.Choice.Rules[i].Next, &s.choices[i]
			break
		}
	}
	if next == nil {
		return nil, Exit{}, noChoice()
	}
	if way.output == nil && way.assign == nil {
		return next, Exit{Output: f.Input}, nil
	}
	x, err := way.leave(s.sees(f), f.Input)
	return next, x, err
}

// Failure implements [Fields].
func (s *jsonataFields) Failure(f *Frame) (*Error, error) {
	failure := &Error{}
	for _, part := range []struct {
		q  query
		to *string
	}{{s.failError, &failure.Name}, {s.cause, &failure.Cause}} {
		if part.q == nil {
			continue
		}
		v, err := typed(part.q, s.sees(f), value.String)
		if err != nil {
			return nil, err
		}
		*part.to, _ = v.Str()
	}
	return failure, nil
}

// Until implements [Fields].
func (s *jsonataFields) Until(f *Frame, entered time.Time) (time.Time, error) {
	if s.timestamp == nil {
		n, err := integer(s.seconds, s.sees(f), 0, maxSeconds)
		return entered.Add(time.Duration(n) * time.Second), err
	}
	v, err := typed(s.timestamp, s.sees(f), value.String)
	if err != nil {
		return time.Time{}, err
	}
	text, _ := v.Str()
	t, ok := ParseTimestamp(text)
	if !ok {
		return time.Time{}, evaluationError("Timestamp", "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: %s", text)
	}
	return t, nil
}

// Limits implements [Fields].
func (s *jsonataFields) Limits(f *Frame) (timeout, heartbeat time.Duration, err error) {
	if s.timeout != nil {
		n, err := integer(s.timeout, s.sees(f), 1, maxSeconds)
		if err != nil {
			return 0, 0, err
		}
		timeout = time.Duration(n) * time.Second
	}
	if s.heartbeat != nil {
		n, err := integer(s.heartbeat, s.sees(f), 1, maxSeconds)
		if err != nil {
			return 0, 0, err
		}
		heartbeat = time.Duration(n) * time.Second
	}
	return timeout, heartbeat, nil
}

// Iterations implements [Fields]. It gives the same for the same frame: the
// items of a Map are not stored, but evaluated again after a restart.
func (s *jsonataFields) Iterations(f *Frame) (it Iterations, err error) {
	it.Input = f.Input
	sees := s.sees(f.Repeatable(0))
	if s.concurrency != nil {
		if it.MaxConcurrency, err = integer(s.concurrency, sees, 0, maxSeconds); err != nil {
			return it, err
		}
	}
	if s.Map.ItemReader != nil {
		return it, nil
	}
	items := f.Input
	if s.items != nil {
		if items, err = typed(s.items, sees, value.Array); err != nil {
			return it, err
		}
	}
	if items.Kind() != value.Array {
		return it, evaluationError("", "Map state input must be an array but was: %s", items.JSON())
	}
	it.Items = items.Slice()
	return it, nil
}

// Iteration implements [Fields].
func (s *jsonataFields) Iteration(f *Frame, _, item value.Value) (value.Value, error) {
	if s.selector == nil {
		return item, nil
	}
	return s.selector.see(s.sees(f))
}

// Distribution implements [Fields].
func (s *jsonataFields) Distribution(f *Frame, _ value.Value) (d Distribution, err error) {
	sees := s.sees(f)
	if d.Tolerance, err = s.tolerance(sees); err != nil {
		return d, err
	}
	if d.ReaderParameters, err = orNone(s.reader, sees); err != nil {
		return d, err
	}
	if s.maxItems != nil {
		if d.MaxItems, err = integer(s.maxItems, sees, 0, maxReaderItems); err != nil {
			return d, err
		}
	}
	if s.hasBatcher {
		if d.Batching, err = s.batching(sees); err != nil {
			return d, err
		}
	}
	params, err := orNone(s.writer, sees)
	if err != nil {
		return d, err
	}
	d.Writing, err = s.Map.ResultWriter.writing(params)
	return d, err
}

// orNone gives arguments, {} when there are none.
func orNone(q query, s sight) (value.Value, error) {
	if q == nil {
		return value.EmptyObject, nil
	}
	return q.see(s)
}

func (s *jsonataFields) tolerance(sees sight) (t Tolerance, err error) {
	if s.toleratedCount != nil {
		t.hasCount = true
		if t.count, err = integer(s.toleratedCount, sees, 0, maxCount); err != nil {
			return t, err
		}
	}
	if s.percentage == nil {
		return t, nil
	}
	v, err := typed(s.percentage, sees, value.Number)
	if err != nil {
		return t, err
	}
	t.hasPercentage = true
	t.percentage, _ = v.Float()
	if e, ok := s.percentage.(*jsonataExpr); ok && (t.percentage < 0 || t.percentage > 100) {
		return t, e.fail("returned a value that is not a percentage from 0 to 100: %s", v.JSON())
	}
	return t, nil
}

func (s *jsonataFields) batching(sees sight) (b *Batching, err error) {
	b = &Batching{MaxBytes: MaxData}
	if s.maxBatch != nil {
		if b.MaxItems, err = integer(s.maxBatch, sees, 1, maxCount); err != nil {
			return nil, err
		}
	}
	if s.maxBytes != nil {
		if b.MaxBytes, err = integer(s.maxBytes, sees, 1, MaxData); err != nil {
			return nil, err
		}
	}
	if s.batch != nil {
		b.HasInput = true
		b.Input, err = s.batch.see(sees)
	}
	return b, err
}
