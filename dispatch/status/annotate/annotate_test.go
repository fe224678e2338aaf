package annotate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch/status"
)

// root takes what lies in the folder of a build.
func root(p string) (string, bool) { return strings.CutPrefix(p, "/data/builds/7/src/") }

func at(level status.Level, path string, line, column int, title, message string) status.Annotation {
	return status.Annotation{Path: path, Line: line, EndLine: line, Column: column, Level: level, Title: title, Message: message}
}

func TestLogOfEachTool(t *testing.T) {
	for name, row := range map[string]struct {
		log  string
		want []status.Annotation
	}{
		"go build":     {"# example.test/api/cmd\ncmd/main.go:14:7: undefined: frobnicate\n", []status.Annotation{at("failure", "cmd/main.go", 14, 7, "", "undefined: frobnicate")}},
		"go vet":       {"vet: ./a.go:9:2: x declared and not used", []status.Annotation{at("failure", "a.go", 9, 2, "", "x declared and not used")}},
		"gcc":          {"src/io.c: In function 'main':\nsrc/io.c:3:10: fatal error: none.h: No such file or directory\nsrc/io.c:9:1: warning: unused [-Wunused]\nsrc/io.c:9:1: note: here\n", []status.Annotation{at("failure", "src/io.c", 3, 10, "", "none.h: No such file or directory"), at("warning", "src/io.c", 9, 1, "", "unused [-Wunused]")}},
		"clang, inked": {"\x1b[1msrc/a.cc:1:2: \x1b[0m\x1b[0;1;31merror: \x1b[0mexpected ';'\r\n", []status.Annotation{at("failure", "src/a.cc", 1, 2, "", "expected ';'")}},
		"tsc":          {"src/app.ts(12,5): error TS2322: Type 'string' is not assignable to type 'number'.", []status.Annotation{at("failure", "src/app.ts", 12, 5, "TS2322", "Type 'string' is not assignable to type 'number'.")}},
		"tsc --pretty": {"src/app.ts:12:5 - error TS2322: Not assignable.", []status.Annotation{at("failure", "src/app.ts", 12, 5, "TS2322", "Not assignable.")}},
		"eslint": {"\n/data/builds/7/src/web/a b.js\n   1:10  error    'x' is defined but never used  no-unused-vars\n  22:1   warning  Unexpected console statement   no-console\n\n✖ 2 problems\n",
			[]status.Annotation{at("failure", "web/a b.js", 1, 10, "no-unused-vars", "'x' is defined but never used"), at("warning", "web/a b.js", 22, 1, "no-console", "Unexpected console statement")}},
		"eslint, unix": {"/data/builds/7/src/a.js:1:10: 'x' is never used. [Error/no-unused-vars]", []status.Annotation{at("failure", "a.js", 1, 10, "no-unused-vars", "'x' is never used.")}},
		"pytest":       {"    def test_sum():\n>       assert add(1, 2) == 4\nE       assert 3 == 4\nE        +  where 3 = add(1, 2)\n\ntests/test_sum.py:7: AssertionError\n", []status.Annotation{at("failure", "tests/test_sum.py", 7, 0, "AssertionError", "assert 3 == 4")}},
		"python": {"Traceback (most recent call last):\n  File \"/data/builds/7/src/run.py\", line 30, in <module>\n    main()\n  File \"run.py\", line 8, in main\n    json.loads(x)\n  File \"/usr/lib/python3.11/json/__init__.py\", line 346, in loads\n    return f(x)\njson.decoder.JSONDecodeError: Expecting value: line 1\nthen\n",
			[]status.Annotation{at("failure", "run.py", 8, 0, "json.decoder.JSONDecodeError", "json.decoder.JSONDecodeError: Expecting value: line 1")}},
		"rustc":             {"error[E0308]: mismatched types\n  --> src/main.rs:4:18\n   |\n4  |     let x: i32 = \"a\";\n\nwarning: unused variable: `y`\n --> src/lib.rs:2:9\n\nerror: aborting due to 1 previous error\n", []status.Annotation{at("failure", "src/main.rs", 4, 18, "E0308", "mismatched types"), at("warning", "src/lib.rs", 2, 9, "", "unused variable: `y`")}},
		"javac":             {"src/main/java/A.java:5: error: cannot find symbol\n        foo();\n        ^\n", []status.Annotation{at("failure", "src/main/java/A.java", 5, 0, "", "cannot find symbol")}},
		"maven":             {"[ERROR] /data/builds/7/src/A.java:[5,9] cannot find symbol\n[WARNING] /data/builds/7/src/B.java:[1,1] deprecated", []status.Annotation{at("failure", "A.java", 5, 9, "", "cannot find symbol"), at("warning", "B.java", 1, 1, "", "deprecated")}},
		"the same twice":    {"a.go:1:1: x\na.go:1:1: x\n", []status.Annotation{at("failure", "a.go", 1, 1, "", "x")}},
		"no complaint":      {"10:30:05 error: late\nhttp://host:80:1: error: x\nINFO 12:00:01: done\nerror: nothing to do\nSee a.go:5 for more\n", nil},
		"elsewhere":         {"/usr/include/x.h:1:1: error: x\n../up.c:1:1: error: x\na/../../up.c:1:1: error: x\nnode_modules/x/a.ts(1,1): error TS1: x\n/etc/passwd:1:1: error: x\n", nil},
		"no such line":      {"a.c:0:1: error: x\na.c:99999999999999999999:1: error: x\n", nil},
		"a line of 1 MB":    {"a.c:1:1: error: " + strings.Repeat("x", 1<<20) + "\nb.c:2:2: error: y\n", []status.Annotation{at("failure", "a.c", 1, 1, "", strings.Repeat("x", maxMessage)+"…"), at("failure", "b.c", 2, 2, "", "y")}},
		"hostile":           {"a\x00.c:1:1: error: x\na.c:1:1: error: \xff\x00!\n", []status.Annotation{at("failure", "a.c", 1, 1, "", "\uFFFD!")}},
		"a Windows path":    {`src\a.ts(1,2): error TS1: x`, []status.Annotation{at("failure", "src/a.ts", 1, 2, "TS1", "x")}},
		"no message at all": {"a.c:1:1: error: \n", []status.Annotation{at("failure", "a.c", 1, 1, "", "failure")}},
	} {
		t.Run(name, func(t *testing.T) {
			c := Collector{Root: root}
			if err := c.Log(strings.NewReader(row.log)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, c.Annotations()); diff != "" && len(row.want)+len(c.Annotations()) > 0 {
				t.Error(diff)
			}
		})
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	var log strings.Builder
	for range 10_000 {
		log.WriteString("w.c:1:1: warning: " + strings.Repeat("w", log.Len()%97) + "\n")
	}
	log.WriteString("z.c:1:1: error: x\n")
	var c Collector
	if err := c.Log(strings.NewReader(log.String())); err != nil {
		t.Fatal(err)
	}
	if all := c.Annotations(); len(all) > Max || all[0].Path != "z.c" {
		t.Errorf("%d, the first is %+v", len(all), all[0])
	}
}

func TestJUnit(t *testing.T) {
	for name, row := range map[string]struct {
		report string
		want   status.Tests
		found  []status.Annotation
		broken bool
	}{
		"pytest": {`<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="3">
<testcase classname="tests.test_sum" name="test_ok" time="0.1"/>
<testcase classname="tests.test_sum" name="test_sum"><failure message="assert 3 == 4">def test_sum():
E       assert 3 == 4

tests/test_sum.py:7: AssertionError</failure></testcase>
<testcase classname="tests.test_sum" name="test_later"><skipped/></testcase></testsuite></testsuites>`,
			status.Tests{Total: 3, Failed: 1, Skipped: 1, Failures: []status.TestFailure{{Name: "tests.test_sum: test_sum", Message: "assert 3 == 4"}}},
			[]status.Annotation{at("failure", "tests/test_sum.py", 7, 0, "tests.test_sum: test_sum", "assert 3 == 4")}, false},
		"with a place": {`<testsuite><testcase name="adds" file="web/sum.test.js" line="12"><error type="TypeError"/></testcase></testsuite>`,
			status.Tests{Total: 1, Failed: 1, Failures: []status.TestFailure{{Name: "adds", Message: "TypeError"}}},
			[]status.Annotation{at("failure", "web/sum.test.js", 12, 0, "adds", "TypeError")}, false},
		"without": {`<testsuite><testcase name="TestA" classname="api"><failure message="Failed">    a_test.go:5: no</failure></testcase></testsuite>`,
			status.Tests{Total: 1, Failed: 1, Failures: []status.TestFailure{{Name: "api: TestA", Message: "Failed"}}}, nil, false},
		"no tests":      {`<testsuites/>`, status.Tests{}, nil, false},
		"another form":  {`<html><body/></html>`, status.Tests{}, nil, true},
		"not XML":       {`{"tests": 1}`, status.Tests{}, nil, true},
		"it breaks off": {`<testsuite><testcase name="a"/><testcase name="b"`, status.Tests{Total: 1}, nil, true},
		"entities":      {`<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite><testcase name="&a;&a;"/></testsuite>`, status.Tests{}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c Collector
			var got status.Tests
			if err := c.JUnit(strings.NewReader(row.report), &got); (err != nil) != row.broken {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(row.found, c.Annotations()); diff != "" && len(row.found)+len(c.Annotations()) > 0 {
				t.Error(diff)
			}
		})
	}
}

func FuzzLog(f *testing.F) {
	for _, seed := range []string{"a.go:1:2: x\n", "a.ts(1,2): error TS1: x", "error[E1]: x\n --> a.rs:1:1\n", "Traceback (most recent call last):\n  File \"a.py\", line 3\nError: x\n", "a.js\n  1:1  error  x  y\n", "E   x\na.py:1: AssertionError\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, log string) {
		c := Collector{Root: root}
		if err := c.Log(strings.NewReader(log)); err != nil {
			t.Fatal(err)
		}
		for _, a := range c.Annotations() {
			if p, ok := c.relative(a.Path); !ok || p != a.Path || a.Line < 1 || a.EndLine < a.Line || a.Message == "" || a.Column < 0 {
				t.Errorf("%+v", a)
			}
		}
	})
}

func FuzzJUnit(f *testing.F) {
	f.Add(`<testsuite><testcase name="a" file="b" line="3"><failure message="m">t</failure></testcase></testsuite>`)
	f.Fuzz(func(t *testing.T, report string) {
		var c Collector
		var got status.Tests
		_ = c.JUnit(strings.NewReader(report), &got)
		if got.Failed > got.Total || len(got.Failures) > maxFailures {
			t.Errorf("%+v", got)
		}
	})
}
