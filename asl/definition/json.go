package definition

import (
	"strings"

	"switchyard/asl"
	"switchyard/asl/value"
)

// edit is where the filled text and the file's have the same place again.
type edit struct{ filled, file int }

// readJSON reads a definition in JSON. What it does not fill in it leaves as it
// stands, white space and all.
func readJSON(text string, substitutions map[string]string) *Definition {
	filled, edits, unfilled := fillJSON(text, substitutions)
	d := &Definition{JSON: filled}
	for _, p := range unfilled {
		if p.bare {
			d.Findings = append(d.Findings, p.finding(asl.SeverityError))
		}
	}
	if len(d.Findings) > 0 {
		d.JSON = ""
		return d
	}
	d.validate(func(at position) position {
		if len(edits) == 0 {
			return at
		}
		return placeIn(text, fileOffset(edits, offsetOf(filled, at)))
	}, unfilled)
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Code == asl.CodeInvalidJSON && !strings.HasPrefix(strings.TrimSpace(text), "{") {
			f.Detail = "a definition in YAML needs a file that is named .yaml"
		}
	}
	return d
}

// fillJSON replaces the references in JSON text: within a text in quotes by
// what stands for the value in JSON, elsewhere by the value itself.
func fillJSON(text string, substitutions map[string]string) (filled string, edits []edit, unfilled []placeholder) {
	var b strings.Builder
	last, quote := 0, -1 // where the text in quotes began
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && quote >= 0:
			quote = -1
		case c == '"':
			quote = i
		case c == '\\' && quote >= 0:
			i++
		case c == '$' && !escaped(text, i):
			m := reference.FindStringIndex(text[i:min(len(text), i+maxReference)])
			if m == nil || m[0] != 0 {
				continue
			}
			name, end := nameOf(text[i:i+m[1]]), i+m[1]
			v, ok := substitutions[name]
			switch {
			case !ok && len(unfilled) == maxUnfilled:
			case !ok && quote >= 0:
				unfilled = append(unfilled, placeholder{name: name, at: placeIn(text, quote)})
			case !ok:
				unfilled = append(unfilled, placeholder{name: name, at: placeIn(text, i), bare: true})
			default:
				if quote >= 0 {
					v = inJSON(v)
				}
				b.WriteString(text[last:i] + v)
				edits = append(edits, edit{filled: b.Len(), file: end})
				last = end
			}
			i = end - 1
		}
	}
	b.WriteString(text[last:])
	return b.String(), edits, unfilled
}

// maxReference bounds the search for the end of a reference, in bytes.
const maxReference = 512

// inJSON is a text as it stands between the quotes of JSON.
func inJSON(s string) string {
	quoted := value.OfString(s).JSON()
	return quoted[1 : len(quoted)-1]
}

// fileOffset is where in the file the byte of the filled text comes from: for
// one that was filled in, the end of its reference.
func fileOffset(edits []edit, offset int) int {
	before := edit{}
	for _, e := range edits {
		if e.filled > offset {
			return min(before.file+offset-before.filled, e.file)
		}
		before = e
	}
	return before.file + offset - before.filled
}

func placeIn(text string, offset int) position {
	line, column := value.Position(text, offset)
	return position{line, column}
}

// offsetOf is the byte that stands at a place in text.
func offsetOf(text string, at position) int {
	offset := 0
	for line := 1; line < at.line; line++ {
		offset += strings.IndexByte(text[offset:], '\n') + 1
	}
	column := 1
	for i := range text[offset:] {
		if column == at.column {
			return offset + i
		}
		column++
	}
	return len(text)
}
