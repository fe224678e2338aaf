package annotate

import (
	"regexp"
	"strings"

	"switchyard/dispatch/status"
)

// matcher recognises a complaint that stands on a line of its own. Its groups are
// file, line, col, level, title and message, as far as there are such.
type matcher struct {
	pattern *regexp.Regexp
	level   status.Level // where the line does not say
}

func re(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

// matchers are tried in this order; the forms are those that the tools print.
var matchers = []matcher{
	// tsc: src/a.ts(3,5): error TS2304: …, and with colours src/a.ts:3:5 - error TS2304: …
	{re(`^(?P<file>[^\s(][^(]*)\((?P<line>\d+),(?P<col>\d+)\): (?P<level>error|warning) (?P<title>[A-Z]+\d+): (?P<message>.*)$`), ""},
	{re(`^(?P<file>\S.*?):(?P<line>\d+):(?P<col>\d+) - (?P<level>error|warning) (?P<title>TS\d+): (?P<message>.*)$`), ""},
	// Maven: [ERROR] /src/A.java:[3,5] …
	{re(`^\[(?P<level>ERROR|WARNING)\] (?P<file>\S.*?):\[(?P<line>\d+),(?P<col>\d+)\] (?P<message>.*)$`), ""},
	// eslint --format unix: a.js:3:5: … [Error/rule]
	{re(`^(?P<file>\S.*?):(?P<line>\d+):(?P<col>\d+): (?P<message>.*) \[(?P<level>Error|Warning)/(?P<title>[^\]]+)\]$`), ""},
	// gcc, clang: a.c:3:5: error: …
	{re(`^(?P<file>\S.*?):(?P<line>\d+):(?P<col>\d+): (?:fatal )?(?P<level>error|warning): (?P<message>.*)$`), ""},
	// javac: A.java:3: error: …; gcc without columns
	{re(`^(?P<file>\S.*?):(?P<line>\d+): (?P<level>error|warning): (?P<message>.*)$`), ""},
	// go build and vet: ./a.go:3:5: …; linters for Go print the same
	{re(`^(?:vet: )?(?P<file>\S.*?\.go):(?P<line>\d+):(?P<col>\d+): (?P<message>.*)$`), status.Failure},
}

var (
	// eslint's usual form has the file on a line of its own, and below it
	// "  3:5  error  …  rule".
	eslintFile = re(`^(\S.*\.[A-Za-z]{1,5})$`)
	eslintLine = re(`^\s+(\d+):(\d+)\s+(error|warning)\s+(.*?)(?:\s{2,}(\S+))?$`)
	// rustc: error[E0308]: …, and below it "  --> src/a.rs:3:5".
	rustHead  = re(`^(error|warning)(\[\w+\])?: (.*)$`)
	rustPlace = re(`^\s*--> (.+):(\d+):(\d+)$`)
	// pytest: "E   …" above "tests/test_a.py:3: AssertionError".
	pytestSays  = re(`^E\s{2,}(\S.*)$`)
	pytestPlace = re(`^(\S+\.py):(\d+): (\w*(?:Error|Exception|Failed|Exit|Interrupt)\w*)$`)
	// Python: File "a.py", line 3, in f; the last of a traceback is where it happened.
	pythonHead  = re(`^Traceback \(most recent call last\):$`)
	pythonPlace = re(`^\s+File "([^"]+)", line (\d+)`)
	pythonEnd   = re(`^([A-Za-z_][\w.]*)(?:: (.*))?$`)
)

// scanner reads lines, some of which only tell together.
type scanner struct {
	c *Collector

	eslint    string             // the file
	rust      *status.Annotation // that waits for its place
	pytest    string             // what was said
	traceback bool
	python    status.Annotation // the newest place in a traceback
}

func (s *scanner) line(line string) {
	if s.python3(line) || s.rustc(line) || s.eslinted(line) || s.pytested(line) {
		return
	}
	for _, m := range matchers {
		found := m.pattern.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		a := status.Annotation{Level: m.level}
		for i, name := range m.pattern.SubexpNames() {
			switch name {
			case "file":
				a.Path = found[i]
			case "line":
				a.Line = number(found[i])
			case "col":
				a.Column = number(found[i])
			case "level":
				a.Level = level(found[i])
			case "title":
				a.Title = found[i]
			case "message":
				a.Message = found[i]
			}
		}
		s.c.add(a)
		return
	}
}

func (s *scanner) python3(line string) bool {
	switch {
	case pythonHead.MatchString(line):
		s.traceback, s.python = true, status.Annotation{}
		return true
	case !s.traceback:
		return false
	}
	if f := pythonPlace.FindStringSubmatch(line); f != nil {
		// The last one in the repository: below it may be a library.
		if _, ours := s.c.relative(f[1]); ours {
			s.python = status.Annotation{Path: f[1], Line: number(f[2]), Level: status.Failure}
		}
		return true
	}
	if strings.HasPrefix(line, " ") || line == "" {
		return true
	}
	s.traceback = false
	if f := pythonEnd.FindStringSubmatch(line); f != nil && s.python.Line > 0 {
		s.python.Title, s.python.Message = f[1], line
		s.c.add(s.python)
		return true
	}
	return false
}

func (s *scanner) rustc(line string) bool {
	if f := rustPlace.FindStringSubmatch(line); f != nil && s.rust != nil {
		s.rust.Path, s.rust.Line, s.rust.Column = f[1], number(f[2]), number(f[3])
		s.c.add(*s.rust)
		s.rust = nil
		return true
	}
	s.rust = nil
	if f := rustHead.FindStringSubmatch(line); f != nil {
		s.rust = &status.Annotation{Level: level(f[1]), Title: strings.Trim(f[2], "[]"), Message: f[3]}
		return true
	}
	return false
}

func (s *scanner) eslinted(line string) bool {
	if f := eslintLine.FindStringSubmatch(line); f != nil && s.eslint != "" {
		s.c.add(status.Annotation{Path: s.eslint, Line: number(f[1]), Column: number(f[2]), Level: level(f[3]), Message: f[4], Title: f[5]})
		return true
	}
	s.eslint = ""
	if f := eslintFile.FindStringSubmatch(line); f != nil {
		s.eslint = f[1]
		return true
	}
	return false
}

func (s *scanner) pytested(line string) bool {
	if f := pytestSays.FindStringSubmatch(line); f != nil {
		if s.pytest == "" {
			s.pytest = f[1]
		}
		return true
	}
	if f := pytestPlace.FindStringSubmatch(line); f != nil {
		s.c.add(status.Annotation{Path: f[1], Line: number(f[2]), Level: status.Failure, Title: f[3], Message: s.pytest})
		s.pytest = ""
		return true
	}
	return false
}
