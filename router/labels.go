package router

import (
	"fmt"
	"slices"
)

// wantsLabel reports whether a label is one that the filter asks for.
func (f *filter) wantsLabel(label string) bool {
	return slices.ContainsFunc(f.rules, func(r rule) bool { return !r.negate && r.Match(lower(label)) })
}

// excludesLabel returns the pattern that takes out what has a label, nil if none.
func (f *filter) excludesLabel(label string) *rule {
	for i := range f.rules {
		if r := &f.rules[i]; r.negate && r.Match(lower(label)) {
			return r
		}
	}
	return nil
}

// refuseLabels says why a pull request with these labels does not pass, "" when
// it does.
func (f *filter) refuseLabels(labels []string) string {
	asks := false
	for i := range f.rules {
		asks = asks || !f.rules[i].negate
	}
	for _, label := range labels {
		if r := f.excludesLabel(label); r != nil {
			return fmt.Sprintf("label %s is taken out by %s", quote(label), quote(r.text))
		}
	}
	switch {
	case !asks || slices.ContainsFunc(labels, f.wantsLabel):
		return ""
	case len(labels) == 0:
		return fmt.Sprintf("it has no label, and labels asks for one of %s", f.list())
	}
	return fmt.Sprintf("none of its labels is one of %s", f.list())
}
