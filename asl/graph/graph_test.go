package graph

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/asl"
)

// anyMachine makes a definition at random: forwards, backwards and to itself,
// with choices, catchers and nested graphs.
func anyMachine(r *rand.Rand, states int) string {
	g := generator{r: r}
	text, err := json.Marshal(g.graph(states, 2))
	if err != nil {
		panic(err)
	}
	return string(text)
}

type generator struct {
	r    *rand.Rand
	made int
}

func (g *generator) name() string {
	g.made++
	return fmt.Sprintf("%s %d", strings.Repeat("State ", 1+g.r.IntN(4)), g.made)
}

// graph makes a graph whose states can all be reached, since each leads to the
// one made after it.
func (g *generator) graph(n, depth int) map[string]any {
	names := make([]string, n)
	for i := range names {
		names[i] = g.name()
	}
	states := map[string]any{}
	anywhere := func() string { return names[g.r.IntN(n)] }
	for i, name := range names {
		next := names[min(i+1, n-1)]
		s := map[string]any{}
		switch kind := g.r.IntN(10); {
		case i == n-1:
			s["Type"] = []string{"Succeed", "Fail"}[g.r.IntN(2)]
		case kind < 3:
			rules := []any{}
			for range 1 + g.r.IntN(3) {
				rules = append(rules, map[string]any{"Variable": "$.a", "NumericLessThan": g.r.IntN(1000), "Next": anywhere()})
			}
			s["Type"], s["Choices"], s["Default"] = "Choice", rules, next
		case kind < 4 && depth > 0:
			branches := []any{}
			for range 1 + g.r.IntN(3) {
				branches = append(branches, g.graph(1+g.r.IntN(5), depth-1))
			}
			s["Type"], s["Branches"], s["Next"] = "Parallel", branches, next
			s["Catch"] = []any{map[string]any{"ErrorEquals": []string{"States.ALL"}, "Next": anywhere()}}
		case kind < 5 && depth > 0:
			s["Type"], s["ItemProcessor"], s["Next"] = "Map", g.graph(1+g.r.IntN(4), depth-1), next
		case kind < 8:
			s["Type"], s["Resource"], s["Next"] = "Task", "arn:aws:states:::sqs:sendMessage", next
			s["Catch"] = []any{
				map[string]any{"ErrorEquals": []string{"A.Long.Error.Name", "B"}, "Next": anywhere()},
				map[string]any{"ErrorEquals": []string{"States.ALL"}, "Next": anywhere()},
			}
			s["Retry"] = []any{map[string]any{"ErrorEquals": []string{"C"}}}
		default:
			s["Type"], s["Next"] = "Pass", next
			if g.r.IntN(4) == 0 {
				delete(s, "Next")
				s["End"] = true
				if i+1 < n { // what comes after is reached in another way
					s = map[string]any{"Type": "Choice", "Choices": []any{map[string]any{"Variable": "$.b", "IsPresent": true, "Next": anywhere()}}, "Default": next}
				}
			}
		}
		states[name] = s
	}
	return map[string]any{"StartAt": names[0], "States": states}
}

func parsed(t testing.TB, definition string) *asl.Machine {
	t.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		t.Fatalf("%v\n%s", err, definition)
	}
	return m
}

type box struct{ left, top, right, bottom int }

func boxOf(it *item) box { return box{it.left(), it.y, it.right(), it.bottom()} }

func (b box) meets(c box) bool {
	return b.left < c.right && c.left < b.right && b.top < c.bottom && c.top < b.bottom
}

func (b box) holds(c box) bool {
	return c.left >= b.left && c.right <= b.right && c.top >= b.top && c.bottom <= b.bottom
}

