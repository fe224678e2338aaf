package asl

import (
	"strings"
	"time"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// Wait is what only a Wait state has: one of the three.
type Wait struct {
	seconds       time.Duration
	secondsPath   Expression
	at            time.Time // the Timestamp
	timestampPath Expression
}

// Absolute reports whether the state ends at a time, and not after one.
func (w *Wait) Absolute() bool { return w.timestampPath != nil || !w.at.IsZero() }

// String is how long the state waits, in a short form for people: for 30s, or
// until $.start.
func (w *Wait) String() string {
	switch {
	case w.secondsPath != nil:
		return "for " + w.secondsPath.String() + " s"
	case w.timestampPath != nil:
		return "until " + w.timestampPath.String()
	case !w.at.IsZero():
		return "until " + w.at.Format(time.RFC3339)
	default:
		text := w.seconds.String()
		if w.seconds%time.Minute == 0 && w.seconds > 0 { // 5m0s, 1h0m0s
			text = strings.TrimSuffix(text, "0s")
		}
		if w.seconds%time.Hour == 0 && w.seconds > 0 {
			text = strings.TrimSuffix(text, "0m")
		}
		return "for " + text
	}
}

// noWaitValue says that the path in a field selects nothing.
func noWaitValue(field string) func(*jsonpath.Path, *jsonpath.NotFoundError) error {
	return func(p *jsonpath.Path, _ *jsonpath.NotFoundError) error {
		return runtimeError("The %s parameter does not reference an input value: %s", field, p)
	}
}

// Until gives when the state ends that was entered at this time.
func (w *Wait) Until(sc *Scope, entered time.Time) (time.Time, error) {
	switch {
	case w.secondsPath != nil:
		v, err := w.secondsPath.Eval(sc)
		if err != nil {
			return time.Time{}, err
		}
		n, ok := v.Int()
		switch {
		case !ok:
			return time.Time{}, runtimeError("The SecondsPath parameter cannot be parsed as a long value: %s == %s", w.secondsPath, bare(v))
		case n < 0:
			return time.Time{}, runtimeError("The SecondsPath parameter references a negative value: %s == %d", w.secondsPath, n)
		case n > maxSeconds:
			return time.Time{}, runtimeError("The SecondsPath parameter references a value above %d: %s == %d", maxSeconds, w.secondsPath, n)
		}
		return entered.Add(time.Duration(n) * time.Second), nil
	case w.timestampPath != nil:
		v, err := w.timestampPath.Eval(sc)
		if err != nil {
			return time.Time{}, err
		}
		s, _ := v.Str()
		t, ok := ParseTimestamp(s)
		if !ok {
			return time.Time{}, runtimeError("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s",
				w.timestampPath, bare(v))
		}
		return t, nil
	case !w.at.IsZero():
		return w.at, nil
	default:
		return entered.Add(w.seconds), nil
	}
}

// bare is v as AWS shows it in such texts: a string without quotes.
func bare(v value.Value) string {
	if s, ok := v.Str(); ok {
		return s
	}
	return v.JSON()
}

// Timestamp is a time in Unix milliseconds as Step Functions writes it.
func Timestamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// ParseTimestamp reads a time as Wait and the Timestamp operators take it: the
// RFC 3339 profile of ISO 8601 with T and an offset.
func ParseTimestamp(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[10] != 'T' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}
