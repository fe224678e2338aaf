package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Secret is a text that never prints: not by fmt, not as JSON, not in an error.
// The zero value is an absent secret.
type Secret struct {
	// A pointer, so that fmt shows an address even where it cannot call our
	// methods, as in an unexported field.
	text *string
	// kept is the reference by which it was read from AWS, "" for another.
	kept string
	// previous says that it is the version from before a rotation.
	previous bool
}

const redacted = "***"

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text, "" when there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares the texts; it is for tests, and takes no care of timing.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() && s.IsZero() == o.IsZero() }

func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format makes every verb of fmt show the same as String.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// GoString is what %#v shows.
func (s Secret) GoString() string { return s.String() }

// MarshalJSON hides the text.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Secret) decodeNode(d *decoder, n ast.Node, path string) {
	text, ok := d.scalar(n)
	if !ok {
		d.wrongType(n, path, "a text")
		return
	}
	if found, ok := d.secret(text, path); ok {
		*s = found
	}
}

// Secrets is one secret or a list of them.
type Secrets []Secret

// Reveal returns the texts.
func (s Secrets) Reveal() []string {
	texts := make([]string, len(s))
	for i := range s {
		texts[i] = s[i].Reveal()
	}
	return texts
}

func (s *Secrets) decodeNode(d *decoder, n ast.Node, path string) {
	d.several = true
	*s = oneOrMany[Secret](d, n, path)
	d.several = false
	for i := range len(*s) {
		if before, ok := d.previous[d.item(path, i)]; ok {
			*s = append(*s, before)
		}
	}
}

// Strings is one text or a list of them.
type Strings []string

func (s *Strings) decodeNode(d *decoder, n ast.Node, path string) {
	*s = oneOrMany[string](d, n, path)
}

// Duration is a time span: Go's notation (90s, 1h30m), and d for 24 hours.
type Duration time.Duration

// String writes whole days as days.
func (v Duration) String() string {
	if v != 0 && time.Duration(v)%day == 0 {
		return strconv.FormatInt(int64(time.Duration(v)/day), 10) + "d"
	}
	return time.Duration(v).String()
}

// MarshalJSON writes the notation of the file.
func (v Duration) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

func (v *Duration) decodeNode(d *decoder, n ast.Node, path string) {
	text, ok := d.known(n, path)
	if !ok {
		return
	}
	span, err := parseDuration(text)
	if err != nil {
		d.failValue(path, "%q is not a duration; write it like 90s, 10m, 12h or 30d", text)
		return
	}
	*v = Duration(span)
}

func parseDuration(text string) (time.Duration, error) {
	days, rest := int64(0), text
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, err
		}
		if days, rest = int64(n), after; rest == "" {
			rest = "0s"
		}
	}
	span, err := time.ParseDuration(rest)
	if err != nil || span < 0 {
		return 0, fmt.Errorf("not a duration: %q", text)
	}
	if total := time.Duration(days)*day + span; total >= 0 {
		return total, nil
	}
	return 0, fmt.Errorf("too long: %q", text)
}

// Size is a number of bytes: 512KB, 25MB, 1GB, each 1024 times the one before.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

// String writes the largest unit that divides the size.
func (v Size) String() string {
	for _, u := range units {
		if int64(v)%u.bytes == 0 && (v != 0 || u.bytes == 1) {
			return strconv.FormatInt(int64(v)/u.bytes, 10) + u.name
		}
	}
	return ""
}

// MarshalJSON writes the notation of the file.
func (v Size) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

func (v *Size) decodeNode(d *decoder, n ast.Node, path string) {
	text, ok := d.known(n, path)
	if !ok {
		return
	}
	size, err := parseSize(text)
	if err != nil {
		d.failValue(path, "%q is not a size; write it like 512KB or 25MB", text)
		return
	}
	*v = Size(size)
}

func parseSize(text string) (int64, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, factor = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("not a size: %q", text)
	}
	return int64(n) * factor, nil
}
