package distributed

import (
	"encoding/json"
	"fmt"

	"switchyard/asl/arns"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// Child is a child execution that is to be started.
type Child struct {
	Work  *run.MapWork
	Name  string
	Input value.Value
	Attrs ChildAttrs
}

// ChildAttrs are what a child execution keeps of where it comes from.
type ChildAttrs struct {
	// State is the name of the Map state.
	State string `json:"state"`
	// Items is how many items it works on; a Batch has no $$.Map.Item.
	Items int  `json:"items"`
	Batch bool `json:"batch,omitempty"`
	// Redrive is the redrive of the Map run with which it was last redriven, 0 for
	// none.
	Redrive int `json:"redrive,omitempty"`
	// Item is $$.Map.Item, unless its value is the execution's input.
	Item json.RawMessage `json:"item,omitempty"`
}

// ChildOf reads what a child execution keeps of its Map run, which is under
// "child" in its attributes.
func ChildOf(x *store.Execution) (*ChildAttrs, error) {
	var attrs struct {
		Child *ChildAttrs `json:"child"`
	}
	if len(x.Attrs) > 0 {
		if err := json.Unmarshal(x.Attrs, &attrs); err != nil {
			return nil, fmt.Errorf("decode attributes of execution %s of %s: %w", x.Name, x.Machine, err)
		}
	}
	if attrs.Child == nil {
		return nil, fmt.Errorf("execution %s/%s does not say which Map it belongs to", x.Machine, x.Name)
	}
	return attrs.Child, nil
}

// ItemContext is $$.Map.Item in the child with this name that works on input;
// ok is false for one that works on a batch.
func (a *ChildAttrs) ItemContext(name string, input value.Value) (item value.Value, ok bool) {
	if a.Batch {
		return value.Value{}, false
	}
	if a.Item == nil {
		return mapItem{value: input}.context(int64(arns.ChildIndex(name))), true
	}
	v, err := value.Parse(a.Item)
	return v, err == nil
}
