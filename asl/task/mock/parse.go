package mock

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/task"
	"switchyard/asl/value"
)

// maxAttempt bounds the numbers in keys: an execution's history ends before.
const maxAttempt = 25_000

// parser collects every mistake of a file.
type parser struct {
	file  string
	src   *value.Source
	found []mistake
	// responses are nil where the file names one that is wrong.
	responses map[string]*response
}

// mistake is what is wrong at an offset.
type mistake struct {
	offset int
	err    error
}

// mistakes are all that were found, in the order of the file; nil for none.
func (p *parser) mistakes() error {
	slices.SortStableFunc(p.found, func(a, b mistake) int { return cmp.Compare(a.offset, b.offset) })
	list := make([]error, len(p.found))
	for i, m := range p.found {
		list[i] = m.err
	}
	return errors.Join(list...)
}

func (p *parser) fail(offset int, format string, args ...any) {
	line, column := p.src.Position(offset)
	p.found = append(p.found, mistake{offset, fmt.Errorf("%s:%d:%d: %s", p.file, line, column, fmt.Sprintf(format, args...))})
}

func (p *parser) parse(data []byte) *Config {
	root, src, err := value.ParseSource(data)
	p.src = src
	if err != nil {
		var syntax *value.SyntaxError
		if errors.As(err, &syntax) {
			p.fail(syntax.Offset, "invalid JSON: %s", syntax.Msg)
		} else {
			p.fail(0, "invalid JSON: %v", err)
		}
		return nil
	}
	for _, at := range src.Duplicates {
		p.fail(at, "this key stands here twice")
	}
	fields := p.object(root, src.Root(), "the file", "StateMachines", "MockedResponses")
	p.responses = map[string]*response{}
	for _, f := range p.members(fields["MockedResponses"], "MockedResponses") {
		p.responses[f.key] = p.response(f)
	}
	c := &Config{machines: map[string]map[string]map[string]task.Mock{}}
	for _, m := range p.members(fields["StateMachines"], "StateMachines") {
		where := "StateMachines." + m.key
		cases := map[string]map[string]task.Mock{}
		inner := p.object(m.v, m.at, where, "TestCases")
		for _, tc := range p.members(inner["TestCases"], where+".TestCases") {
			cases[tc.key] = p.testCase(tc, where+".TestCases."+tc.key)
		}
		c.machines[m.key] = cases
	}
	return c
}

// member is a field of an object, with the offsets of its key and value.
type member struct {
	key       string
	v         value.Value
	keyAt, at int
}

// members lists the fields of an object that may be missing.
func (p *parser) members(m *member, where string) []member {
	if m == nil {
		return nil
	}
	return p.fields(m.v, m.at, where)
}

func (p *parser) fields(v value.Value, at int, where string) []member {
	if v.Kind() != value.Object {
		p.fail(at, "%s must be an object, not %s", where, article(v))
		return nil
	}
	list := make([]member, 0, v.Len())
	for i := range v.Len() {
		f := member{v.Key(i), v.Elem(i), p.src.KeyOffset(v, i), p.src.ValueOffset(v, i)}
		if f.key == "" {
			p.fail(f.keyAt, "%s has an empty key", where)
			continue
		}
		list = append(list, f)
	}
	return list
}

// object reads an object whose keys are known.
func (p *parser) object(v value.Value, at int, where string, known ...string) map[string]*member {
	got := map[string]*member{}
	for _, f := range p.fields(v, at, where) {
		if !slices.Contains(known, f.key) {
			p.fail(f.keyAt, "%s has the unknown key %q; there is %s", where, f.key, strings.Join(known, " and "))
			continue
		}
		got[f.key] = &f
	}
	return got
}

func (p *parser) testCase(tc member, where string) map[string]task.Mock {
	states := map[string]task.Mock{}
	for _, f := range p.fields(tc.v, tc.at, where) {
		name, ok := f.v.Str()
		if !ok {
			p.fail(f.at, "%s.%s must be the name of a mocked response, not %s", where, f.key, article(f.v))
			continue
		}
		r, ok := p.responses[name]
		if !ok {
			p.fail(f.at, "%s.%s names the mocked response %q, which MockedResponses does not have", where, f.key, name)
			continue
		}
		states[f.key] = r
	}
	return states
}

func (p *parser) response(m member) *response {
	where := "MockedResponses." + m.key
	r := &response{name: m.key}
	fields := p.fields(m.v, m.at, where)
	if m.v.Kind() == value.Object && len(fields) == 0 {
		p.fail(m.at, "%s has no answer; the first attempt is \"0\"", where)
	}
	type placed struct {
		answer
		at int
	}
	var list []placed
	for _, f := range fields {
		first, last, ok := attempts(f.key)
		if !ok {
			p.fail(f.keyAt, "%s: the key %q is neither an attempt, such as \"0\", nor a range of attempts, such as \"1-2\"", where, f.key)
			continue
		}
		a := p.answer(f, where+"."+f.key)
		a.first, a.last = first, last
		list = append(list, placed{a, f.keyAt})
	}
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Compare(a.first, b.first) })
	next := 0
	for _, a := range list {
		switch {
		case a.first < next:
			p.fail(a.at, "%s: attempt %d has two answers", where, a.first)
		case a.first > next && len(list) == len(fields):
			p.fail(a.at, "%s: attempt %d has no answer, so this one is never reached", where, next)
		}
		next = max(next, a.last+1)
		r.answers = append(r.answers, a.answer)
	}
	return r
}

// attempts reads "3" or "1-2".
func attempts(key string) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(key, "-")
	if !isRange {
		to = from
	}
	first, okFirst := attempt(from)
	last, okLast := attempt(to)
	return first, last, okFirst && okLast && first <= last
}

func attempt(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxAttempt && strconv.Itoa(int(n)) == s
}

func (p *parser) answer(m member, where string) (a answer) {
	before := len(p.found)
	fields := p.object(m.v, m.at, where, "Return", "Throw")
	ret, throw := fields["Return"], fields["Throw"]
	switch {
	case len(p.found) > before:
	case ret != nil && throw != nil:
		p.fail(m.at, "%s has both Return and Throw; keep one", where)
	case ret != nil:
		a.output = []byte(ret.v.JSON())
	case throw != nil:
		a.throw = p.throw(throw, where+".Throw")
	default:
		p.fail(m.at, "%s has neither Return nor Throw", where)
	}
	return a
}

func (p *parser) throw(m *member, where string) *task.Error {
	before := len(p.found)
	fields := p.object(m.v, m.at, where, "Error", "Cause")
	text := func(key string) (s string) {
		if f := fields[key]; f != nil {
			var ok bool
			if s, ok = f.v.Str(); !ok {
				p.fail(f.at, "%s.%s must be a string, not %s", where, key, article(f.v))
			}
		}
		return s
	}
	e := &task.Error{Name: text("Error"), Cause: text("Cause")}
	if e.Name == "" && len(p.found) == before {
		p.fail(m.at, "%s has no Error; it is the name that Retry and Catch look for", where)
	}
	return e
}

// article names v's kind for a message.
func article(v value.Value) string {
	switch kind := v.Kind().String(); kind {
	case "array", "object":
		return "an " + kind
	case "null":
		return kind
	default:
		return "a " + kind
	}
}
