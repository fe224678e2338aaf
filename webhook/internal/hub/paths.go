package hub

import "slices"

const (
	// fewPaths is up to where looking through a list beats a map.
	fewPaths = 16
	// manyPaths is from where on no path is looked for twice: hosts name each
	// in one list only, and the map would take more memory than the paths.
	manyPaths = 10_000
)

// paths joins lists of paths, each path once, in the order they came.
func paths(lists ...[]string) []string {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	switch {
	case n == 0:
		return nil
	case n > manyPaths:
		return slices.Concat(lists...)
	}
	all := make([]string, 0, n)
	var seen map[string]bool
	if n > fewPaths {
		seen = make(map[string]bool, n)
	}
	for _, l := range lists {
		for _, p := range l {
			if seen[p] || seen == nil && slices.Contains(all, p) {
				continue
			}
			if seen != nil {
				seen[p] = true
			}
			all = append(all, p)
		}
	}
	return all
}
