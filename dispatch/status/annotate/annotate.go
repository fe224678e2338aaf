// Package annotate finds in what builds print and report the lines of files that
// they complain about.
//
// It reads what strangers wrote: texts are cut, paths that lead out of the
// repository are left out, and what is found is bounded.
package annotate

import (
	"bufio"
	"cmp"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"switchyard/dispatch/status"
)

const (
	// Max is how many annotations are kept.
	Max = 150
	// maxLine is how much of a line is looked at, and maxMessage how much of a
	// message is kept, in bytes.
	maxLine    = 4 << 10
	maxMessage = 2 << 10
	maxTitle   = 200
)

// Root returns the path below the repository's root of an absolute one; false for
// one that lies elsewhere.
type Root func(absolute string) (relative string, ok bool)

// Collector collects annotations, each once. The zero value takes relative paths
// alone.
type Collector struct {
	// Root knows absolute paths; nil knows none.
	Root Root

	all  []status.Annotation
	seen map[status.Annotation]bool
}

// Annotations are those found, failures first, in the order of their places.
func (c *Collector) Annotations() []status.Annotation {
	all := slices.Clone(c.all)
	slices.SortStableFunc(all, func(a, b status.Annotation) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line)) // failure < warning
	})
	return all[:min(len(all), Max)]
}

// add keeps an annotation that is about a file of the repository.
func (c *Collector) add(a status.Annotation) {
	var ok bool
	if a.Path, ok = c.relative(a.Path); !ok || a.Line < 1 || a.Line > 1<<24 || len(c.all) >= 20*Max {
		return
	}
	a.EndLine = max(a.EndLine, a.Line)
	a.Title, a.Message = cut(a.Title, maxTitle), cut(strings.TrimSpace(a.Message), maxMessage)
	if a.Message == "" {
		a.Message = cmp.Or(a.Title, string(a.Level))
	}
	if c.seen == nil {
		c.seen = map[status.Annotation]bool{}
	}
	if !c.seen[a] {
		c.seen[a] = true
		c.all = append(c.all, a)
	}
}

func cut(s string, most int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// relative is a path below the repository's root.
func (c *Collector) relative(p string) (string, bool) {
	p = strings.TrimPrefix(p, "file://")
	p = strings.ReplaceAll(p, `\`, "/")
	if strings.HasPrefix(p, "/") {
		if c.Root == nil {
			return "", false
		}
		var ok bool
		if p, ok = c.Root(p); !ok {
			return "", false
		}
	}
	p = path.Clean(p)
	if p == "." || strings.HasPrefix(p, "../") || p == ".." || strings.HasPrefix(p, "/") || len(p) > 1024 || strings.ContainsAny(p, "\x00\n\r<>|*?:\"") || !utf8.ValidString(p) {
		return "", false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "node_modules" || part == "site-packages" || part == ".git" {
			return "", false
		}
	}
	return p, true
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)")

// Log reads what a build printed.
func (c *Collector) Log(r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxLine)
	var s scanner
	s.c = c
	for {
		line, err := lines.ReadSlice('\n')
		s.line(strings.TrimRight(ansi.ReplaceAllString(string(line), ""), "\r\n"))
		for err == bufio.ErrBufferFull { //nolint:errorlint // as bufio returns it
			_, err = lines.ReadSlice('\n') // the rest of a long line
		}
		if err == io.EOF { //nolint:errorlint // as bufio returns it
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

func level(word string) status.Level {
	if strings.HasPrefix(strings.ToLower(word), "warn") {
		return status.Warning
	}
	return status.Failure
}
