package jsonata

import (
	"math"
	"strings"
	"time"
)

// timePicture is how a time is written
// (https://www.w3.org/TR/xpath-functions-31/#rules-for-datetime-formatting).
type timePicture struct{ parts []timePart }

// timePart is a literal text, or a component.
type timePart struct {
	literal   string
	component byte // 0 for a literal
	integer   *integerPicture
	named     bool
	letters   letterCase // of the name
	zulu      bool       // Z instead of +00:00
	maxWidth  int        // -1 for none
	digits    int        // how many of a year, month or day there are at most, -1 for any
}

var presentations = map[byte]string{
	'Y': "1", 'M': "1", 'D': "1", 'd': "1", 'F': "n", 'W': "1", 'w': "1", 'X': "1", 'x': "1", 'H': "1", 'h': "1",
	'P': "n", 'm': "01", 's': "01", 'f': "1", 'Z': "01:01", 'z': "01:01", 'C': "n", 'E': "n",
}

func parseTimePicture(text string) (*timePicture, error) {
	p := &timePicture{}
	literal := func(s string) {
		if s != "" {
			p.parts = append(p.parts, timePart{literal: strings.ReplaceAll(s, "]]", "]")})
		}
	}
	for {
		before, rest, ok := strings.Cut(text, "[")
		literal(before)
		if !ok {
			return p, nil
		}
		if strings.HasPrefix(rest, "[") {
			literal("[")
			text = rest[1:]
			continue
		}
		marker, after, ok := strings.Cut(rest, "]")
		if !ok {
			return nil, fail("D3135")
		}
		part, err := parseMarker(strings.Join(strings.Fields(marker), ""))
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, part)
		text = after
	}
}

// parseMarker reads what stands in brackets: the component, how it is written,
// and behind a comma how wide.
func parseMarker(marker string) (timePart, error) {
	p := timePart{maxWidth: -1, digits: -1}
	if marker == "" {
		return p, fail("D3132").of("")
	}
	p.component = marker[0]
	how := marker[1:]
	minWidth := -1
	if i := strings.LastIndexByte(how, ','); i >= 0 {
		low, high, _ := strings.Cut(how[i+1:], "-")
		minWidth, p.maxWidth = width(low), width(high)
		how = how[:i]
	}
	second := byte(0)
	if n := len(how); n > 1 && strings.IndexByte("atco", how[n-1]) >= 0 {
		second, how = how[n-1], how[:n-1]
	}
	if how == "" {
		if how = presentations[p.component]; how == "" {
			return p, fail("D3132").of(string(p.component))
		}
	}
	p.zulu = second == 't'
	switch how[0] {
	case 'n':
		p.named = true
	case 'N':
		p.named, p.letters = true, upperCase
		if strings.HasPrefix(how, "Nn") {
			p.letters = titleCase
		}
	}
	if strings.IndexByte("Zz", p.component) >= 0 {
		var err error
		p.integer, err = parseIntegerPicture(how)
		return p, err
	}
	if p.named || strings.IndexByte("YMDdFWwXxHhmsf", p.component) < 0 {
		return p, nil
	}
	if second != 0 {
		how += ";" + string(second)
	}
	return p, p.number(how, minWidth)
}

func width(s string) int {
	f := leadingInteger(s)
	if s == "*" || math.IsNaN(f) || f < 0 || f > 1000 {
		return -1
	}
	return int(f)
}

// number reads how a component is written in digits.
func (p *timePart) number(how string, minWidth int) (err error) {
	if p.integer, err = parseIntegerPicture(how); err != nil {
		return err
	}
	p.integer.mandatory = max(p.integer.mandatory, minWidth)
	if strings.IndexByte("YMD", p.component) < 0 {
		return nil
	}
	if p.maxWidth >= 0 {
		p.digits, p.integer.mandatory = p.maxWidth, p.maxWidth
	} else if n := p.integer.mandatory + p.integer.optional; n >= 2 {
		p.digits = n
	}
	return nil
}

func (p *timePicture) format(m moment) (string, error) {
	var out strings.Builder
	for i := range p.parts {
		part := &p.parts[i]
		s := part.literal
		var err error
		switch part.component {
		case 0:
		case 'Z', 'z':
			s, err = part.zone(m.hours, m.minutes)
		case 'C', 'E':
			s = "ISO"
		case 'P':
			s = "am"
			if m.valid && m.Hour() >= 12 {
				s = "pm"
			}
			if part.letters == upperCase {
				s = strings.ToUpper(s)
			}
		default:
			s, err = part.value(m)
		}
		if err != nil {
			return "", err
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

// value writes a component that is a number or has a name.
func (p *timePart) value(m moment) (string, error) {
	n, ok := m.fragment(p.component)
	if !ok {
		return "undefined", nil // as JSONata has it for a component of no meaning
	}
	if p.component == 'Y' && p.digits >= 0 {
		n = math.Mod(n, math.Pow(10, float64(min(p.digits, 15))))
	}
	if !p.named {
		return p.integer.format(n)
	}
	name, err := p.name(n)
	if err != nil {
		return "", err
	}
	switch p.letters {
	case upperCase:
		name = strings.ToUpper(name)
	case lowerCase:
		name = strings.ToLower(name)
	default:
	}
	if p.maxWidth >= 0 && len(name) > p.maxWidth {
		name = name[:p.maxWidth]
	}
	return name, nil
}

func (p *timePart) name(n float64) (string, error) {
	switch {
	case strings.IndexByte("MxF", p.component) >= 0 && math.IsNaN(n):
		return "undefined", nil
	case p.component == 'F':
		return time.Weekday(int(n) % 7).String(), nil
	case p.component == 'f':
		return formatNumber(n), nil
	case strings.IndexByte("Mx", p.component) >= 0:
		return time.Month(int(n)).String(), nil
	}
	return "", fail("D3133").of(string(p.component))
}

var twoDigits = &integerPicture{zero: '0', mandatory: 2}

// zone writes the offset from UTC.
func (p *timePart) zone(hours, minutes float64) (out string, err error) {
	offset := 100*hours + minutes
	if offset == 0 && p.zulu {
		return "Z", nil
	}
	switch digits := p.integer.mandatory; {
	case p.integer.every > 0:
		out, err = p.integer.format(offset)
	case digits == 1 || digits == 2:
		out, err = p.integer.format(hours)
		if minutes != 0 {
			var rest string
			rest, err = twoDigits.format(minutes) // with a sign of its own, as JSONata has it
			out += ":" + rest
		}
	case digits == 3 || digits == 4:
		out, err = p.integer.format(offset)
	default:
		return "", fail("D3134").of(float64(digits))
	}
	if offset >= 0 {
		out = "+" + out
	}
	if p.component == 'z' {
		out = "GMT" + out
	}
	return out, err
}
