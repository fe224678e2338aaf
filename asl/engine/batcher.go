package engine

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

// batcher groups items into inputs of child executions.
type batcher struct {
	maxItems int64 // 0 is without limit
	maxBytes int64
	// common is merged into each batch, when there is any.
	common    value.Value
	hasCommon bool
	// empty is the size of an input without items, in bytes.
	empty int64
}

func (b *batcher) input(items []value.Value) value.Value {
	all := value.Field{Key: "Items", Value: value.OfArray(items)}
	if !b.hasCommon {
		return value.OfObject(all)
	}
	return value.OfObject(value.Field{Key: "BatchInput", Value: b.common}, all)
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
		var held []value.Value
		bytes := int64(0)
		flush := func() bool {
			if len(held) == 0 {
				return true
			}
			ok := yield(batch{index: index, items: len(held), input: r.spec.batcher.input(held)}, nil)
			index++
			held, bytes = held[:0:0], 0
			return ok
		}
		for it, err := range r.spec.source {
			var input value.Value
			if err == nil {
				input, err = r.selected(n, it)
			}
			if err != nil {
				yield(batch{}, err)
				return
			}
			size := int64(len(input.JSON()))
			if r.spec.batcher == nil {
				if size > MaxData {
					yield(batch{}, inputTooLarge(n, size, MaxData))
					return
				}
				one := batch{index: n, items: 1, input: input}
				if r.spec.state.Map.ItemSelector != nil || it.keyed {
					one.item = &it
				}
				if !yield(one, nil) {
					return
				}
				n++
				continue
			}
			b := r.spec.batcher
			if b.empty+size > b.maxBytes {
				yield(batch{}, inputTooLarge(n, b.empty+size, b.maxBytes))
				return
			}
			if len(held) > 0 && (b.maxItems > 0 && int64(len(held)) >= b.maxItems || b.empty+bytes+size+int64(len(held)) > b.maxBytes) {
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
	if r.spec.state.Map.ItemSelector == nil {
		return it.input(), nil
	}
	r.spec.item = it.context(int64(index))
	return r.spec.state.Map.ItemSelector.Eval(&r.spec.scope)
}
