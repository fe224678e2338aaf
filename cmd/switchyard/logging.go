package main

import (
	"bytes"
	"cmp"
	"io"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"switchyard/config"
	"switchyard/internal/safetext"
)

// logOptions are the flags that win over the config's log section.
type logOptions struct{ level, format string }

func logFlags(cmd *cobra.Command) *logOptions {
	var o logOptions
	cmd.Flags().StringVar(&o.level, "log-level", "", "least severe `level` that is logged: debug, info, warn or error")
	cmd.Flags().StringVar(&o.format, "log-format", "", "`form` of log lines: json, console, or auto (console on a terminal)")
	return &o
}

// over returns cfg with what the flags say instead.
func (o *logOptions) over(cfg config.Log) config.Log {
	return config.Log{Level: cmp.Or(o.level, cfg.Level), Format: cmp.Or(o.format, cfg.Format)}
}

// newLogger writes log lines to w: JSON for machines, one readable line each
// for people. What is not printable in them is escaped in either, so that no
// branch name can forge a line or steer a terminal: zap escapes the C0 control
// characters alone, and terminals obey C1 ones and bidirectional overrides too.
func newLogger(w io.Writer, cfg config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil || level > zapcore.ErrorLevel {
		return nil, usagef("unknown log level %q; known are debug, info, warn and error", cfg.Level)
	}
	format := cfg.Format
	if format == "auto" {
		format = "json"
		if isTerminal(w) {
			format = "console"
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey = "time"
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	var core zapcore.Core
	switch format {
	case "json":
		core = zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(lineWriter{w, safetext.JSON}), level)
	case "console":
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.ConsoleSeparator = "  " // a tab would be escaped
		core = zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(lineWriter{w, oneLine}), level)
	default:
		return nil, usagef("unknown log format %q; known are auto, json and console", cfg.Format)
	}
	return zap.New(core), nil
}

func oneLine(entry []byte) []byte {
	return append([]byte(safetext.Line(string(bytes.TrimSuffix(entry, []byte("\n"))))), '\n')
}

// lineWriter escapes each entry that zap writes, one call an entry.
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
