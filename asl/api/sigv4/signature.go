package sigv4

import (
	"net/http"
	"strings"
	"time"

	"switchyard/internal/awssign"
)

const (
	algorithm  = awssign.Algorithm
	terminator = awssign.Terminator
	dateFormat = "20060102"
	timeFormat = "20060102T150405Z"

	headerDate    = "X-Amz-Date"
	headerPayload = "X-Amz-Content-Sha256"
	headerToken   = "X-Amz-Security-Token"
)

// signature is what a request's header says of how it was signed.
type signature struct {
	keyID, date, region, service string
	signed                       []string
	signature                    string
	time                         time.Time
}

// parse reads the Authorization header and the time of the request.
func parse(r *http.Request) (*signature, error) {
	values := r.Header.Values("Authorization")
	switch {
	case len(values) > 1:
		return nil, refuse(CodeIncomplete, "The request has several Authorization headers.")
	case len(values) == 0 && strings.Contains(r.URL.RawQuery, "X-Amz-Signature="):
		return nil, refuse(CodeIncomplete, "A signature in the query is not accepted here; sign in the Authorization header.")
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		return nil, refuse(CodeMissing, "Missing Authentication Token: sign the request with AWS Signature Version 4, as every AWS SDK and the AWS command line do.")
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if name != algorithm {
		return nil, refuse(CodeIncomplete, "The algorithm of the Authorization header must be %s.", algorithm)
	}
	fields, err := parameters(rest)
	if err != nil {
		return nil, err
	}
	s := &signature{signed: strings.Split(fields["SignedHeaders"], ";"), signature: fields["Signature"]}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != terminator || !ValidID(scope[0]) {
		return nil, refuse(CodeIncomplete, "Credential must have the form <access key>/YYYYMMDD/<region>/<service>/%s.", terminator)
	}
	s.keyID, s.date, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
	s.time, err = timeOf(r.Header)
	return s, err
}

// parameters takes "Credential=…, SignedHeaders=…, Signature=…" apart.
func parameters(text string) (map[string]string, error) {
	found := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := found[name]; twice {
			return nil, refuse(CodeIncomplete, "Authorization header has a parameter twice.")
		}
		found[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if found[name] == "" {
			return nil, refuse(CodeIncomplete, "Authorization header requires '%s' parameter.", name)
		}
	}
	return found, nil
}

// timeOf is when the request was signed: X-Amz-Date or, without one, Date.
func timeOf(h http.Header) (time.Time, error) {
	name, format := headerDate, timeFormat
	values := h.Values(headerDate)
	if len(values) == 0 {
		name, format, values = "Date", http.TimeFormat, h.Values("Date")
	}
	if len(values) == 0 {
		return time.Time{}, refuse(CodeIncomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(values) == 1 {
		if t, err := time.Parse(format, strings.TrimSpace(values[0])); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, refuse(CodeIncomplete, "The header %s must be one time of the form %s.", name, format)
}
