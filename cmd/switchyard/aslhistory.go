package main

import (
	"fmt"
	"strings"
	"time"

	"switchyard/asl/trace"
	"switchyard/internal/safetext"
)

// maxProblem is how many characters of an error a table shows.
const maxProblem = 100

// showTrace writes an execution as a table: a state to a row, and an attempt to
// a row where there was more than one.
func showTrace(t *trace.Trace, o *output) error {
	var rows [][]string
	var walk func(v *trace.Visit, depth int)
	walk = func(v *trace.Visit, depth int) {
		rows = append(rows, attemptRows(t, v, depth)...)
		for _, c := range v.Children {
			walk(c, depth+1)
		}
	}
	for _, v := range t.Root.Children {
		walk(v, 0)
	}
	return o.table([]string{"at", "took", "state", "type", "result"}, rows)
}

// attemptRows are the rows of a visit: one for the state, and one for each
// attempt where there was more than one.
func attemptRows(t *trace.Trace, v *trace.Visit, depth int) [][]string {
	indent := strings.Repeat("  ", depth)
	name, kind := v.Name, v.Kind
	switch v.Kind {
	case trace.Iteration:
		name, kind = fmt.Sprintf("[%d]", v.Index), ""
	case trace.Branch:
		return [][]string{{sinceStart(t, v.Entered), "", fmt.Sprintf("%sbranch %d", indent, v.Index+1), "", ""}}
	}
	if v.Resource != "" {
		kind += " " + v.Resource
	}
	n := len(v.Tries)
	result, until := v.Result, v.Left
	if v.Left == 0 {
		until = t.Last
		result = "not left"
		if v.Kind == "Fail" || t.Failed && len(v.Children) > 0 || n > 0 && v.Tries[n-1].Error != "" {
			result = trace.Failed
		}
	}
	if n == 1 && result != trace.OK && v.Tries[0].Error != "" {
		result += " " + oneProblem(v.Tries[0].Problem())
	}
	all := [][]string{{sinceStart(t, v.Entered), duration(until - v.Entered), indent + name, kind, result}}
	if n < 2 {
		return all
	}
	for i, try := range v.Tries {
		outcome, took := trace.OK, ""
		switch {
		case try.Error != "":
			outcome = oneProblem(try.Problem())
		case try.Failed:
			outcome = trace.Failed
		case try.Ended == 0:
			outcome = "not ended"
		}
		if try.Ended > 0 {
			took = duration(try.Ended - try.At)
		}
		all = append(all, []string{sinceStart(t, try.At), took, fmt.Sprintf("%s  attempt %d", indent, i+1), "", outcome})
	}
	return all
}

func sinceStart(t *trace.Trace, at int64) string { return "+" + duration(at-t.Started) }

func duration(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func oneProblem(problem string) string { return safetext.Cut(safetext.Line(problem), maxProblem) }
