package sieve

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// largeText is from where on growing a buffer would cost more than it saves.
const largeText = 64 << 10

// Decode reads the kept part of text into a struct. Its error names the member
// that has another type.
func (s *Sieve) Decode(text []byte, into any) error {
	room := len(text) // what is kept is never longer
	if room < largeText {
		room = room / 4 * 3 // and mostly shorter
	}
	sifted, err := s.Sift(make([]byte, 0, room), text)
	if err != nil {
		return err
	}
	if err = json.Unmarshal(sifted, into); err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: a JSON %s, where %s should be", shortPath(wrong.Field), wrong.Value, wrong.Type.Kind())
	}
	return fmt.Errorf("payload: %w", err)
}

// shortPath is the path of a field without the names of embedded structs, which
// begin with a capital letter, as no member that a sender knows does.
func shortPath(path string) string {
	for {
		first, rest, more := strings.Cut(path, ".")
		if !more || first == "" || first[0] < 'A' || first[0] > 'Z' {
			return path
		}
		path = rest
	}
}
