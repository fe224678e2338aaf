package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"switchyard/config"
	"switchyard/internal/safetext"
)

// logFlags adds the flags that win over the config's log section; empty ones
// do not.
func logFlags(cmd *cobra.Command, over *config.Log) {
	cmd.Flags().StringVar(&over.Level, "log-level", "", "least severe `level` that is logged: debug, info, warn, error")
	cmd.Flags().StringVar(&over.Format, "log-format", "", "json, console, or auto: console on a terminal")
}

// newLogger writes to w as cfg says, and as over says where it says something.
// Whatever the fields hold, an entry stays on one line and steers no terminal.
func newLogger(w io.Writer, out *output, cfg, over config.Log) (*zap.Logger, error) {
	if over.Level != "" {
		cfg.Level = over.Level
	}
	if over.Format != "" {
		cfg.Format = over.Format
	}
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil || level > zapcore.ErrorLevel {
		return nil, usagef("unknown log level %q; known are debug, info, warn, error", cfg.Level)
	}
	var enc zapcore.Encoder
	switch {
	case cfg.Format == "console", cfg.Format == "auto" && out.terminal:
		enc = newConsoleEncoder(out)
	case cfg.Format == "json", cfg.Format == "auto":
		enc = newJSONEncoder()
	default:
		return nil, usagef("unknown log format %q; known are auto, json, console", cfg.Format)
	}
	// Stack traces are for the programmer's own mistakes; of a failed delivery
	// they say nothing.
	core := zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel)), nil
}

func encoderConfig() zapcore.EncoderConfig {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "time"
	cfg.MessageKey = "message"
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	return cfg
}

// jsonEncoder writes what zap's does, with every unprintable rune escaped: zap
// escapes the C0 control characters alone, and a terminal that shows the log
// obeys the C1 ones and bidirectional overrides too.
type jsonEncoder struct{ zapcore.Encoder }

func newJSONEncoder() zapcore.Encoder {
	return jsonEncoder{zapcore.NewJSONEncoder(encoderConfig())}
}

func (e jsonEncoder) Clone() zapcore.Encoder { return jsonEncoder{e.Encoder.Clone()} }

func (e jsonEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	return rewrite(e.Encoder, entry, fields, func(line []byte) []byte { return safetext.JSON(line) })
}

// consoleEncoder is for people: time, level, name, message and the fields as
// JSON, on one line.
type consoleEncoder struct {
	zapcore.Encoder
	out *output
}

const consoleSeparator = "  "

func newConsoleEncoder(out *output) zapcore.Encoder {
	cfg := encoderConfig()
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.EncodeLevel = func(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(fmt.Sprintf("%-5s", l.CapitalString()))
	}
	cfg.CallerKey, cfg.StacktraceKey = zapcore.OmitKey, zapcore.OmitKey
	cfg.ConsoleSeparator = consoleSeparator
	return consoleEncoder{zapcore.NewConsoleEncoder(cfg), out}
}

func (e consoleEncoder) Clone() zapcore.Encoder { return consoleEncoder{e.Encoder.Clone(), e.out} }

func (e consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	return rewrite(e.Encoder, entry, fields, func(line []byte) []byte {
		safe := safetext.Line(string(bytes.TrimSuffix(line, []byte("\n"))))
		// Coloured last, so that the colours are the only escapes there are.
		// Before the level is the time alone, so the first match is the level.
		level := fmt.Sprintf("%s%-5s%s", consoleSeparator, entry.Level.CapitalString(), consoleSeparator)
		safe = strings.Replace(safe, level, consoleSeparator+e.paint(entry.Level)+consoleSeparator, 1)
		return []byte(safe + "\n")
	})
}

func (e consoleEncoder) paint(level zapcore.Level) string {
	text := fmt.Sprintf("%-5s", level.CapitalString())
	switch {
	case level >= zapcore.ErrorLevel:
		return e.out.bad(text)
	case level == zapcore.WarnLevel:
		return e.out.warn(text)
	case level == zapcore.DebugLevel:
		return e.out.dim(text)
	}
	return e.out.good(text)
}

func rewrite(enc zapcore.Encoder, entry zapcore.Entry, fields []zapcore.Field, safe func([]byte) []byte) (*buffer.Buffer, error) {
	buf, err := enc.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	// A copy first: what safe returns may be the buffer's own bytes.
	line := append([]byte(nil), safe(buf.Bytes())...)
	buf.Reset()
	if _, err := buf.Write(line); err != nil {
		return nil, err
	}
	return buf, nil
}
