package hook

import (
	"context"
	"slices"
	"strings"
)

// graph is the part of the history that has not been reported, with the places
// where it joins what has.
type graph struct {
	list  []string // commits, parents before children
	place map[string]int
	lines []string // for each commit: itself and its parents
	seen  []int    // the last walk that came by
	walks int
}

// unreported reads the commits reachable from the tips but from none of the
// known ones, all with one git process.
func (r repository) unreported(ctx context.Context, tips, known []string) (*graph, error) {
	out, err := r.revList(ctx, tips, known, "--topo-order", "--reverse", "--parents")
	if err != nil {
		return nil, err
	}
	g := &graph{place: map[string]int{}}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		sha, _, _ := strings.Cut(line, " ")
		g.place[sha] = len(g.list)
		g.list, g.lines = append(g.list, sha), append(g.lines, line)
	}
	g.seen = make([]int, len(g.list))
	return g, nil
}

func (g *graph) has(sha string) bool {
	_, ok := g.place[sha]
	return ok
}

// walk lists the commits of the graph that are reachable from sha without
// passing one of without, oldest first, and the commits outside of it that they
// lead to.
func (g *graph) walk(sha string, without map[string]bool) (commits []string, edge map[string]bool) {
	edge = map[string]bool{}
	g.walks++
	var places []int
	for next := []string{sha}; len(next) > 0; {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		i, inside := g.place[at]
		switch {
		case !inside || without[at]:
			edge[at] = true
		case g.seen[i] != g.walks:
			g.seen[i] = g.walks
			places = append(places, i)
			next = append(next, strings.Fields(g.lines[i])[1:]...)
		}
	}
	slices.Sort(places)
	for _, i := range places {
		commits = append(commits, g.list[i])
	}
	return commits, edge
}
