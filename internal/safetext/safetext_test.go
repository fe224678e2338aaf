package safetext_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/safetext"
)

func TestLineEscapesWhatATerminalWouldObey(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"plain":             {"feature/login", "feature/login"},
		"other scripts":     {"função/日本語/é", "função/日本語/é"},
		"emoji":             {"ship it 🚀", "ship it 🚀"},
		"empty":             {"", ""},
		"escape sequence":   {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"window title":      {"\x1b]0;pwned\a", `\x1b]0;pwned\x07`},
		"8-bit CSI":         {"\u009b31m", `\u009b31m`},
		"line break":        {"ok\nfailed: none", `ok\nfailed: none`},
		"carriage return":   {"bad\rgood", `bad\rgood`},
		"tab":               {"a\tb", `a\tb`},
		"nul and delete":    {"a\x00b\x7f", `a\x00b\x7f`},
		"right-to-left":     {"exe.\u202egnp", `exe.\u202egnp`},
		"zero width":        {"ma\u200bin", `ma\u200bin`},
		"line separator":    {"a\u2028b", `a\u2028b`},
		"no-break space":    {"a\u00a0b", `a\u00a0b`},
		"tag characters":    {"a\U000e0041", `a\U000e0041`},
		"invalid UTF-8":     {"a\xff\xfeb", `a\xff\xfeb`},
		"replacement rune":  {"a\ufffdb", "a\ufffdb"},
		"backslash is kept": {`C:\x1b`, `C:\x1b`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := safetext.Line(row.in); got != row.want {
				t.Errorf("Line(%q) = %q, want %q", row.in, got, row.want)
			}
		})
	}
}

func TestBlockKeepsLinesAndTabsOnly(t *testing.T) {
	got := safetext.Block("one\n\ttwo\r\n\x1b[2Jthree")
	if want := "one\n\ttwo\\r\n\\x1b[2Jthree"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSONKeepsTheValue(t *testing.T) {
	in := "{\n  \"a\": \"\u009b31m \u202e \U000e0041 \x7f é\"\n}\n"
	got := string(safetext.JSON([]byte(in)))
	if want := "{\n  \"a\": \"\\u009b31m \\u202e \\udb40\\udc41 \\u007f é\"\n}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var before, after any
	if err := json.Unmarshal([]byte(in), &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

func TestCutCountsRunes(t *testing.T) {
	for _, row := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"a", 0, ""}, {"", 5, ""}, {"ab", 1, "…"},
	} {
		if got := safetext.Cut(row.in, row.n); got != row.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", row.in, row.n, got, row.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[31m", "a\u202eb\xff", "\U000e0041\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := safetext.Line(s)
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Line(%q) = %q is not printable", s, line)
		}
		if safetext.Line(line) != line {
			t.Errorf("Line is not stable on %q", line)
		}
		for r := range strings.SplitSeq(safetext.Block(s), "\n") {
			if strings.ContainsFunc(r, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
				t.Errorf("Block(%q) is not printable: %q", s, r)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, "\"\u009b\U000e0041\"", "[\"\x7f\"]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		safe := safetext.JSON([]byte(s))
		if !json.Valid([]byte(s)) || !utf8.ValidString(s) {
			return
		}
		var before, after any
		if err := json.Unmarshal([]byte(s), &before); err != nil {
			t.Skip()
		}
		if err := json.Unmarshal(safe, &after); err != nil {
			t.Fatalf("JSON(%q) = %q: %v", s, safe, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPanicTellsNoValue(t *testing.T) {
	caught := func(f func()) (text string) {
		defer func() { text = safetext.Panic(recover()) }()
		f()
		return ""
	}
	for name, row := range map[string]struct {
		f    func()
		want string
	}{
		"run-time error": {func() { _ = []int{}[len(os.Args)+6:][0] }, "runtime error: slice bounds out of range"},
		"type":           {func() { _ = any("s3cret").(int) }, "interface conversion: interface {} is string, not int"},
		"text":           {func() { panic("s3cret") }, "panic with a string"},
		"error":          {func() { panic(errors.New("s3cret")) }, "panic with a *errors.errorString"},
		"nothing":        {func() { panic(nil) }, "panic called with nil argument"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := caught(row.f); !strings.HasPrefix(got, row.want) || strings.Contains(got, "s3cret") {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestUniqueIsNeverShared(t *testing.T) {
	long := strings.Repeat("é", 40)
	if got := safetext.Unique(long, 40); got != long {
		t.Errorf("%q", got)
	}
	a, b := safetext.Unique(long+"a", 40), safetext.Unique(long+"b", 40)
	if a == b || a != safetext.Unique(long+"a", 40) || utf8.RuneCountInString(a) != 40 || !strings.HasPrefix(a, "éééé") {
		t.Errorf("%q, %q", a, b)
	}
}
