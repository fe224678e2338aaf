package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"go.uber.org/zap"

	"switchyard/config"
)

const hostile = "\x1b[31m\u009b2J\u202e\a\r\nINFO  forged"

func noEnv(string) (string, bool) { return "", false }

func logOf(t *testing.T, cfg config.Log, use func(*zap.Logger)) string {
	t.Helper()
	var b bytes.Buffer
	log, err := newLogger(&b, newOutput(&b, noEnv), cfg, config.Log{})
	if err != nil {
		t.Fatal(err)
	}
	use(log)
	return b.String()
}

func TestLogEntriesStayOnOneLine(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			text := logOf(t, config.Log{Format: format, Level: "info"}, func(log *zap.Logger) {
				log.With(zap.String("ref", hostile)).Named("webhook").Error("delivery refused",
					zap.String("repo", hostile), zap.Error(errors.New(hostile)), zap.Strings(hostile, []string{hostile}))
			})
			line, ok := strings.CutSuffix(text, "\n")
			if !ok || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("got %q", text)
			}
			if !strings.Contains(line, "delivery refused") || !strings.Contains(line, "webhook") {
				t.Errorf("the entry lost its message or name: %q", line)
			}
		})
	}
}

func TestJSONLogKeepsValues(t *testing.T) {
	text := logOf(t, config.Log{Format: "json", Level: "info"}, func(log *zap.Logger) {
		log.Named("dispatch").Info("started", zap.String("repo", hostile))
	})
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got["repo"] != hostile || got["message"] != "started" || got["level"] != "info" || got["logger"] != "dispatch" {
		t.Errorf("got %v", got)
	}
}

func TestLogFormatFollowsTheTerminal(t *testing.T) {
	var b bytes.Buffer
	plain := newOutput(&b, noEnv)
	terminal := &output{Writer: &b, terminal: true, render: lipgloss.NewRenderer(&b)}
	for name, row := range map[string]struct {
		out  *output
		cfg  config.Log
		over config.Log
		json bool
	}{
		"auto, no terminal":   {plain, config.Log{Format: "auto", Level: "info"}, config.Log{}, true},
		"auto, terminal":      {terminal, config.Log{Format: "auto", Level: "info"}, config.Log{}, false},
		"json on a terminal":  {terminal, config.Log{Format: "json", Level: "info"}, config.Log{}, true},
		"flag wins":           {plain, config.Log{Format: "json", Level: "info"}, config.Log{Format: "console"}, false},
		"level from the flag": {plain, config.Log{Format: "json", Level: "error"}, config.Log{Level: "info"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b.Reset()
			log, err := newLogger(&b, row.out, row.cfg, row.over)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("hello")
			log.Debug("too much")
			if got := json.Valid(b.Bytes()); got != row.json || !strings.Contains(b.String(), "hello") || strings.Contains(b.String(), "too much") {
				t.Errorf("got %q, want JSON: %v", b.String(), row.json)
			}
		})
	}
}

func TestUnknownLogSettingsAreUsageErrors(t *testing.T) {
	out := newOutput(io.Discard, noEnv)
	for _, over := range []config.Log{{Level: "loud"}, {Level: "panic"}, {Format: "xml"}} {
		_, err := newLogger(io.Discard, out, config.Log{Format: "auto", Level: "info"}, over)
		var usage *usageError
		if !errors.As(err, &usage) {
			t.Errorf("%+v: got %v", over, err)
		}
	}
}
