package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"

	"switchyard/config"
)

const hostile = "refs/heads/a\r\nINFO forged \x1b[2J\u202e\u009b1m\a"

func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []string{"json", "console", "auto"} {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			log, err := newLogger(&b, config.Log{Format: format, Level: "info"})
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("not at this level")
			log.With(zap.String("ref", hostile)).Named("webhook").Error("delivery refused",
				zap.String("repo", hostile), zap.Error(errors.New(hostile)), zap.Strings(hostile, []string{hostile}))
			line, ok := strings.CutSuffix(b.String(), "\n")
			if !ok || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not one printable line: %q", b.String())
			}
			if !strings.Contains(line, "delivery refused") || !strings.Contains(line, "webhook") {
				t.Errorf("message or name are not in %q", line)
			}
		})
	}
}

func TestJSONLogKeepsValues(t *testing.T) {
	var b bytes.Buffer
	log, err := newLogger(&b, config.Log{Format: "json", Level: "info"})
	if err != nil {
		t.Fatal(err)
	}
	log.Named("dispatch").Info("started", zap.String("repo", hostile))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["repo"] != hostile || got["msg"] != "started" || got["level"] != "info" || got["logger"] != "dispatch" {
		t.Errorf("got %v", got)
	}
}

func TestLogFlagsWinOverTheConfig(t *testing.T) {
	cfg := config.Log{Format: "json", Level: "error"}
	if got := (&logOptions{}).over(cfg); got != cfg {
		t.Errorf("without flags: got %+v", got)
	}
	if got := (&logOptions{level: "debug", format: "console"}).over(cfg); got != (config.Log{Format: "console", Level: "debug"}) {
		t.Errorf("with flags: got %+v", got)
	}
}

func TestUnknownLogSettingsAreUsageErrors(t *testing.T) {
	for _, cfg := range []config.Log{{Level: "loud", Format: "auto"}, {Level: "panic", Format: "auto"}, {Level: "info", Format: "xml"}} {
		_, err := newLogger(io.Discard, cfg)
		var usage *usageError
		if !errors.As(err, &usage) {
			t.Errorf("%+v: got %v", cfg, err)
		}
	}
}
