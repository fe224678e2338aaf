package graph

import (
	"strings"
	"unicode"

	"switchyard/internal/safetext"
)

// font is a size, in pixels, with how much wider than normal its letters are.
type font struct {
	size  int
	scale float64
}

var (
	nameFont    = font{14, 1.1} // semi-bold
	captionFont = font{11, 1}
	labelFont   = font{11, 1}
)

// textWidth estimates the width of a text, in pixels. Which font a viewer has
// is not known, so it is on the wide side of the usual sans-serif ones.
func textWidth(s string, f font) int {
	w := 0.0
	for _, r := range s {
		w += runeWidth(r)
	}
	return int(w*float64(f.size)*f.scale) + 1
}

// runeWidth is in ems.
func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune("ijlI.,:;'|! ", r):
		return 0.34
	case strings.ContainsRune("ftr()[]/\\\"-", r):
		return 0.45
	case strings.ContainsRune("mwMW@%", r):
		return 0.97
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100:
		return 1.1
	case unicode.IsUpper(r), r >= 0x2000, strings.ContainsRune("=<>+&~", r):
		return 0.74
	default:
		return 0.61
	}
}

// cut shortens a text to a width. Control and direction characters, which a
// hostile name may hold, are shown as their escape.
func cut(s string, f font, width int) string {
	s = safetext.Line(s)
	if textWidth(s, f) <= width {
		return s
	}
	w, budget := 0.0, float64(width)/(float64(f.size)*f.scale)-1
	for i, r := range s {
		if w += runeWidth(r); w > budget {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}
