package router

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func encodingJSON(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "sixteen bytes ab", `a"b\c`, "tab\tand\x00\x1b[31m\x7f", "é日\u2028\u202e\u009b\ufeff😀", "\xff\xc3 \xed\xa0\x80", "1234567\"", "\x7f2345678", "1234567\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(appendString(nil, s))
		var back, want string
		if err := json.Unmarshal([]byte(got), &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		std := encodingJSON(t, s)
		if err := json.Unmarshal([]byte(std), &want); err != nil {
			t.Fatal(err)
		}
		if back != want {
			t.Errorf("%q reads back as %q, want %q", got, back, want)
		}
		hidden := func(r rune) bool { return r == 0x7f || r > 0x7f && unseen(r) }
		if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' || hidden(r) }); i >= 0 {
			t.Errorf("%q shows a hidden character at %d", got, i)
		}
		if strings.IndexFunc(s, hidden) < 0 && got != std {
			t.Errorf("%q, encoding/json writes %q", got, std)
		}
	})
}

func TestClipCutsBetweenRunes(t *testing.T) {
	for _, row := range []struct {
		s     string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"éééé", 6, "é…"},
		{"日本語", 8, "日…"},
		{"日本語", 9, "日本語"},
		{"\x80\x80\x80\x80\x80", 4, "…"},
	} {
		if got := clip(row.s, row.limit); got != row.want {
			t.Errorf("clip(%q, %d) = %q, want %q", row.s, row.limit, got, row.want)
		}
	}
	for limit := 3; limit < 40; limit++ {
		if got := clip(strings.Repeat("aé日😀", 10), limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("clip to %d: %q", limit, got)
		}
	}
}
