// Command jsonata measures a Choice in JSONata against one in JSONPath and, with
// -modules, the evaluation of the expressions of JSONata's own suite against the
// reference implementation, the npm package jsonata, which runs under Node in
// the same run.
//
// Of the suite both compile each expression once, then evaluate it for a while over its
// input; what ends with an error is left out. The figure is the geometric mean
// of the ratios, an expression each.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"switchyard/asl/jsonata"
	"switchyard/asl/value"
)

// measured is an expression and how long an evaluation of it takes.
type measured struct {
	ID       string  `json:"id"`
	Expr     string  `json:"expr"`
	Data     any     `json:"data,omitempty"`
	Nanos    float64 `json:"nanos"`
	input    *value.Value
	bindings jsonata.BindingMap
}

func main() {
	suite := flag.String("suite", "../shared/conformance/jsonata", "`directory` with cases.json and datasets.json")
	node := flag.String("modules", "", "`directory` of node_modules with jsonata@2.0.6 in it (npm install jsonata@2.0.6); the suite is left out without")
	each := flag.Duration("for", 5*time.Millisecond, "how long each expression is evaluated on either side")
	goal := flag.Float64("goal", 0, "fail when the suite is not so many times as fast as under Node")
	rounds := flag.Int("rounds", 2000, "how many batches of each Choice are timed")
	most := flag.Float64("choice-most", 0, "fail when a Choice takes more times as long as in JSONPath; 0 for never")
	flag.Parse()
	err := measureChoice(*rounds, *most)
	if err == nil && *node != "" {
		err = run(*suite, *node, *each, *goal)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "jsonata:", err)
		os.Exit(1)
	}
}

func run(suite, modules string, each time.Duration, goal float64) error {
	reference, err := measureNode(suite, modules, each)
	if err != nil {
		return err
	}
	cases, err := readCases(suite)
	if err != nil {
		return err
	}
	type ratio struct {
		id    string
		times float64
	}
	var ratios []ratio
	sum := 0.0
	for _, c := range cases {
		theirs, ok := reference[c.ID]
		if !ok {
			continue
		}
		ours, ok := c.measure(each)
		if !ok {
			continue
		}
		times := theirs / ours
		ratios = append(ratios, ratio{c.ID, times})
		sum += math.Log(times)
	}
	if len(ratios) == 0 {
		return errors.New("no expression was evaluated on both sides")
	}
	slices.SortFunc(ratios, func(a, b ratio) int { return cmp.Compare(a.times, b.times) })
	mean := math.Exp(sum / float64(len(ratios)))
	fmt.Printf("%d expressions, geometric mean %.1f times as fast as jsonata under Node; median %.1f\n", len(ratios), mean, ratios[len(ratios)/2].times)
	for _, r := range ratios[:min(5, len(ratios))] {
		fmt.Printf("  %6.2f  %s\n", r.times, r.id)
	}
	if mean < goal {
		return fmt.Errorf("%.1f times is under the goal of %.1f", mean, goal)
	}
	return nil
}

// readCases reads the suite's cases that end with a result.
func readCases(suite string) ([]*measured, error) {
	var raw []struct {
		ID       string          `json:"id"`
		Expr     string          `json:"expr"`
		Data     json.RawMessage `json:"data"`
		Dataset  *string         `json:"dataset"`
		Bindings json.RawMessage `json:"bindings"`
		Code     string          `json:"code"`
		Error    any             `json:"error"`
		Limit    int             `json:"timelimit"`
	}
	var datasets map[string]json.RawMessage
	for name, to := range map[string]any{"cases.json": &raw, "datasets.json": &datasets} {
		text, err := os.ReadFile(filepath.Join(suite, name))
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			return nil, fmt.Errorf("read the suite: %w", err)
		}
	}
	var out []*measured
	for _, r := range raw {
		if r.Code != "" || r.Error != nil || r.Limit > 0 || strings.Contains(r.Expr, "$eval") {
			continue
		}
		m := &measured{ID: r.ID, Expr: r.Expr, bindings: jsonata.BindingMap{}}
		data := r.Data
		if r.Dataset != nil {
			data = datasets[*r.Dataset]
		}
		if data != nil {
			v, err := value.Parse(data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.ID, err)
			}
			m.input = &v
		}
		if v, err := value.Parse(r.Bindings); err == nil {
			for name, b := range v.Fields() {
				m.bindings[name] = b
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// measure gives the nanoseconds of an evaluation; false when it fails.
func (m *measured) measure(each time.Duration) (float64, bool) {
	e, err := jsonata.Compile(m.Expr)
	if err != nil {
		return 0, false
	}
	sc := &jsonata.Scope{Input: m.input, Bindings: m.bindings}
	if _, _, err := e.Eval(sc); err != nil {
		return 0, false
	}
	best := math.Inf(1)
	for begin := time.Now(); time.Since(begin) < each; {
		best = min(best, timeBatch(func() { _, _, _ = e.Eval(sc) })) // it gave no error before
	}
	return best, true
}

// batch is how many evaluations are timed together. The best batch counts on
// either side: what else the machine does makes others longer.
const batch = 20

const script = `
const jsonata = require(process.argv[2] + '/jsonata'), fs = require('fs'), dir = process.argv[3], each = +process.argv[4], batch = +process.argv[5];
const cases = JSON.parse(fs.readFileSync(dir + '/cases.json')), sets = JSON.parse(fs.readFileSync(dir + '/datasets.json'));
(async () => {
  const out = {};
  for (const c of cases) {
    if (c.code || c.error || c.timelimit || c.expr.includes('$eval')) continue;
    const input = c.dataset ? sets[c.dataset] : c.data;
    try {
      const e = jsonata(c.expr);
      await e.evaluate(input, c.bindings);
      let best = Infinity;
      for (const begin = process.hrtime.bigint(); Number(process.hrtime.bigint() - begin) < each;) {
        const start = process.hrtime.bigint();
        for (let i = 0; i < batch; i++) await e.evaluate(input, c.bindings);
        best = Math.min(best, Number(process.hrtime.bigint() - start) / batch);
      }
      out[c.id] = best;
    } catch (err) {}
  }
  console.log(JSON.stringify(out));
})();
`

// measureNode gives the nanoseconds of each expression under Node.
func measureNode(suite, modules string, each time.Duration) (map[string]float64, error) {
	modules, err := filepath.Abs(modules)
	if err != nil {
		return nil, err
	}
	suite, err = filepath.Abs(suite)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("node", "-e", script, "jsonata", modules, suite, fmt.Sprint(each.Nanoseconds()), fmt.Sprint(batch))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run node: %w: %s", err, stderr.String())
	}
	var out map[string]float64
	return out, json.Unmarshal(text, &out)
}
