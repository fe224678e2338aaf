package distributed

import (
	"fmt"
	"iter"

	"switchyard/asl"
	"switchyard/asl/value"
)

// batch is what one child execution of a distributed Map works on.
type batch struct {
	index int
	items int // how many of the Map's
	input value.Value
	// item is the one it works on, when an ItemSelector made something else
	// of it. Batches have none.
	item *mapItem
}

// batchInput is the input of a child for these items.
func batchInput(b *asl.Batching, items []value.Value) value.Value {
	all := value.Field{Key: "Items", Value: value.OfArray(items)}
	if !b.HasInput {
		return value.OfObject(all)
	}
	return value.OfObject(value.Field{Key: "BatchInput", Value: b.Input}, all)
}

func inputTooLarge(index int, size int64, limit int64) error {
	return &asl.Error{
		Name:  asl.ErrDataLimitExceeded,
		Cause: fmt.Sprintf("The item at index %d takes %d bytes as the input of a child workflow execution, at most %d are allowed.", index, size, limit),
	}
}

// batches gives the inputs of the children in order, each with its index. The
// same items give the same batches: a restart depends on that.
func (r *mapRun) batches() iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		index, n := 0, 0
		b := r.work.Batching
		empty := int64(0) // the size of an input without items, in bytes
		if b != nil {
			empty = int64(len(batchInput(b, nil).JSON()))
		}
		var held []value.Value
		bytes := int64(0)
		flush := func() bool {
			if len(held) == 0 {
				return true
			}
			ok := yield(batch{index: index, items: len(held), input: batchInput(b, held)}, nil)
			index++
			held, bytes = held[:0:0], 0
			return ok
		}
		for it, err := range r.source {
			var input value.Value
			if err == nil {
				input, err = r.selected(n, it)
			}
			if err != nil {
				yield(batch{}, err)
				return
			}
			size := int64(len(input.JSON()))
			if b == nil {
				if size > asl.MaxData {
					yield(batch{}, inputTooLarge(n, size, asl.MaxData))
					return
				}
				one := batch{index: n, items: 1, input: input}
				if r.work.State.Map.ItemSelector != nil || it.keyed {
					one.item = &it
				}
				if !yield(one, nil) {
					return
				}
				n++
				continue
			}
			if empty+size > b.MaxBytes {
				yield(batch{}, inputTooLarge(n, empty+size, b.MaxBytes))
				return
			}
			if len(held) > 0 && (b.MaxItems > 0 && int64(len(held)) >= b.MaxItems || empty+bytes+size+int64(len(held)) > b.MaxBytes) {
				if !flush() {
					return
				}
			}
			held = append(held, input)
			bytes += size
			n++
		}
		flush()
	}
}

// selected makes an item's input.
func (r *mapRun) selected(index int, it mapItem) (value.Value, error) {
	r.item = it.context(int64(index))
	return r.work.State.Fields.Iteration(r.frame.Repeatable(uint64(index)), r.work.Input, it.input())
}
