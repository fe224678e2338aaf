package jsonata

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// reader reads one part of a time: the text that it takes, and what it means.
type reader struct {
	pattern string
	// read gives the number, and whether it is one; it is nil for a literal.
	read func(string) (f float64, known bool, err error)
}

var wordPattern = func() string {
	var words []string
	for w := range wordValues {
		words = append(words, w)
	}
	return "(?:" + strings.Join(words, "|") + `|and|[\-, ])+`
}()

// reader of a whole number with so many digits, -1 for any.
func (p *integerPicture) reader(digits int) (reader, error) {
	upper := p.letters == upperCase
	parse := func(s string) (float64, bool, error) {
		f, err := p.parse(s)
		return f, true, err
	}
	switch p.numbering {
	case inLetters:
		return reader{map[bool]string{true: "[A-Z]+", false: "[a-z]+"}[upper], parse}, nil
	case inRoman:
		return reader{map[bool]string{true: "[MDCLXVI]+", false: "[mdclxvi]+"}[upper], parse}, nil
	case inWords:
		return reader{wordPattern, parse}, nil
	case inSequence:
		return reader{}, fail("D3130").of(p.text)
	default:
	}
	count := "+"
	if digits > 0 {
		low := max(0, digits-p.optional)
		count = "{" + strconv.Itoa(min(low, maxDigits)) + "," + strconv.Itoa(min(digits, maxDigits)) + "}"
	}
	pattern := "[0-9]" + count
	if p.ordinal {
		pattern += "(?:th|st|nd|rd)"
	}
	return reader{pattern, parse}, nil
}

// maxDigits bounds the digits that a picture can ask for.
const maxDigits = 1000

func (p *timePart) reader() (reader, error) {
	switch {
	case p.component == 0:
		return reader{pattern: regexp.QuoteMeta(p.literal)}, nil
	case p.component == 'Z' || p.component == 'z':
		return p.zoneReader(), nil
	case p.integer != nil:
		return p.integer.reader(p.digits)
	}
	names := map[string]int{}
	add := func(name string, n int) {
		if p.maxWidth > 0 && len(name) > p.maxWidth {
			name = name[:p.maxWidth]
		}
		names[name] = n
	}
	switch p.component {
	case 'M', 'x':
		for m := time.January; m <= time.December; m++ {
			add(m.String(), int(m))
		}
	case 'F':
		for d := 1; d <= 7; d++ {
			add(time.Weekday(d%7).String(), d)
		}
	case 'P':
		names = map[string]int{"am": 0, "AM": 0, "pm": 1, "PM": 1}
	default:
		return reader{}, fail("D3133").of(string(p.component))
	}
	return reader{"[a-zA-Z]+", func(s string) (float64, bool, error) {
		n, ok := names[s]
		return float64(n), ok, nil
	}}, nil
}

// zoneReader reads an offset from UTC in minutes.
func (p *timePart) zoneReader() reader {
	pattern, sep := "[-+][0-9]+", ""
	if p.integer.every > 0 {
		sep = string(p.integer.separators[0].char)
		pattern += regexp.QuoteMeta(sep) + "[0-9]+"
	}
	if p.component == 'z' {
		pattern = "GMT" + pattern
	}
	return reader{pattern, func(s string) (float64, bool, error) {
		if p.component == 'z' {
			s = s[3:]
		}
		hours, minutes := s, "0"
		if sep != "" {
			hours, minutes, _ = strings.Cut(s, sep)
		} else if len(s) > 3 {
			hours, minutes = s[:3], s[3:]
		}
		return leadingInteger(hours)*60 + leadingInteger(minutes), true, nil
	}}
}

// components are what was read of a time, by component.
type components map[byte]float64

// only reports whether of all the components some of these were given and no
// others. What is 0 does not count, as in JSONata.
func (c components) only(all, these string) bool {
	some := false
	for i := range len(all) {
		if f := c[all[i]]; f == 0 || math.IsNaN(f) {
			continue
		}
		if strings.IndexByte(these, all[i]) < 0 {
			return false
		}
		some = true
	}
	return some
}

// timeReader reads times that are written as a picture says.
type timeReader struct {
	parts   []timePart
	readers []reader
	re      *regex
}

func newTimeReader(picture string) (*timeReader, error) {
	p, err := parseTimePicture(picture)
	if err != nil {
		return nil, err
	}
	r := &timeReader{parts: p.parts, readers: make([]reader, len(p.parts))}
	pattern := "^"
	for i := range p.parts {
		if r.readers[i], err = p.parts[i].reader(); err != nil {
			return nil, err
		}
		pattern += "(" + r.readers[i].pattern + ")"
	}
	if r.re, err = compileRegex(pattern+"$", "i"); err != nil {
		return nil, fail("D3136") // too many digits
	}
	return r, nil
}

