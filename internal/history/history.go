// Package history puts commits in order.
package history

// ParentsFirst moves each commit of the list behind those of its parents that
// are in the list too, and otherwise keeps the order. id and parents tell of the
// commit at an index of the list as it was given.
func ParentsFirst[T any](list []T, id func(i int) string, parents func(i int) []string) {
	index := make(map[string]int, len(list))
	for i := range list {
		index[id(i)] = i
	}
	sorted := make([]T, 0, len(list))
	// next is which parent of a commit is looked at next; a commit under way
	// or done is not begun again, so that a hostile circle ends too.
	next := make([]int, len(list))
	begun := make([]bool, len(list))
	for i := range list {
		if begun[i] {
			continue
		}
		begun[i] = true
		for stack := []int{i}; len(stack) > 0; {
			at := stack[len(stack)-1]
			of := parents(at)
			if next[at] >= len(of) {
				sorted = append(sorted, list[at])
				stack = stack[:len(stack)-1]
				continue
			}
			parent, ok := index[of[next[at]]]
			next[at]++
			if ok && !begun[parent] {
				begun[parent] = true
				stack = append(stack, parent)
			}
		}
	}
	copy(list, sorted)
}
