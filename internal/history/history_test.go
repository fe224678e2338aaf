package history_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/history"
)

// order sorts commits written as "c<a,b": c with the parents a and b.
func order(list ...string) string {
	id := func(i int) string { name, _, _ := strings.Cut(list[i], "<"); return name }
	parents := func(i int) []string {
		_, p, _ := strings.Cut(list[i], "<")
		return strings.Split(p, ",")
	}
	history.ParentsFirst(list, id, parents)
	var names []string
	for i := range list {
		names = append(names, id(i))
	}
	return strings.Join(names, " ")
}

func TestParentsFirst(t *testing.T) {
	for name, row := range map[string]struct {
		list []string
		want string
	}{
		"nothing":               {nil, ""},
		"in order already":      {[]string{"a", "b<a", "c<b"}, "a b c"},
		"newest first":          {[]string{"c<b", "b<a", "a<x"}, "a b c"},
		"no parents":            {[]string{"b", "a", "c"}, "b a c"},
		"a merge":               {[]string{"m<a,b", "b<x", "a<x", "x"}, "x a b m"},
		"unrelated stay":        {[]string{"u", "b<a", "a", "v"}, "u a b v"},
		"a circle":              {[]string{"a<b", "b<a"}, "b a"},
		"its own parent":        {[]string{"a<a"}, "a"},
		"the same commit twice": {[]string{"a", "b<a", "a"}, "a a b"},
	} {
		got := order(row.list...)
		if name == "the same commit twice" {
			if strings.Count(got, "a") != 2 || strings.Count(got, "b") != 1 {
				t.Errorf("%s: %q", name, got)
			}
		} else if got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// However a history is listed, no commit comes before a parent of it, and all
// are there.
func TestParentsFirstInEveryOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for range 200 {
		n := 2 + random.IntN(30)
		parents := make([][]string, n)
		names := make([]string, n)
		for i := range n {
			names[i] = string(rune('A' + i))
			for range random.IntN(3) {
				if i > 0 {
					parents[i] = append(parents[i], names[random.IntN(i)])
				}
			}
		}
		list := random.Perm(n)
		given := slices.Clone(list)
		history.ParentsFirst(list, func(i int) string { return names[given[i]] }, func(i int) []string { return parents[given[i]] })
		for at, c := range list {
			for _, p := range parents[c] {
				if slices.Index(list, slices.Index(names, p)) > at {
					t.Fatalf("%s comes before its parent %s in %v", names[c], p, list)
				}
			}
		}
		slices.Sort(list)
		for i := range n {
			if list[i] != i {
				t.Fatalf("commits are missing: %v", list)
			}
		}
	}
}
