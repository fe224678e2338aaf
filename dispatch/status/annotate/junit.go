package annotate

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"switchyard/dispatch/status"
)

// maxFailures is how many tests that failed are named.
const maxFailures = 20

// testcase is one of a report in JUnit's form, as JUnit, pytest, Jest, gotestsum
// and others write it.
type testcase struct {
	Name     string    `xml:"name,attr"`
	Class    string    `xml:"classname,attr"`
	File     string    `xml:"file,attr"`
	Line     int       `xml:"line,attr"`
	Failures []result  `xml:"failure"`
	Errors   []result  `xml:"error"`
	Skipped  *struct{} `xml:"skipped"`
}

type result struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit reads a report in JUnit's form into t, and annotates the tests that failed
// where the report or what the test printed says in which line. An error says that
// it is no such report; what was read before stays.
func (c *Collector) JUnit(r io.Reader, t *status.Tests) error {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	known := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && known {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not a report in JUnit's form: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "testsuites", "testsuite":
			known = true
		case "testcase":
			var one testcase
			if err := d.DecodeElement(&one, &start); err != nil {
				return fmt.Errorf("not a report in JUnit's form: %w", err)
			}
			c.test(&one, t)
		default:
			if !known {
				return fmt.Errorf("not a report in JUnit's form: it begins with <%.40s>", start.Name.Local)
			}
		}
	}
}

func (c *Collector) test(one *testcase, t *status.Tests) {
	t.Total++
	failed := slices.Concat(one.Failures, one.Errors)
	switch {
	case len(failed) == 0 && one.Skipped != nil:
		t.Skipped++
		return
	case len(failed) == 0:
		return
	}
	t.Failed++
	name := one.Name
	if one.Class != "" {
		name = one.Class + ": " + one.Name
	}
	name = cut(name, maxTitle)
	first := failed[0]
	message := cut(strings.TrimSpace(cmp.Or(strings.TrimSpace(first.Message), strings.TrimSpace(first.Text), first.Type)), maxMessage)
	if len(t.Failures) < maxFailures {
		t.Failures = append(t.Failures, status.TestFailure{Name: name, Message: message})
	}
	if one.File != "" && one.Line > 0 {
		c.add(status.Annotation{Path: one.File, Line: one.Line, Level: status.Failure, Title: name, Message: message})
		return
	}
	// What the test printed may say where.
	inner := Collector{Root: c.Root}
	if err := inner.Log(strings.NewReader(first.Text)); err == nil && len(inner.all) > 0 {
		a := inner.all[len(inner.all)-1]
		a.Title, a.Message = name, message
		c.add(a)
	}
}
