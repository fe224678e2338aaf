package engine

import (
	"time"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/value"
)

// contextObject is $$ as the branch sees it.
func (x *execution) contextObject(b *branch) value.Value {
	if x.test != nil && x.test.hasContext {
		return x.test.context
	}
	m := value.NewBuilder(4)
	about := append(make([]value.Field, 0, 7),
		value.Field{Key: "Id", Value: value.OfString(x.arn())},
		value.Field{Key: "Input", Value: x.input},
		value.Field{Key: "StartTime", Value: value.OfString(asl.Timestamp(x.rec.Started))},
		value.Field{Key: "Name", Value: value.OfString(x.rec.Name)},
		value.Field{Key: "RoleArn", Value: value.OfString(x.prog.rev.RoleARN)},
	)
	// AWS shows no count to executions that somebody waits for.
	if x.result == nil {
		about = append(about, value.Field{Key: "RedriveCount", Value: value.OfInt(int64(x.attrs.Redrives))})
	}
	if x.attrs.Redrives > 0 {
		about = append(about, value.Field{Key: "RedriveTime", Value: value.OfString(asl.Timestamp(x.attrs.Redriven))})
	}
	m.Set("Execution", value.OfObject(about...))
	if it := b.iteration(x); it != nil {
		m.Set("Map", value.OfObject(value.Field{Key: "Item", Value: value.OfObject(
			value.Field{Key: "Index", Value: value.OfInt(it.index)},
			value.Field{Key: "Value", Value: it.item},
		)}))
	} else if x.attrs.Child != nil {
		if it, ok := x.attrs.Child.ItemContext(x.rec.Name, x.input); ok {
			m.Set("Map", value.OfObject(value.Field{Key: "Item", Value: it}))
		}
	}
	m.Set("StateMachine", value.OfObject(
		value.Field{Key: "Id", Value: value.OfString(x.e.names.Machine(x.rec.Machine))},
		value.Field{Key: "Name", Value: value.OfString(arns.ShownMachine(x.rec.Machine))},
	))
	if wantsToken(b.state) {
		m.Set("Task", value.OfObject(value.Field{Key: "Token", Value: value.OfString(x.e.token(x.ref(b)))}))
	}
	if b.state != nil {
		s := value.NewBuilder(3)
		s.Set("Name", value.OfString(b.state.Name))
		s.Set("EnteredTime", value.OfString(asl.Timestamp(b.enteredAt)))
		if b.state.Type == asl.TypeTask || b.state.Type == asl.TypeParallel || b.state.Type == asl.TypeMap {
			s.Set("RetryCount", value.OfInt(int64(b.attempt)))
		}
		m.Set("State", s.Object())
	}
	return m.Object()
}

// frameOf is what the fields of b's state see.
func (x *execution) frameOf(b *branch) *asl.Frame {
	x.at = b
	x.frame.Input = b.input
	x.frame.Entered = time.UnixMilli(b.enteredAt)
	x.frame.Seed = uint64(x.rec.Started)<<20 ^ uint64(b.entered)
	return &x.frame
}
