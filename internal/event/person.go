package event

import (
	"slices"
	"strings"
)

// maxNames is how many names of a person are kept.
const maxNames = 8

// OtherNames are the names beside name by which a host knows the same person: their
// account ID, nickname, full name and e-mail address, each once and without those that
// are not told.
func OtherNames(name string, others ...string) []string {
	var names []string
	for _, other := range others {
		other = strings.TrimSpace(other)
		known := func(n string) bool { return strings.EqualFold(n, other) }
		if other != "" && !known(name) && !slices.ContainsFunc(names, known) && len(names) < maxNames {
			names = append(names, other)
		}
	}
	return names
}
