package graph

import (
	"fmt"
	"strings"
)

// corner is the radius of a line's corners.
const corner = 8

// lines draws the transitions of a level. Where lines share their way it is
// drawn once, so that dashes stay dashes.
func (w *svgWriter) lines(l *level) {
	var drawn [2]cover
	for _, e := range l.edges {
		points, whole := drawn[e.class].rest(e.points)
		drawn[e.class].add(e.points)
		if len(points) < 2 {
			continue
		}
		class, marker := "edge", "flow"
		if e.class == caught {
			class, marker = "edge caught", "caught"
		}
		from, to := "start", "end"
		if e.from.state != nil {
			from = e.from.state.Name
		}
		if e.to.state != nil {
			to = e.to.state.Name
		}
		arrow := ""
		if whole {
			arrow = fmt.Sprintf(` marker-end="url(#%sarrow-%s)"`, escape(w.IDPrefix), marker)
		}
		w.put(`<path class="%s" data-from="%s" data-to="%s" d="%s"%s/>`+"\n", class, escape(from), escape(to), rounded(points), arrow)
		if e.back {
			w.upwards(points, marker)
		}
	}
}

// upwards marks the longest part of a line that runs up: there is where one
// looks twice.
func (w *svgWriter) upwards(points []point, class string) {
	longest, at := 40, point{}
	for i := range len(points) - 1 {
		a, b := points[i], points[i+1]
		if up := a.y - b.y; up > longest {
			longest, at = up, point{a.x, (a.y + b.y) / 2}
		}
	}
	if at != (point{}) {
		w.put(`<path class="arrow %s" d="M%d %dl4 8h-8z"/>`+"\n", class, at.x, at.y-4)
	}
}

// rounded is the path through points with round corners.
func rounded(points []point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%d %d", points[0].x, points[0].y)
	for i := 1; i < len(points)-1; i++ {
		p, before, after := points[i], points[i-1], points[i+1]
		r := min(corner, length(before, p)/2, length(p, after)/2)
		in, out := towards(p, before, r), towards(p, after, r)
		fmt.Fprintf(&b, "L%d %dQ%d %d %d %d", in.x, in.y, p.x, p.y, out.x, out.y)
	}
	last := points[len(points)-1]
	fmt.Fprintf(&b, "L%d %d", last.x, last.y)
	return b.String()
}

// length is of a line that is level or upright.
func length(a, b point) int { return abs(a.x-b.x) + abs(a.y-b.y) }

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// towards is the point n before b on the way from a to b, counted from a.
func towards(a, b point, n int) point {
	return point{a.x + sign(b.x-a.x)*n, a.y + sign(b.y-a.y)*n}
}

// span is a part of a level or upright line.
type span struct{ from, to int }

// cover is what has been drawn of lines.
type cover struct {
	level, upright map[int][]span // by y and by x
}

func (c *cover) add(points []point) {
	if c.level == nil {
		c.level, c.upright = map[int][]span{}, map[int][]span{}
	}
	for i := range len(points) - 1 {
		a, b := points[i], points[i+1]
		if a.y == b.y {
			c.level[a.y] = append(c.level[a.y], span{min(a.x, b.x), max(a.x, b.x)})
		} else {
			c.upright[a.x] = append(c.upright[a.x], span{min(a.y, b.y), max(a.y, b.y)})
		}
	}
}

// reach is how far the way from a to b is drawn, from a on without a break.
func (c *cover) reach(a, b point) int {
	spans, from, to := c.level[a.y], a.x, b.x
	if a.y != b.y {
		spans, from, to = c.upright[a.x], a.y, b.y
	}
	at := from
	for more := true; more && at != to; {
		more = false
		for _, s := range spans {
			if at < s.from || at > s.to {
				continue
			}
			next := min(s.to, to)
			if to < from {
				next = max(s.from, to)
			}
			if next != at {
				at, more = next, true
			}
		}
	}
	return abs(at - from)
}

// rest is what is left to draw of a line: without its beginning and end where
// they are drawn already, but for the corners that lead out of them. whole says
// that the end is there.
func (c *cover) rest(points []point) (left []point, whole bool) {
	points, _ = c.trim(points)
	reverse(points)
	points, cutOff := c.trim(points)
	reverse(points)
	return points, !cutOff
}

func reverse(points []point) {
	for i, j := 0, len(points)-1; i < j; i, j = i+1, j-1 {
		points[i], points[j] = points[j], points[i]
	}
}

// trim takes off what is drawn of the beginning of a line.
func (c *cover) trim(points []point) ([]point, bool) {
	out := append([]point(nil), points...)
	cutOff := false
	for len(out) > 1 {
		n := c.reach(out[0], out[1])
		if n == length(out[0], out[1]) && len(out) > 1 {
			if len(out) == 2 {
				return nil, true
			}
			// The corner may still have to be drawn, in another direction.
			if c.reach(out[1], out[2]) == 0 {
				out[0] = towards(out[1], out[0], min(corner, n))
				return out, true
			}
			out, cutOff = out[1:], true
			continue
		}
		if n > 0 {
			out[0] = towards(out[0], out[1], n-min(corner, n))
			cutOff = true
		}
		break
	}
	return out, cutOff
}
