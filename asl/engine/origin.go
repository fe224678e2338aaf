package engine

import "encoding/json"

// WithOrigin lets task handlers know where an execution comes from: of reads
// that in the input of an execution, and gives nil when it does not say. It is
// asked about executions that were started from outside; those that a state
// machine starts, also through others, and the children of distributed Maps have
// the origin of the execution at the beginning, which is kept with them. So a
// definition can't lose it by what it passes on. Only where that has none is the
// next one's own input asked.
func WithOrigin(of func(input []byte) json.RawMessage) Option {
	return func(e *Engine) { e.originOf = of }
}

// origin is the execution's, nil for none.
func (x *execution) origin() json.RawMessage {
	if x.from == nil {
		from := x.attrs.Origin
		if from == nil && x.e.originOf != nil {
			from = x.e.originOf(x.rec.Input)
		}
		x.from = &from
	}
	return *x.from
}
