package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/zap"

	"switchyard/config"
)

func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []string{"json", "console", "auto"} {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			log, err := newLogger(&b, config.Log{Format: format, Level: "info"})
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("not at this level")
			log.Info("delivery accepted", zap.String("ref", "refs/heads/a\nINFO forged \x1b[2J\u202e\u009b1m"))
			text := b.String()
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
				t.Errorf("not one line: %q", text)
			}
			for _, bad := range []string{"\x1b", "\u202e", "\u009b"} {
				if strings.Contains(text, bad) {
					t.Errorf("%q is in %q", bad, text)
				}
			}
			if !strings.Contains(text, "delivery accepted") {
				t.Errorf("the message is not in %q", text)
			}
		})
	}
}
