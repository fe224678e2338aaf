package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func noEnv(string) (string, bool) { return "", false }

func TestTableIsPlainAwayFromATerminal(t *testing.T) {
	var b bytes.Buffer
	o := newOutput(&b, noEnv)
	if err := o.table([]string{"name", "branch"}, [][]string{{"a", "feature/x"}, {"longer", "\x1b[2J\nforged"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME    BRANCH\na       feature/x\nlonger  \\x1b[2J\\nforged\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if o.good("x")+o.bad("x")+o.warn("x")+o.dim("x")+o.bold("x") != "xxxxx" {
		t.Error("coloured away from a terminal")
	}
}

func TestTableIsDrawnOnATerminal(t *testing.T) {
	var b bytes.Buffer
	o := &output{Writer: &b, terminal: true, render: lipgloss.NewRenderer(&b)}
	if err := o.table([]string{"name"}, [][]string{{"\x1b[2J"}}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "╭") || !strings.Contains(got, `\x1b[2J`) || strings.Contains(got, "\x1b[2J") {
		t.Errorf("got\n%s", got)
	}
}

func TestNoColorAndDumbTerminalsAreHonoured(t *testing.T) {
	for name, row := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"terminal": {map[string]string{"TERM": "xterm"}, true},
		"NO_COLOR": {map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		"empty":    {map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		"dumb":     {map[string]string{"TERM": "dumb"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			get := func(name string) (string, bool) { v, ok := row.env[name]; return v, ok }
			if got := wantsColour(true, get); got != row.want {
				t.Errorf("got %v", got)
			}
			if wantsColour(false, get) {
				t.Error("colour away from a terminal")
			}
		})
	}
}

func TestLogOnATerminalIsEscapedAndWhole(t *testing.T) {
	var out strings.Builder
	w := &safeWriter{w: &out}
	text := "one\n\x1b[2Jtwo \u202e\nthree \xc3"
	for i := range len(text) { // as the network may cut it
		if _, err := w.Write([]byte(text[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	if want := "one\n\\x1b[2Jtwo \\u202e\nthree \\xc3"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