// wrong names what nobody could read in a drawing.
func wrong(l *level, around box) (found []string) {
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	name := func(it *item) string {
		if it.state != nil {
			return it.state.Name
		}
		return fmt.Sprint("a ", it.kind, it.label.lines)
	}
	area := box{l.x, l.y, l.x + l.width, l.y + l.height}
	if !around.holds(area) {
		complain("a graph %v reaches out of %v", area, around)
	}
	var drawn []*item
	for _, it := range l.items {
		if it.kind == kindBend || it.kind == kindTurn {
			continue
		}
		drawn = append(drawn, it)
		if !area.holds(boxOf(it)) {
			complain("%s %v reaches out of its graph %v", name(it), boxOf(it), area)
		}
		for i, inner := range it.inner {
			found = append(found, wrong(inner, boxOf(it))...)
			for _, other := range it.inner[:i] {
				if (box{inner.x, inner.y, inner.x + inner.width, inner.y + inner.height}).meets(box{other.x, other.y, other.x + other.width, other.y + other.height}) {
					complain("two branches of %s overlap", name(it))
				}
			}
		}
	}
	for i, a := range drawn {
		for _, b := range drawn[:i] {
			if boxOf(a).meets(boxOf(b)) {
				complain("%s %v overlaps %s %v", name(a), boxOf(a), name(b), boxOf(b))
			}
		}
	}
	for _, e := range l.edges {
		way := name(e.from) + " → " + name(e.to)
		first, last := e.points[0], e.points[len(e.points)-1]
		if first.y != e.from.bottom() || first.x <= e.from.left() || first.x >= e.from.right() {
			complain("%s begins at %v, not below %v", way, first, boxOf(e.from))
		}
		if last.y != e.to.y || last.x <= e.to.left() || last.x >= e.to.right() {
			complain("%s ends at %v, not on %v", way, last, boxOf(e.to))
		}
		for i := range len(e.points) - 1 {
			a, b := e.points[i], e.points[i+1]
			if a.x != b.x && a.y != b.y {
				complain("%s runs askew from %v to %v", way, a, b)
			}
			line := box{min(a.x, b.x) - 1, min(a.y, b.y) + 1, max(a.x, b.x) + 1, max(a.y, b.y) - 1}
			if a.y == b.y {
				line = box{min(a.x, b.x), a.y - 1, max(a.x, b.x), a.y + 1}
			}
			if !area.holds(box{min(a.x, b.x), min(a.y, b.y), max(a.x, b.x), max(a.y, b.y)}) {
				complain("%s leaves its graph between %v and %v", way, a, b)
			}
			for _, it := range drawn {
				if it != e.label && line.meets(boxOf(it)) {
					complain("%s runs through %s %v from %v to %v", way, name(it), boxOf(it), a, b)
				}
			}
		}
	}
	return found
}

func TestLayoutCanBeRead(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 11))
		definition := anyMachine(r, 1+r.IntN(30))
		d := Layout(parsed(t, definition))
		if found := wrong(d.root, box{0, 0, d.width, d.height}); len(found) > 0 {
			t.Fatalf("seed %d:\n%s\n%s", seed, strings.Join(found[:min(len(found), 10)], "\n"), definition)
		}
		if again := Layout(parsed(t, definition)); !bytes.Equal(d.SVG(SVGOptions{}), again.SVG(SVGOptions{})) {
			t.Fatalf("seed %d: two pictures of the same machine differ", seed)
		}
		wellFormed(t, d.SVG(SVGOptions{}))
	}
}

// wellFormed returns the texts of a picture.
func wellFormed(t testing.TB, svg []byte) string {
	t.Helper()
	ids := map[string]bool{}
	var texts strings.Builder
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.CharData:
			texts.Write(token)
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local != "id" {
					continue
				}
				if ids[a.Value] {
					t.Errorf("two elements have the ID %s", a.Value)
				}
				ids[a.Value] = true
			}
		}
	}
}

