package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"switchyard/config"
	"switchyard/internal/safetext"
)

// newLogger writes log lines to w: JSON for machines, one readable line each
// for people. What is not printable in them is escaped in either, so that no
// branch name can forge a line or steer a terminal.
func newLogger(w io.Writer, cfg config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	format := cfg.Format
	if format == "auto" {
		format = "json"
		if isTerminal(w) {
			format = "console"
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder, escape := zapcore.NewJSONEncoder(enc), safetext.JSON
	if format == "console" {
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder, escape = zapcore.NewConsoleEncoder(enc), func(line []byte) []byte { return []byte(safetext.Block(string(line))) }
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(lineWriter{w, escape}), level)), nil
}

// lineWriter escapes each line that zap writes, one call a line.
type lineWriter struct {
	w      io.Writer
	escape func([]byte) []byte
}

func (l lineWriter) Write(p []byte) (int, error) {
	if _, err := l.w.Write(l.escape(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l lineWriter) Sync() error { return nil }
