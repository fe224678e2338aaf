package asltest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"switchyard/internal/safetext"
)

type junitSuites struct {
	XMLName xml.Name      `xml:"testsuites"`
	Suites  []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`

	took time.Duration
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes results as JUnit's XML, a suite for each test file.
func WriteJUnit(w io.Writer, results []*Result) error {
	var all junitSuites
	for _, r := range results {
		file := safetext.Line(r.File)
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != file {
			all.Suites = append(all.Suites, &junitSuite{Name: file})
		}
		s := all.Suites[len(all.Suites)-1]
		c := junitCase{Name: safetext.Line(r.Name), Class: file, File: file, Time: seconds(r.Took)}
		if !r.Passed() {
			s.Failures++
			c.Failure = &junitFailure{Message: safetext.Line(r.Differences[0]), Text: safetext.Block(strings.Join(r.Differences, "\n"))}
		}
		s.Tests++
		s.took += r.Took
		s.Time = seconds(s.took)
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
