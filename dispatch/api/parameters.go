package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
)

// parameters reads a call's query strictly: what is malformed, unknown, empty
// or given twice is refused by name. A filter that nobody reads, because it is
// misspelt or was cut off at a ";", must not list everything.
//
// [url.URL.Query] is of no use here: it leaves out what it cannot read.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	q := url.Values{}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(rawKey)
		if err != nil || strings.Contains(rawKey, ";") {
			return nil, badParameter("query parameter %q is malformed; percent-encode what is special in it", rawKey)
		}
		value, err := url.QueryUnescape(rawValue)
		switch {
		case !slices.Contains(known, key):
			return nil, unknownParameter(key, known)
		case strings.Contains(rawValue, ";"):
			return nil, badParameter("query parameter %s: write ; as %%3B, and & between parameters", key)
		case err != nil:
			return nil, badParameter("query parameter %s is malformed: %v", key, err)
		case value == "":
			return nil, badParameter("query parameter %s is empty; leave it out, or give it a value", key)
		case q.Has(key) && key != stateParameter:
			return nil, badParameter("query parameter %s is given twice", key)
		}
		q.Add(key, value)
	}
	return q, nil
}

func badParameter(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unknownParameter(key string, known []string) error {
	if len(known) == 0 {
		return badParameter("query parameter %q: this call takes none", key)
	}
	return badParameter("query parameter %q is none of %s", key, strings.Join(known, ", "))
}

// stateParameter is the only one that may be given several times.
const stateParameter = "state"

// filterParameters are those that executionFilter reads.
func filterParameters() []string {
	return []string{stateParameter, "repository", "route", "environment", "ref", "sha", "delivery", "since"}
}

func executionFilter(q url.Values, now time.Time) (dispatch.ExecutionFilter, error) {
	f := dispatch.ExecutionFilter{
		Repository: q.Get("repository"), Route: q.Get("route"), Environment: q.Get("environment"),
		Ref: q.Get("ref"), SHA: q.Get("sha"), Delivery: q.Get("delivery"),
	}
	for _, s := range q[stateParameter] {
		state := dispatch.State(s)
		if !slices.Contains(dispatch.States(), state) {
			return f, badParameter("state %q is none of %v", s, dispatch.States())
		}
		f.States = append(f.States, state)
	}
	if since := q.Get("since"); since != "" {
		at, err := ParseSince(since, now)
		if err != nil {
			return f, badParameter("since: %v", err)
		}
		f.Since = at
	}
	return f, nil
}

// ParseSince reads a point in the past: a time as in RFC 3339, a date, or how
// long ago it is, such as 90m, 2h or 7d.
func ParseSince(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); n > 36_500 {
			err = strconv.ErrRange
		}
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("%q is not a time; write 2h, 7d, 2026-11-26 or 2026-11-26T09:30:00Z", text)
	}
	return now.Add(-ago), nil
}

// byWhom reads who is behind a POST that takes no other parameter.
func byWhom(r *http.Request) (string, error) {
	q, err := parameters(r, "by")
	if err != nil {
		return "", err
	}
	return caller(q)
}

// caller is who is behind a POST, for the record.
func caller(q url.Values) (string, error) {
	by := q.Get("by")
	switch {
	case by == "":
		return "hand", nil
	case len(by) > 100:
		return "", badParameter("by has more than 100 bytes")
	}
	return by, nil
}

// page reads the cursor and the size of a page.
func page(q url.Values) (before int64, limit int, err error) {
	const maxInt64 = 1<<63 - 1
	if before, err = number(q, "before", maxInt64); err != nil {
		return 0, 0, err
	}
	size, err := number(q, "limit", 1000)
	return before, int(size), err
}

// number reads a parameter from 1 to most, 0 when it is not given.
func number(q url.Values, key string, most int64) (int64, error) {
	text := q.Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, badParameter("%s=%q is not a number from 1 to %d", key, text, most)
	}
	return n, nil
}