func TestLoopsEnterFromAboveAndAreMarked(t *testing.T) {
	d := Layout(parsed(t, `{"StartAt":"Ask","States":{
		"Ask":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Next":"Done?"},
		"Done?":{"Type":"Choice","Choices":[{"Variable":"$.done","BooleanEquals":true,"Next":"Yes"}],"Default":"Pause"},
		"Pause":{"Type":"Wait","Seconds":5,"Next":"Ask"},
		"Yes":{"Type":"Succeed"}}}`))
	var back []string
	for _, e := range d.root.edges {
		if e.back {
			back = append(back, e.from.state.Name+" → "+e.to.state.Name)
		}
	}
	if len(back) != 1 || back[0] != "Pause → Ask" {
		t.Errorf("back lead %v, want Pause → Ask alone", back)
	}
	for _, want := range []string{`data-from="Pause" data-to="Ask"`, "$.done is true", "Default", "Wait for 5s", "sqs:sendMessage"} {
		if !strings.Contains(string(d.SVG(SVGOptions{})), want) {
			t.Errorf("the picture lacks %s", want)
		}
	}
}

// What a stranger wrote can end no element, attribute or style.
func TestHostileNames(t *testing.T) {
	names := []string{`</title><script>alert(1)</script>`, `" onload="alert(1)`, "a\u202eb\u0000c\x1b[2J", "]]>&lt;", "#quot;-->\n  x[[", strings.Repeat("長", 80)}
	for _, name := range names {
		text, err := json.Marshal(map[string]any{"StartAt": name, "States": map[string]any{
			name:  map[string]any{"Type": "Choice", "Comment": name, "Choices": []any{map[string]any{"Variable": "$.a", "StringEquals": name, "Next": "end"}}},
			"end": map[string]any{"Type": "Fail", "Error": name},
		}})
		if err != nil {
			t.Fatal(err)
		}
		m := parsed(t, string(text))
		svg := Layout(m).SVG(SVGOptions{Title: name, IDPrefix: "p-", Marks: map[string]Mark{name: {Status: Failed, Detail: name, Visits: 3}}})
		texts := wellFormed(t, svg)
		for _, bad := range []string{"<script", `" onload`, "\u202e", "\x1b"} {
			if strings.Contains(string(svg), bad) {
				t.Errorf("%q is in the picture of %q", bad, name)
			}
		}
		if !strings.Contains(texts, "×3") {
			t.Errorf("the visits of %q are not shown", name)
		}
		for line := range strings.Lines(Mermaid(m)) {
			if strings.Contains(line, "<") || strings.Count(line, `"`)%2 != 0 {
				t.Errorf("Mermaid takes %q apart: %s", name, line)
			}
		}
	}
}

func TestMarksAreShown(t *testing.T) {
	m := parsed(t, `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}}}`)
	svg := string(Layout(m).SVG(SVGOptions{NoStyle: true, Marks: map[string]Mark{
		"M": {Status: Running, Items: Items{Total: 25, Succeeded: 16, Failed: 2, Running: 3}},
		"P": {Status: Caught, Visits: 18, Detail: "Build.Failed"},
	}}))
	for _, want := range []string{`id="state-M" class="state type-map is-running"`, `class="state type-pass is-caught"`, ">×18<", "18 of 25 done, 2 failed", "Build.Failed"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %s", want)
		}
	}
	if strings.Contains(svg, "<style") {
		t.Error("the style is in the picture that was to have none")
	}
}

func TestStateIDsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a b", "a_b", "a_20b", "a-b", "ä", "A b"} {
		id := StateID(name)
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the ID %s", name, other, id)
		}
		seen[id] = name
	}
}

// Pictures of real definitions, to be looked at: go test -run Golden -update.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.asl.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := parsed(t, string(text))
		base := strings.TrimSuffix(file, ".asl.json")
		golden(t, base+".svg", Layout(m).SVG(SVGOptions{Title: filepath.Base(base)}))
		golden(t, base+".mmd", []byte(Mermaid(m)))
	}
}

func BenchmarkLayout200(b *testing.B) {
	m := parsed(b, anyMachine(rand.New(rand.NewPCG(1, 2)), 80))
	count := 0
	var walk func(*asl.Graph)
	walk = func(g *asl.Graph) {
		for _, s := range g.States {
			count++
			for _, inner := range s.Graphs() {
				walk(inner)
			}
		}
	}
	walk(&m.Graph)
	b.ReportAllocs()
	for b.Loop() {
		Layout(m).SVG(SVGOptions{})
	}
	b.ReportMetric(float64(count), "states")
}