// timeReaders keeps the readers of pictures that were used lately: making one
// takes longer than reading a time.
var timeReaders struct {
	sync.Mutex
	of map[string]*timeReader
}

// maxTimeReaders bounds timeReaders, maxKeptPicture the pictures in it.
const (
	maxTimeReaders = 128
	maxKeptPicture = 200
)

func timeReaderOf(picture string) (*timeReader, error) {
	if len(picture) > maxKeptPicture {
		return newTimeReader(picture)
	}
	timeReaders.Lock()
	defer timeReaders.Unlock()
	if r := timeReaders.of[picture]; r != nil {
		return r, nil
	}
	r, err := newTimeReader(picture)
	if err != nil {
		return nil, err
	}
	if len(timeReaders.of) >= maxTimeReaders || timeReaders.of == nil {
		timeReaders.of = map[string]*timeReader{}
	}
	timeReaders.of[picture] = r
	return r, nil
}

// parseMillis reads a time that is written as the picture says; nothing for
// what is not.
func (ev *evaluator) parseMillis(s, picture string) (item, error) {
	if err := ev.alloc(16 * len(picture)); err != nil {
		return nothing, err
	}
	r, err := timeReaderOf(picture)
	if err != nil {
		return nothing, err
	}
	m, err := r.re.find(ev, s, 0, 0)
	if err != nil || m == nil {
		return nothing, err
	}
	info := m.groups.elems()
	c, unknown := components{}, false
	for i, part := range r.readers {
		if part.read == nil {
			continue
		}
		f, known, err := part.read(info[i].str)
		if err != nil {
			return nothing, err
		}
		if component := r.parts[i].component; known {
			c[component] = f
		} else {
			delete(c, component)
			unknown = true
		}
	}
	if len(c) == 0 && !unknown {
		return nothing, nil
	}
	return c.millis(ev.now().UTC())
}

// millis puts the components together.
func (c components) millis(now time.Time) (item, error) {
	const dates, clocks = "YXMxWwdD", "PHhmsf"
	date := "YMD"
	switch {
	case c.only(dates, "YMD"):
	case c.only(dates, "Yd"):
		date = "YD"
	case c.only(dates, "Xxw"):
		date = "XxwF"
	case c.only(dates, "XW"):
		date = "XWF"
	}
	clock := "Hmsf"
	if !c.only(clocks, "Hmsf") && c.only(clocks, "Phmsf") {
		clock = "Phmsf"
	}
	if err := c.fill(date+clock, now); err != nil {
		return nothing, err
	}
	if date[0] == 'X' {
		return nothing, fail("D3136")
	}
	month, day := max(c['M']-1, 0), c['D']
	if date == "YD" {
		month, day = 0, c['d']
	}
	if clock[0] == 'P' {
		c['H'] = c['h'] + 12*c['P']
		if c['h'] == 12 {
			c['H'] -= 12
		}
	}
	millis := dateUTC(c['Y'], month, day) + c['H']*3_600_000 + c['m']*60_000 + c['s']*1000 + c['f']
	if zone := c['Z']; zone != 0 {
		millis -= zone * 60_000
	} else {
		millis -= c['z'] * 60_000
	}
	if math.Abs(millis) > maxMillis {
		millis = math.NaN()
	}
	return ofNumber(millis), nil
}

// fill fills in what was not given: before what was, from the time now; after
// it, from the start of the span.
func (c components) fill(names string, now time.Time) error {
	started, ended := false, false
	for i := range len(names) {
		name := names[i]
		_, given := c[name]
		switch {
		case given && ended:
			return fail("D3136")
		case given:
			started = true
		case started:
			ended = true
			if strings.IndexByte("MDd", name) >= 0 {
				c[name] = 1
			}
		case name != 'P':
			n, _ := fragment(now, name)
			c[name] = float64(n)
		}
	}
	return nil
}

// dateUTC gives the milliseconds of a date; months count from 0, years below
// 100 are of the 20th century, as in JavaScript's Date.UTC.
func dateUTC(year, month, day float64) float64 {
	if year >= 0 && year <= 99 {
		year += 1900
	}
	if !(math.Abs(year) < 300_000 && math.Abs(month) < 1e6 && math.Abs(day) < 1e9) {
		return math.NaN()
	}
	return float64(time.Date(int(year), time.Month(int(month)+1), int(day), 0, 0, 0, 0, time.UTC).UnixMilli())
}
