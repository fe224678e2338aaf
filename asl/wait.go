package asl

import (
	"time"

	"switchyard/asl/value"
)

// Wait is what only a Wait state has.
type Wait struct {
	seconds *intField
	// at is the Timestamp; timestampPath finds it when the state runs.
	at            time.Time
	timestampPath Expression
}

// Until gives when the state ends that was entered at this time.
func (w *Wait) Until(sc *Scope, entered time.Time) (time.Time, error) {
	switch {
	case w.seconds != nil && w.seconds.path == nil:
		return entered.Add(time.Duration(w.seconds.n) * time.Second), nil
	case w.seconds != nil:
		v, err := w.seconds.path.Eval(sc)
		if err != nil {
			return time.Time{}, err
		}
		n, ok := v.Int()
		if !ok || n < 0 || n > maxSeconds {
			return time.Time{}, runtimeError("The SecondsPath parameter does not reference a valid number of seconds: %s == %s", w.seconds.path, bare(v))
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
	default:
		return w.at, nil
	}
}

// bare is v as AWS shows it in such texts: a string without quotes.
func bare(v value.Value) string {
	if s, ok := v.Str(); ok {
		return s
	}
	return v.JSON()
}

// ParseTimestamp reads a time as Wait and the Timestamp operators take it: the
// RFC 3339 profile of ISO 8601 with T and an offset.
func ParseTimestamp(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[10] != 'T' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}
