//go:build unix

package build

import (
	"path"
	"strings"
)

// pattern is a path with wildcards as artifacts use them: * and ? stay within
// one element, ** is any number of them.
type pattern []string

func compilePattern(s string) pattern { return strings.Split(s, "/") }

// match takes time proportional to both lengths: it remembers which ends of
// the pattern can match up to each element of the name.
func (p pattern) match(name string) bool {
	// reach[i] says that the elements so far are matched by p[:i].
	reach := make([]bool, len(p)+1)
	reach[0] = true
	p.skip(reach)
	for element := range strings.SplitSeq(name, "/") {
		next := make([]bool, len(p)+1)
		for i, part := range p {
			if !reach[i] {
				continue
			}
			if part == "**" {
				next[i] = true
			} else if ok, err := path.Match(part, element); ok && err == nil {
				next[i+1] = true
			}
		}
		p.skip(next)
		reach = next
	}
	return reach[len(p)]
}

// skip lets each ** match no element.
func (p pattern) skip(reach []bool) {
	for i, part := range p {
		if part == "**" && reach[i] {
			reach[i+1] = true
		}
	}
}
