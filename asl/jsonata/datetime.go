package jsonata

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var timeFunctions = []entry{
	{"now", "<s?s?:s>", 2, func(ev *evaluator, args []item) (item, error) {
		return ev.formatMillis(float64(ev.now().UnixMilli()), arg(args, 0), arg(args, 1))
	}},
	{"millis", "<:n>", 0, func(ev *evaluator, _ []item) (item, error) { return ofNumber(float64(ev.now().UnixMilli())), nil }},
	{"toMillis", "<s-s?:n>", 2, ofFirst(toMillis)},
	{"fromMillis", "<n-s?s?:s>", 3, ofFirst(func(ev *evaluator, x item, rest []item) (item, error) {
		return ev.formatMillis(x.num, arg(rest, 0), arg(rest, 1))
	})},
}

// maxMillis is how far from 1970 a date of JavaScript goes.
const maxMillis = 8.64e15

// isoForm is what toMillis takes without a picture.
var isoForm = regexp.MustCompile(`^\d{4}(-[01]\d)*(-[0-3]\d)*(T[0-2]\d:[0-5]\d:[0-5]\d)*(\.\d+)?([+-][0-2]\d:?[0-5]\d|Z)?$`)

// isoParts takes apart what JavaScript's Date.parse reads of that.
var isoParts = regexp.MustCompile(`^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?)?$`)

func toMillis(ev *evaluator, x item, rest []item) (item, error) {
	if picture := arg(rest, 0); picture.kind != undefined {
		return ev.parseMillis(x.str, picture.str)
	}
	if !isoForm.MatchString(x.str) {
		return nothing, fail("D3110").of(x)
	}
	return ofNumber(parseISO(x.str)), nil
}

// parseISO gives the milliseconds since 1970, NaN for no time. A time without a
// zone is one of UTC, the zone of Step Functions.
func parseISO(s string) float64 {
	m := isoParts.FindStringSubmatch(s)
	if m == nil {
		return math.NaN()
	}
	part := func(i, or int) int {
		if n, err := strconv.Atoi(m[i]); err == nil {
			return n
		}
		return or
	}
	year, month, day := part(1, 0), part(2, 1), part(3, 1)
	hour, minute, second := part(4, 0), part(5, 0), part(6, 0)
	midnight := hour == 24 && minute == 0 && second == 0
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 && !midnight || minute > 59 || second > 59 {
		return math.NaN()
	}
	fraction := (m[7] + "000")[:3]
	millis, _ := strconv.Atoi(fraction)
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).UnixMilli() + int64(millis)
	if zone := strings.ReplaceAll(m[8], ":", ""); len(zone) == 5 {
		hours, _ := strconv.Atoi(zone[1:3])
		minutes, _ := strconv.Atoi(zone[3:])
		offset := int64(hours*60+minutes) * 60_000
		if zone[0] == '-' {
			offset = -offset
		}
		t -= offset
	}
	return float64(t)
}

// zoneOffset reads a zone such as +0530: hours and minutes, both with its sign.
// They are NaN where it is no number.
func zoneOffset(zone item) (hours, minutes float64) {
	if zone.kind == undefined {
		return 0, 0
	}
	f := leadingInteger(zone.str)
	return math.Floor(f / 100), math.Mod(f, 100)
}

// moment is a time in a zone.
type moment struct {
	time.Time
	valid          bool // false beyond the dates that there are: all its parts are NaN
	hours, minutes float64
}

func momentOf(millis float64, zone item) (m moment) {
	m.hours, m.minutes = zoneOffset(zone)
	millis = math.Trunc(millis) + (60*m.hours+m.minutes)*60_000
	if m.valid = math.Abs(millis) <= maxMillis; m.valid {
		m.Time = time.UnixMilli(int64(millis)).UTC()
	}
	return m
}

var isoPicture = func() *timePicture {
	p, err := parseTimePicture("[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]")
	if err != nil {
		panic(err)
	}
	return p
}()

func (ev *evaluator) formatMillis(millis float64, picture, zone item) (item, error) {
	p := isoPicture
	if picture.kind != undefined {
		var err error
		if p, err = parseTimePicture(picture.str); err != nil {
			return nothing, err
		}
		if err := ev.alloc(8 * len(picture.str)); err != nil {
			return nothing, err
		}
	}
	s, err := p.format(momentOf(millis, zone))
	return ofString(s), err
}

// fragment is the part of the moment that a component stands for; false for one
// that is not a number.
func (m moment) fragment(component byte) (float64, bool) {
	n, ok := fragment(m.Time, component)
	if !m.valid {
		return math.NaN(), ok
	}
	return float64(n), ok
}

// fragment gives the part of a time that a component stands for; false for one
// that is not a number.
func fragment(t time.Time, component byte) (int, bool) {
	switch component {
	case 'Y':
		return t.Year(), true
	case 'M':
		return int(t.Month()), true
	case 'D':
		return t.Day(), true
	case 'd':
		return t.YearDay(), true
	case 'F':
		return (int(t.Weekday())+6)%7 + 1, true
	case 'W':
		_, week := t.ISOWeek()
		return week, true
	case 'w':
		return weekOfMonth(t), true
	case 'X':
		year, _ := t.ISOWeek()
		return year, true
	case 'x':
		return int(monthOfWeek(t).Month()), true
	case 'H':
		return t.Hour(), true
	case 'h':
		return (t.Hour()+11)%12 + 1, true
	case 'P':
		return t.Hour() / 12, true
	case 'm':
		return t.Minute(), true
	case 's':
		return t.Second(), true
	case 'f':
		return t.Nanosecond() / 1e6, true
	}
	return 0, false
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// firstWeek is the Monday of a month's first week, the one with its first
// Thursday, as ISO 8601 has it for years.
func firstWeek(month time.Time) time.Time {
	first := time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
	day := (int(first.Weekday())+6)%7 + 1
	if day > 4 {
		return first.AddDate(0, 0, 8-day)
	}
	return first.AddDate(0, 0, 1-day)
}

// monthOfWeek is a day of the month that the week of t counts to.
func monthOfWeek(t time.Time) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch {
	case t.Before(firstWeek(first)):
		return first.AddDate(0, -1, 0)
	case !t.Before(firstWeek(first.AddDate(0, 1, 0))):
		return first.AddDate(0, 1, 0)
	}
	return first
}

func weekOfMonth(t time.Time) int {
	return int(midnight(t).Sub(firstWeek(monthOfWeek(t))).Hours()/24)/7 + 1
}
