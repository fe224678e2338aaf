package asl

import (
	"errors"
	"time"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// maxSeconds is AWS's limit on TimeoutSeconds, HeartbeatSeconds and Seconds.
const maxSeconds = 99999999

// intField is an integer that stands in the definition or is found by a path
// when the state runs.
type intField struct {
	name string // of the field without Path
	n    int64
	path Expression // nil for a constant
}

// eval gives the integer; the error has AWS's text.
func (f *intField) eval(sc *Scope) (int64, error) {
	if f.path == nil {
		return f.n, nil
	}
	v, err := f.path.Eval(sc)
	if err != nil {
		return 0, err
	}
	if n, ok := integral(v); ok {
		return n, nil
	}
	return 0, runtimeError("The %sPath field refers to value \"%s\" which is not a valid integer: %s", f.name, bare(v), f.path)
}

// integral takes an integer, or a text that spells one: AWS does.
func integral(v value.Value) (int64, bool) {
	if s, ok := v.Str(); ok {
		n, err := value.ParseString(s)
		if err != nil {
			return 0, false
		}
		v = n
	}
	return v.Int()
}

// floatField is a number that stands in the definition or is found by a path.
type floatField struct {
	name string
	f    float64
	path Expression
}

func (f *floatField) eval(sc *Scope) (float64, error) {
	if f.path == nil {
		return f.f, nil
	}
	v, err := f.path.Eval(sc)
	if err != nil {
		return 0, err
	}
	n := v
	if s, ok := v.Str(); ok {
		if n, err = value.ParseString(s); err != nil {
			n = value.Value{}
		}
	}
	if x, ok := n.Float(); ok {
		return x, nil
	}
	return 0, runtimeError("The %sPath field refers to value \"%s\" which is not a valid float: %s", f.name, bare(v), f.path)
}

// Seconds is a limit of a Task state.
type Seconds struct{ intField }

// Eval gives the limit; it is positive.
func (s *Seconds) Eval(sc *Scope) (time.Duration, error) {
	n, err := s.eval(sc)
	if err != nil {
		return 0, err
	}
	if n <= 0 || n > maxSeconds {
		return 0, runtimeError("The %sPath parameter must reference a positive integer of at most %d: %s == %d", s.name, maxSeconds, s.path, n)
	}
	return time.Duration(n) * time.Second, nil
}

// MaxConcurrency gives how many iterations may run at once; 0 is as many as
// there are items.
func (m *Map) MaxConcurrency(sc *Scope) (int64, error) {
	if m.maxConcurrency == nil {
		return 0, nil
	}
	n, err := m.maxConcurrency.eval(sc)
	if err == nil && n < 0 {
		err = runtimeError("MaxConcurrency cannot be negative.")
	}
	return n, err
}

// Tolerance is how many failed items a Map endures. The zero Tolerance
// endures none.
type Tolerance struct {
	count         int64
	percentage    float64
	hasCount      bool
	hasPercentage bool
}

// Exceeded reports whether failed out of total items are too many: more than
// any threshold that is set.
func (t Tolerance) Exceeded(failed, total int64) bool {
	switch {
	case t.hasCount && failed > t.count:
		return true
	case t.hasPercentage && float64(failed)*100 > t.percentage*float64(total):
		return true
	default:
		return failed > 0 && !t.hasCount && !t.hasPercentage
	}
}

// With replaces the thresholds that are not nil.
func (t Tolerance) With(count *int64, percentage *float64) Tolerance {
	if count != nil {
		t.count, t.hasCount = *count, true
	}
	if percentage != nil {
		t.percentage, t.hasPercentage = *percentage, true
	}
	return t
}

// Count and Percentage are the thresholds, 0 when not set.
func (t Tolerance) Count() int64        { return t.count }
func (t Tolerance) Percentage() float64 { return t.percentage }

// Tolerance gives the Map's tolerance.
func (m *Map) Tolerance(sc *Scope) (Tolerance, error) {
	var t Tolerance
	var err error
	if m.toleratedCount != nil {
		t.hasCount = true
		if t.count, err = m.toleratedCount.eval(sc); err != nil {
			return t, err
		}
		if t.count < 0 {
			return t, runtimeError("ToleratedFailureCount cannot be negative.")
		}
	}
	if m.toleratedPercentage != nil {
		t.hasPercentage = true
		if t.percentage, err = m.toleratedPercentage.eval(sc); err != nil {
			return t, err
		}
		if t.percentage < 0 || t.percentage > 100 {
			return t, runtimeError("ToleratedFailurePercentage must be between 0 and 100.")
		}
	}
	return t, nil
}

// Items gives the array that the Map state works on, from the scope's input.
func (m *Map) Items(sc *Scope) ([]value.Value, error) {
	v, err := m.ItemsPath.Apply(sc)
	if err != nil {
		return nil, m.itemsError(sc, err)
	}
	if v.Kind() != value.Array {
		return nil, runtimeError("Reference path \"%s\" must point to array.", &m.ItemsPath)
	}
	return v.Slice(), nil
}

// itemsError is the error of an ItemsPath that selects nothing: unlike an
// InputPath it counts as a reference path.
func (m *Map) itemsError(sc *Scope, err error) error {
	path := m.ItemsPath.path
	_, again := path.Eval(&sc.Scope)
	var missing *jsonpath.NotFoundError
	if !errors.As(again, &missing) || missing.Step() == "" {
		return err
	}
	step := &jsonpath.StepError{Step: missing.Step(), Root: rootOf(sc, path)}
	return &Error{Name: ErrReferencePathConflict, Cause: step.Error()}
}

// MaxItems gives how many items to read at most; 0 is all. One below 0, which a
// path may select, fails the reading and not the evaluation.
func (c *ReaderConfig) MaxItems(sc *Scope) (int64, error) {
	if c.maxItems == nil {
		return 0, nil
	}
	return c.maxItems.eval(sc)
}

// MaxItems gives how many items a batch has at most; 0 is without limit.
func (b *ItemBatcher) MaxItems(sc *Scope) (int64, error) {
	return positive(b.maxItems, sc)
}

// MaxBytes gives how many bytes of JSON a batch has at most; 0 is without
// limit.
func (b *ItemBatcher) MaxBytes(sc *Scope) (int64, error) {
	return positive(b.maxBytes, sc)
}

func positive(f *intField, sc *Scope) (int64, error) {
	if f == nil {
		return 0, nil
	}
	n, err := f.eval(sc)
	if err == nil && n < 1 {
		err = runtimeError("%s must be at least 1.", f.name)
	}
	return n, err
}
