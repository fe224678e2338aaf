//go:build unix

package build

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// minPart is how many bytes a line of a secret, or a text in a secret that
	// is JSON, must have to be masked on its own: a shorter one gives little
	// away and stands in every log.
	minPart = 6
	// maxEncoded is the size of secrets whose every form is masked. Of larger
	// ones the forms take too much memory.
	maxEncoded = 8 << 10
)

var lineBreaks = strings.NewReplacer("\r", "", "\n", "")

// forms are the texts by which a secret is recognised: itself, its parts, and
// what programs commonly make of them when they print them. Line breaks are
// left out of them; see [automaton].
func forms(secret string) []string {
	if len(lineBreaks.Replace(secret)) < MinMasked {
		return nil
	}
	values := append([]string{secret}, parts(secret)...)
	var found []string
	seen := make(map[string]bool)
	for i, value := range values {
		all := []string{value}
		if len(secret) <= maxEncoded {
			all = encodings(value)
		} else if i == 0 {
			all = append(base64Forms(value), value, jsonText(value, false))
		}
		for _, text := range all {
			text = lineBreaks.Replace(text)
			if len(text) >= MinMasked && !seen[text] {
				seen[text] = true
				found = append(found, text)
			}
		}
	}
	return found
}

// parts are what of a secret programs print alone: the lines of a text, the
// texts in JSON, and the words with one space between them, which is what a
// shell makes of a variable without quotes.
func parts(secret string) []string {
	var found []string
	add := func(part string) {
		if part = strings.TrimSpace(part); len(part) >= minPart {
			found = append(found, part)
		}
	}
	if strings.ContainsAny(secret, "\n\r") {
		for line := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			add(line)
		}
	}
	add(strings.Join(strings.Fields(secret), " "))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			add(v)
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	var v any
	if text := strings.TrimSpace(secret); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		if json.Unmarshal([]byte(text), &v) == nil {
			walk(v)
		}
	}
	return found
}

// encodings are a value as it is and as programs print it.
func encodings(value string) []string {
	all := append(base64Forms(value), value,
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		strings.ToValidUTF8(value, "\uFFFD"), eachInvalid(value),
		html.EscapeString(value), xmlText.Replace(value), xmlNumbers.Replace(value))
	plain := jsonText(value, false)
	forHTML := jsonText(value, true)
	all = append(all, plain, forHTML, jsonASCII(value), strings.ReplaceAll(plain, "/", `\/`),
		jsonText(plain, false), jsonText(forHTML, true)) // and as a text in a text
	for _, escaped := range []string{
		url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:],
		strings.ReplaceAll(url.QueryEscape(value), "+", "%20"), uriComponent(value),
	} {
		all = append(all, escaped, lowerEscapes(escaped))
	}
	return append(all,
		strings.ReplaceAll(value, "'", `'\''`), strings.ReplaceAll(value, "'", `'"'"'`),
		doubleQuoted.Replace(value), backslashed(value), ansiQuoted(value, false), ansiQuoted(value, true))
}

// base64Forms are what base64 makes of a value at any place in a longer text:
// three bytes are four characters, so there are three ways. The characters at
// its ends that depend on its neighbours are left out, except where it is the
// end.
func base64Forms(value string) []string {
	var all []string
	for before := range 3 {
		text := append(make([]byte, before), value...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			whole := enc.EncodeToString(text)
			begin, end := (8*before+5)/6, 8*len(text)/6
			all = append(all, whole[begin:end], whole[begin:])
			if pad := len(whole) % 4; pad > 0 {
				all = append(all, whole[begin:]+strings.Repeat("=", 4-pad))
			}
		}
	}
	return all
}

// eachInvalid has a replacement for each byte that is not UTF-8.
func eachInvalid(value string) string {
	var b strings.Builder
	for _, r := range value {
		b.WriteRune(r)
	}
	return b.String()
}

var (
	xmlText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
	xmlNumbers   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")
	doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
)

// jsonText is a value in a JSON text, without the quotes.
func jsonText(value string, forHTML bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(forHTML)
	if enc.Encode(value) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(b.String(), "\n"), `"`), `"`)
}

// jsonASCII is jsonText where only ASCII may stand.
func jsonASCII(value string) string {
	var b strings.Builder
	for _, r := range jsonText(value, false) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// uriComponent is encodeURIComponent of JavaScript.
func uriComponent(value string) string {
	return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(url.QueryEscape(value))
}

// lowerEscapes has %2f for %2F.
func lowerEscapes(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// backslashed is what printf %q of bash prints.
func backslashed(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_/.:=@%+-", c) >= 0 || c >= utf8.RuneSelf
		if !plain {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// ansiQuoted is what stands between $' and ' when a shell shows a value with
// control characters, and, with octal, with other than ASCII.
func ansiQuoted(value string, octal bool) string {
	short := map[byte]string{'\n': `\n`, '\r': `\r`, '\t': `\t`, '\a': `\a`, '\b': `\b`, '\v': `\v`, '\f': `\f`, 0x1b: `\E`, '\\': `\\`, '\'': `\'`}
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		switch text, ok := short[c]; {
		case ok:
			b.WriteString(text)
		case c < ' ' || c == 0x7f || octal && c >= utf8.RuneSelf:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
