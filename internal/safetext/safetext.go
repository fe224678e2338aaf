// Package safetext makes text from outside safe to show on a terminal, in a
// log line or in a commit status.
//
// Branch names, commit messages and error texts are written by strangers. On a
// terminal an escape sequence can move the cursor, retitle the window or hide a
// line; a bidirectional override can make a text read as another; a line break
// can forge a log line. What is not printable is therefore shown as its escape.
//
// The escapes are for eyes: a text that contains `\n` as two characters reads
// like one that contained a line break. Nothing decodes them again.
package safetext

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// Line returns s as one line of printable text: every rune that is neither
// printable by [unicode.IsPrint] nor a plain space is written as a Go escape
// (`\n`, `\x1b`, `\u202e`), and so is each byte of invalid UTF-8. A text that is
// safe already is returned as it is.
func Line(s string) string {
	return escape(s, "")
}

// Block is like [Line], but keeps line breaks and tabs. Carriage returns are
// escaped: they overwrite the line that stands there.
func Block(s string) string {
	return escape(s, "\n\t")
}

func escape(s, keep string) string {
	i := unsafeAt(s, keep)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for {
		b.WriteString(s[:i])
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			writeHex(&b, rune(s[i]), 2)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			b.WriteString(`\x`)
			writeHex(&b, r, 2)
		case r <= 0xffff:
			b.WriteString(`\u`)
			writeHex(&b, r, 4)
		default:
			b.WriteString(`\U`)
			writeHex(&b, r, 8)
		}
		s = s[i+size:]
		if i = unsafeAt(s, keep); i < 0 {
			b.WriteString(s)
			return b.String()
		}
	}
}

// unsafeAt is the index of the first rune of s to be escaped, or -1.
func unsafeAt(s, keep string) int {
	for i, r := range s {
		if r >= ' ' && r < 0x7f {
			continue
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
		if !unicode.IsPrint(r) && !strings.ContainsRune(keep, r) {
			return i
		}
	}
	return -1
}

// JSON returns the JSON text of the same value with every rune of a string that
// is not printable written as its \u escape. Line breaks and spaces between
// values are kept. What is no valid JSON comes back escaped too, but not
// repaired.
func JSON(text []byte) []byte {
	s := string(text)
	i := unsafeAt(s, "\n\t\r")
	if i < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for ; i >= 0; i = unsafeAt(s, "\n\t\r") {
		b.WriteString(s[:i])
		r, size := utf8.DecodeRuneInString(s[i:])
		if hi, lo := utf16.EncodeRune(r); hi != unicode.ReplacementChar {
			b.WriteString(`\u`)
			writeHex(&b, hi, 4)
			r = lo
		}
		b.WriteString(`\u`)
		writeHex(&b, r, 4)
		s = s[i+size:]
	}
	b.WriteString(s)
	return []byte(b.String())
}

// Cut returns at most n runes of s, the last of them "…" where something was
// left out. Escape first, then cut.
func Cut(s string, n int) string {
	if n <= 0 {
		return ""
	}
	seen, last := 0, 0
	for i := range s {
		if seen == n {
			return s[:last] + "…"
		}
		last = i
		seen++
	}
	return s
}

// Unique returns s where it has at most n runes, and else its beginning with 12
// digits of its SHA-256 behind: never more than n runes, the same each time, and
// another for any other text. n is at least 16.
func Unique(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	const digits = 12
	sum := sha256.Sum256([]byte(s))
	return Cut(s, n-digits-1) + "-" + fmt.Sprintf("%x", sum)[:digits]
}

func writeHex(b *strings.Builder, r rune, digits int) {
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		b.WriteByte(hex[(r>>shift)&0xf])
	}
}

// Panic says what a recovered value is, in one line. The text of a run-time error
// holds no part of what was being worked on; that of any other value might hold a
// secret, so only its type is told. The stack says the rest.
func Panic(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return Line(err.Error())
	}
	return fmt.Sprintf("panic with a %T", v)
}
