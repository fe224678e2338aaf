package run

import (
	"time"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/value"
)

// contextObject is $$ as the branch sees it.
func (x *Execution) contextObject(b *branch) value.Value {
	if x.trial != nil && x.trial.HasContext {
		return x.trial.Context
	}
	m := value.NewBuilder(4)
	about := append(make([]value.Field, 0, 7),
		value.Field{Key: "Id", Value: value.OfString(x.about.ARN)},
		value.Field{Key: "Input", Value: x.about.Input},
		value.Field{Key: "StartTime", Value: value.OfString(asl.Timestamp(x.about.Started))},
		value.Field{Key: "Name", Value: value.OfString(x.about.Name)},
		value.Field{Key: "RoleArn", Value: value.OfString(x.about.RoleARN)},
	)
	if !x.about.Awaited {
		about = append(about, value.Field{Key: "RedriveCount", Value: value.OfInt(int64(x.about.Redrives))})
	}
	if x.about.Redrives > 0 {
		about = append(about, value.Field{Key: "RedriveTime", Value: value.OfString(asl.Timestamp(x.about.Redriven))})
	}
	m.Set("Execution", value.OfObject(about...))
	if it := x.iteration(b); it != nil {
		m.Set("Map", value.OfObject(value.Field{Key: "Item", Value: value.OfObject(
			value.Field{Key: "Index", Value: value.OfInt(it.index)},
			value.Field{Key: "Value", Value: it.item},
		)}))
	} else if x.about.HasItem {
		m.Set("Map", value.OfObject(value.Field{Key: "Item", Value: x.about.Item}))
	}
	m.Set("StateMachine", value.OfObject(
		value.Field{Key: "Id", Value: value.OfString(x.env.Names.Machine(x.about.Machine))},
		value.Field{Key: "Name", Value: value.OfString(arns.ShownMachine(x.about.Machine))},
	))
	if wantsToken(b.state) {
		m.Set("Task", value.OfObject(value.Field{Key: "Token", Value: value.OfString(x.env.Token(x.ref(b)))}))
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
func (x *Execution) frameOf(b *branch) *asl.Frame {
	x.at = b
	x.frame.Input = b.input
	x.frame.Entered = time.UnixMilli(b.enteredAt)
	x.frame.Now = time.UnixMilli(x.now())
	x.frame.Seed = uint64(x.about.Started)<<20 ^ uint64(b.entered)
	return &x.frame
}
