//go:build unix

package build

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

// maskAll masks a text that comes in these writes.
func maskAll(secrets []string, writes ...string) string {
	var m masker
	for _, s := range secrets {
		m.add(s)
	}
	var got bytes.Buffer
	for _, w := range writes {
		got.Write(m.write([]byte(w)))
	}
	got.Write(m.flush())
	return got.String()
}

func TestMaskerHidesSecretsAcrossWrites(t *testing.T) {
	for _, tc := range []struct {
		name    string
		secrets []string
		writes  []string
		want    string
	}{
		{"none", nil, []string{"a", "b"}, "ab"},
		{"whole", []string{"hunter2"}, []string{"pw hunter2!"}, "pw ***!"},
		{"split", []string{"hunter2"}, []string{"pw hun", "te", "r2!"}, "pw ***!"},
		{"almost", []string{"hunter2"}, []string{"hunt", "ing"}, "hunting"},
		{"held at the end", []string{"hunter2"}, []string{"a hunter"}, "a hunter"},
		{"cut off at the end", []string{"hunter2hunter2"}, []string{"a hunter2hun"}, "a ***"},
		{"repeated beginning", []string{"aaab"}, []string{"aaa", "ab"}, "a***"},
		{"one contains another", []string{"abcd", "abcdefgh"}, []string{"abcd", "efgh abcd", "."}, "*** ***."},
		{"one begins before another", []string{"bcde", "abcdef"}, []string{"abcde", "f bcde"}, "*** ***"},
		{"two overlap", []string{"abcdef", "efghij"}, []string{"xabcdefg", "hijx"}, "x***x"},
		{"itself overlaps", []string{"abab"}, []string{"xaba", "babab", "x"}, "x***x"},
		{"twice", []string{"x1y2"}, []string{"x1y2x1y2"}, "******"},
		{"ends of others", []string{"cdefgh", "abcdefg"}, []string{"abcdefg abcdefgh"}, "*** ***"},
		{"several lines", []string{"line 1 is\r\nline 2 is\n"}, []string{"line 2 is line 1 is"}, "*** ***"},
		{"several lines at once", []string{"line 1 is\nline 2 is"}, []string{"<line 1 is\r", "\nline 2 is>"}, "<***>"},
		{"regular expression", []string{"a.*[b"}, []string{"axxb a.*[b"}, "axxb ***"},
		{"no UTF-8", []string{"\xff\xfe\x00\x01"}, []string{"a\xff\xfe", "\x00\x01\xff"}, "a***\xff"},
		{"a broken line", []string{"correct horse battery"}, []string{"correct hor\nse battery", "\n"}, "***\n"},
		{"far apart", []string{"correct horse"}, []string{"correct\n\n\n\n\n horse"}, "correct\n\n\n\n\n horse"},
		{"short", []string{"abc", "\nab\n\n"}, []string{"abc ab"}, "abc ab"},
		{"a line is told when it is there", []string{"abcd"}, []string{"xab\n"}, "xab\n"},
		{"JSON", []string{`{"user": "admin7", "more": ["p\"w-12"], "n": 5}`}, []string{`admin7 p"w-12 n`}, "*** *** n"},
		{"without quotes", []string{" two  words\there "}, []string{"two words here"}, "***"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := maskAll(tc.secrets, tc.writes...); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What can be shown is shown at once: a line ends in the beginning of some form
// of a secret nearly always.
func TestMaskerLetsLinesGo(t *testing.T) {
	var m masker
	m.add("0123456789abcdef")
	for _, line := range []string{"one\n", "two 012\n", "three\r\n", "MDE\n"} {
		if got := string(m.write([]byte(line))); got != line {
			t.Errorf("of %q it shows %q", line, got)
		}
	}
	// A secret that goes on after that is masked from there.
	if got := string(m.write([]byte("012\n"))) + string(m.write([]byte("3456789abcdef."))); got != "012\n***." {
		t.Errorf("got %q", got)
	}
}

// A secret that becomes known while some of it is held.
func TestMaskerTakesSecretsLate(t *testing.T) {
	var m masker
	got := m.write([]byte("hunter2 "))
	m.add("first-secret")
	got = append(got, m.write([]byte("first-secret hunter2 first-"))...)
	m.add("hunter2")
	got = append(got, m.write([]byte("secret hunter2"))...)
	if want := "hunter2 *** hunter2 *** ***"; string(append(got, m.flush()...)) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// model masks as it is defined: each byte that is in some secret goes, and what
// overlaps has one mark.
func model(texts map[string]bool, s string) string {
	var m masker
	for at := 0; at <= len(s); at++ {
		for n := at; n > 0; n-- {
			if texts[s[at-n:at]] {
				m.mark(at-n, at)
				break
			}
		}
	}
	var out strings.Builder
	at := 0
	for _, s2 := range m.spans {
		out.WriteString(s[at:s2.from] + masked)
		at = s2.to
	}
	return out.String() + s[at:]
}

func TestMaskerMasksAsDefinedHoweverItIsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range 3000 {
		alphabet := []string{"ab", "abc", "abcdefgh", "a'\"$\\ %"}[r.IntN(4)]
		var secrets []string
		for range 1 + r.IntN(4) {
			secrets = append(secrets, text(alphabet, 1+r.IntN(9)))
		}
		var m masker
		for _, s := range secrets {
			m.add(s)
		}
		// An ending that begins no secret: what is cut off has a rule of its own.
		stream := text(alphabet, r.IntN(60)) + "|||||||||"
		for range r.IntN(4) {
			i := r.IntN(len(stream))
			stream = stream[:i] + secrets[r.IntN(len(secrets))] + stream[i:]
		}
		want := model(m.texts, stream)
		var writes []string
		for rest := stream; rest != ""; {
			n := 1 + r.IntN(len(rest))
			writes = append(writes, rest[:n])
			rest = rest[n:]
		}
		if got := maskAll(secrets, writes...); got != want {
			t.Fatalf("secrets %q in %q: got %q, want %q", secrets, writes, got, want)
		}
		if got := m.all(stream); got != want {
			t.Fatalf("secrets %q in %q: all gives %q, want %q", secrets, stream, got, want)
		}
	}
}

// someSecrets are of many kinds.
var someSecrets = []string{
	"hunter2", "correct horse battery staple", "p@ss/w+rd=?&#%", `it's "quoted" \ $HOME ` + "`x`", "<a>&b</a>", "a.*[b](c|d)^$",
	"Grüße-aus-Köln-😀-und", "tab\tand\x1bescape\x07", "\xff\xfeinvalid\x80utf8", "abcd", "ab/cd/ef==", strings.Repeat("a", 3000),
	"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n",
}

func TestFormsOfSecretsAreMasked(t *testing.T) {
	std, web := base64.StdEncoding, base64.URLEncoding
	for _, secret := range someSecrets {
		asJSON, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := json.Marshal(string(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]string{
			"itself": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
			"JSON": string(asJSON), "JSON in JSON": string(twice),
			"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "user": url.UserPassword("u", secret).String(),
			"xtrace": "+ echo '" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
		}
		for _, before := range []string{"", "u", "us", "user:", "AWS:x:"} {
			for _, after := range []string{"", "\n", "@h", "xyz"} {
				for name, enc := range map[string]*base64.Encoding{"std": std, "url": web, "raw": base64.RawStdEncoding, "raw url": base64.RawURLEncoding} {
					shown["base64 "+name+" "+before+after] = "Basic " + enc.EncodeToString([]byte(before+secret+after)) + " end"
				}
			}
		}
		long := std.EncodeToString([]byte("some text before " + secret + secret))
		var wrapped []string
		for len(long) > 76 {
			wrapped, long = append(wrapped, long[:76]), long[76:]
		}
		shown["base64 in lines"] = strings.Join(append(wrapped, long), "\n")
		var m masker
		m.add(secret)
		for name, text := range shown {
			for _, got := range []string{m.all(text), maskAll([]string{secret}, text[:len(text)/2], text[len(text)/2:])} {
				if !strings.Contains(got, masked) {
					t.Errorf("%.20q as %s: not found in %.200q", secret, name, text)
				}
				// What is left cannot be read: not two characters of four.
				left := strings.NewReplacer("Basic ", "", " end", "", masked, "|", "\n", "").Replace(got)
				if strings.HasPrefix(name, "base64") && name != "base64 in lines" {
					for i, part := range strings.Split(left, "|") {
						if plain := text[len("Basic "):]; i > 0 && i < strings.Count(left, "|") && len(part) > 3 {
							t.Errorf("%.20q as %s: %q is left of %q", secret, name, part, plain)
						}
					}
				}
				for form := range m.texts {
					if strings.Contains(lineBreaks.Replace(got), form) {
						t.Errorf("%.20q as %s: %q is left in %.200q", secret, name, form, got)
					}
				}
			}
		}
	}
}

// Memory and time stay in bounds whatever the secrets and the log are.
func TestMaskerHoldsLittle(t *testing.T) {
	var m masker
	for i := range 50 {
		m.add(strings.Repeat("a", 200+i) + "b")
	}
	begin := time.Now()
	chunk := bytes.Repeat([]byte("a"), 32<<10)
	for range 64 {
		m.write(chunk)
		if len(m.held) > 250 || len(m.spans) > 1 {
			t.Fatalf("it holds %d bytes and %d spans", len(m.held), len(m.spans))
		}
	}
	m.add(strings.Repeat("a", 100))
	for range 64 {
		m.write(chunk)
		if len(m.held) > 250 || len(m.spans) > 1 {
			t.Fatalf("within a secret it holds %d bytes and %d spans", len(m.held), len(m.spans))
		}
	}
	lines := bytes.Repeat([]byte("a\n"), 16<<10)
	for range 64 {
		m.write(lines)
		if len(m.held) > 2*250+maxBreak || len(m.breaks) > 2*250 {
			t.Fatalf("of lines it holds %d bytes and %d breaks", len(m.held), len(m.breaks))
		}
	}
	// A second for 6 MB: comparing each secret at each place takes minutes.
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The cost of masking beside copying the same bytes, in the same run.
func BenchmarkMask(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	secret := func() string {
		s := make([]byte, 32)
		for i := range s {
			s[i] = byte('!' + r.IntN(94))
		}
		return string(s)
	}
	line := []byte("npm http fetch GET 200 https://registry.example.com/left-pad/-/left-pad-1.3.0.tgz 12ms (cache hit)\n")
	for _, n := range []int{1, 50} {
		for name, text := range map[string][]byte{"log": bytes.Repeat(line, 10000), "a": bytes.Repeat([]byte("a"), 1<<20)} {
			b.Run(fmt.Sprintf("%d secrets/%s", n, name), func(b *testing.B) {
				var m masker
				for range n {
					m.add(secret())
					m.add(strings.Repeat("a", 40) + secret())
				}
				m.ready()
				var mask, plain time.Duration
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					for chunk := text; len(chunk) > 0; chunk = chunk[min(len(chunk), 32<<10):] {
						p := chunk[:min(len(chunk), 32<<10)]
						begin := time.Now()
						m.write(p)
						mask += time.Since(begin)
						begin = time.Now()
						_ = bytes.Clone(p)
						plain += time.Since(begin)
					}
				}
				b.ReportMetric(float64(mask)/float64(plain), "times-copy")
				b.ReportMetric(float64(len(m.found.label)), "nodes")
			})
		}
	}
}
