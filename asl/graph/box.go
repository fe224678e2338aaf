package graph

import (
	"strconv"
	"strings"

	"switchyard/asl"
)

// Sizes, in pixels.
const (
	nodeHeight   = 48
	minNodeWidth = 120
	minMapWidth  = 200 // for the counts of its items
	maxText      = 260 // of a name
	nodePadding  = 16  // left and right of a text
	headHeight   = 46  // of a Parallel or Map, above what is in it
	innerPadding = 16
	branchGap    = 24
	labelHeight  = 16 // of a line
	labelPadding = 6
	maxLabel     = 200
	maxLines     = 3
	retryWidth   = 26
)

// label is the text on a line.
type label struct {
	lines []string
	// whole is everything that was cut.
	whole string
	class class
}

func newLabel(words []string, c class) *item {
	lb := label{class: c, whole: strings.Join(words, "\n")}
	if len(words) > maxLines {
		words = append(append([]string{}, words[:maxLines-1]...), strconv.Itoa(len(words)-maxLines+1)+" more")
	}
	width := 0
	for i, w := range words {
		if i > 0 && c == flow {
			w = "or " + w
		}
		w = cut(w, labelFont, maxLabel)
		lb.lines = append(lb.lines, w)
		width = max(width, textWidth(w, labelFont))
	}
	return &item{kind: kindLabel, label: lb, width: even(width + 2*labelPadding), height: len(lb.lines)*labelHeight + 4}
}

func newStateItem(s *asl.State, depth int) *item {
	it := &item{kind: kindState, state: s, height: nodeHeight}
	text := max(textWidth(cut(s.Name, nameFont, maxText), nameFont), textWidth(cut(caption(s), captionFont, maxText), captionFont))
	text += 2 * nodePadding
	if len(s.Retry) > 0 {
		text += retryWidth
	}
	if s.Type == asl.TypeChoice {
		text += nodePadding
	}
	if s.Map != nil {
		text = max(text, minMapWidth)
	}
	it.width = even(max(text, minNodeWidth))
	for _, g := range s.Graphs() {
		it.inner = append(it.inner, newLevel(g, depth+1))
	}
	return it
}

// arrange puts the graphs of a Parallel or Map side by side, and grows the
// state around them.
func (it *item) arrange() {
	height, x := 0, innerPadding
	for i, l := range it.inner {
		l.layout()
		if i > 0 {
			x += branchGap
		}
		l.moveTo(x, headHeight)
		x += l.width
		height = max(height, l.height)
	}
	x += innerPadding
	if spare := it.width - x; spare > 0 {
		for _, l := range it.inner {
			l.moveTo(l.x+spare/2, l.y)
		}
	}
	it.width = even(max(it.width, x))
	it.height = even(headHeight + height + innerPadding)
	for _, l := range it.inner { // item coordinates count from the middle
		l.moveTo(l.x-it.width/2, l.y)
	}
}

// caption is what is written above a state's name: its type, and what it does.
func caption(s *asl.State) string {
	switch {
	case s.Task != nil:
		return resourceName(s.Task.Resource)
	case s.Wait != nil:
		return "Wait " + s.Wait.String()
	case s.Parallel != nil:
		return "Parallel · " + strconv.Itoa(len(s.Parallel.Branches)) + " branches"
	case s.Map != nil && s.Map.Processor.Distributed:
		return "Map · distributed"
	case s.Fail != nil && s.Fail.Error != nil:
		name := s.Fail.Error.String()
		if text, err := strconv.Unquote(name); err == nil {
			name = text
		}
		return "Fail · " + name
	}
	return string(s.Type)
}

// resourceName is the part of a resource's ARN that tells it from others:
// codebuild:startBuild.sync, or function Build.
func resourceName(arn string) string {
	if i := strings.Index(arn, ":::"); i >= 0 && i+3 < len(arn) {
		return strings.TrimPrefix(arn[i+3:], "aws-sdk:")
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return arn
	}
	name := parts[5]
	for _, prefix := range []string{"function:", "activity:"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return strings.TrimSuffix(prefix, ":") + " " + rest
		}
	}
	return parts[2] + ":" + name
}

// attempts is how often the state's Retry tries again at most.
func attempts(s *asl.State) int {
	most := 0
	for i := range s.Retry {
		most = max(most, s.Retry[i].MaxAttempts)
	}
	return most
}

func even(n int) int { return n + n%2 }
