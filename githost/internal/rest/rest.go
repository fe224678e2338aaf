// Package rest calls JSON APIs of git hosts for which there is no client library
// that could be used: with a context for each call, answers of known types,
// credentials that go to no other host, and errors that say what the host's answer
// means to a [dispatch.Host]'s caller.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 32 << 20
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
)

// Config is what is needed to call an API.
type Config struct {
	// Name is the provider's, for errors of the config.
	Name string
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// BaseURL is what paths are below, http or https.
	BaseURL string
	// Token is sent as a bearer, or as User's password where that is set.
	User, Token string
	// Needs is the permission that reading takes, for people.
	Needs string
	// Transport and Now default to the usual.
	Transport http.RoundTripper
	Now       func() time.Time
}

// Client makes calls. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// New checks cfg and calls nothing.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/"))
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%s: base_url %q is not an http or https URL without a user", cfg.Name, cfg.BaseURL)
	}
	if cfg.Token == "" {
		return nil, fmt.Errorf("%s: the API needs a token", cfg.Name)
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg, base: base}
	c.http = &http.Client{Transport: cfg.Transport, CheckRedirect: c.sameHost}
	return c, nil
}

// sameHost keeps credentials and questions from going elsewhere.
func (c *Client) sameHost(r *http.Request, via []*http.Request) error {
	switch {
	case !c.below(r.URL):
		return fmt.Errorf("the host sends us on to %s, which is not below %s", safetext.Cut(safetext.Line(r.URL.Host+r.URL.Path), maxError), c.base)
	case len(via) > 4:
		return errors.New("the host sends us on and on")
	}
	return nil
}

// below reports whether a URL is one of the API's.
func (c *Client) below(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && u.Host == c.base.Host && u.User == nil && strings.HasPrefix(u.EscapedPath()+"/", c.base.EscapedPath()+"/")
}

// Transport is what calls go through.
func (c *Client) Transport() http.RoundTripper { return c.cfg.Transport }

// Path joins segments to a path of the API, each escaped.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// Call is one question.
type Call struct {
	// Method is GET unless it is set.
	Method string
	// Path is below the base URL, escaped, with a leading slash.
	Path  string
	Query url.Values
	// URL takes the place of Path and Query where the API itself gave one, such as
	// that of the next page. One that leads elsewhere is refused.
	URL string
	// Body is sent as JSON, unless it is nil.
	Body any
	// Into is decoded from the answer, unless it is nil or there is no content.
	Into any
}

// StatusError is an answer that is no success.
type StatusError struct {
	// Code is its status. Where Bitbucket Data Center says 401 to somebody whom it
	// knows and who may not do this, it is 403.
	Code   int
	Header http.Header
	// Said is the host's own word, cut and on one line.
	Said string
}

func (e *StatusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.Code, http.StatusText(e.Code), e.Said), ": ")
}

// Do makes a call and returns the header of the answer. An answer that is no
// success is a [*StatusError].
func (c *Client) Do(ctx context.Context, call Call) (http.Header, error) {
	r, err := c.request(ctx, &call)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return response.Header, fmt.Errorf("read the answer: %w", err)
	case response.StatusCode < 200 || response.StatusCode > 299:
		message, unauthorised := said(text)
		code := response.StatusCode
		if code == http.StatusUnauthorized && unauthorised {
			code = http.StatusForbidden
		}
		return response.Header, &StatusError{Code: code, Header: response.Header, Said: message}
	case len(text) > maxAnswer:
		return response.Header, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case call.Into == nil || response.StatusCode == http.StatusNoContent:
		return response.Header, nil
	}
	if err := json.Unmarshal(text, call.Into); err != nil {
		return response.Header, fmt.Errorf("the answer is not what the API documents: %w", err)
	}
	return response.Header, nil
}

func (c *Client) request(ctx context.Context, call *Call) (*http.Request, error) {
	target := call.URL
	if target == "" {
		target = c.base.String() + call.Path
		if len(call.Query) > 0 {
			target += "?" + call.Query.Encode()
		}
	}
	var body io.Reader = http.NoBody
	if call.Body != nil {
		text, err := json.Marshal(call.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	method := call.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if !c.below(r.URL) {
		return nil, fmt.Errorf("the host sends us on to %q, which is not below %s", safetext.Cut(safetext.Line(target), maxError), c.base)
	}
	if call.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "switchyard")
	if c.cfg.User != "" {
		r.SetBasicAuth(c.cfg.User, c.cfg.Token)
	} else {
		r.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	return r, nil
}

// said is the message of an error's answer, in the forms that hosts have, or the
// beginning of the answer; and whether it says that somebody who is known may not
// do this.
func said(text []byte) (message string, unauthorised bool) {
	var known struct {
		Error  json.RawMessage `json:"error"`
		Errors []struct {
			Message   string `json:"message"`
			Exception string `json:"exceptionName"`
		} `json:"errors"`
	}
	if json.Unmarshal(text, &known) == nil {
		var one struct {
			Message string `json:"message"`
			Detail  any    `json:"detail"`
		}
		switch {
		case json.Unmarshal(known.Error, &one) == nil && one.Message != "":
			detail, _ := one.Detail.(string)
			return shown(strings.TrimSuffix(one.Message+": "+detail, ": ")), false
		case len(known.Errors) > 0:
			var all []string
			for _, e := range known.Errors {
				all = append(all, e.Message)
				unauthorised = unauthorised || strings.HasSuffix(e.Exception, ".AuthorisationException")
			}
			return shown(strings.Join(all, "; ")), unauthorised
		}
	}
	return shown(string(text[:min(len(text), maxError*4)])), false
}

func shown(s string) string { return safetext.Cut(safetext.Line(s), maxError) }

// Code is the status of an answer that was no success, 0 for any other error.
func Code(err error) int {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it
// says that the host asks for fewer calls, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	var status *StatusError
	if !errors.As(err, &status) {
		return nil
	}
	after, told := c.retryAfter(status.Header)
	if status.Code == http.StatusTooManyRequests || status.Code == http.StatusServiceUnavailable && told {
		return &dispatch.ThrottledError{After: after, Err: shown}
	}
	return nil
}

// retryAfter reads how long the host wants to be left alone.
func (c *Client) retryAfter(h http.Header) (time.Duration, bool) {
	after := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(after)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = c.cfg.Now()
	}
	return max(at.Sub(now), 0) + time.Second, true
}

// Plain is err as it may be shown, without its types.
func Plain(op string, err error) error { return fmt.Errorf("%s: %s", op, shown(err.Error())) }

// Verdict says what an error of Do means to a [dispatch.Host]'s caller, and drops
// its type. needs is the permission that the call takes; the config's where it is
// empty.
func (c *Client) Verdict(ctx context.Context, op, repository, needs string, err error) error {
	if err == nil {
		return nil
	}
	op += " at " + repository
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	if needs == "" {
		needs = c.cfg.Needs
	}
	plain := Plain(op, err)
	if throttled := c.Throttled(err, plain); throttled != nil {
		return throttled
	}
	switch Code(err) {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: the host does not accept %s, which may have run out or been revoked: %s", dispatch.ErrCannotAsk, c.Credential(), shown(err.Error()))
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s may not do it; it needs %s: %v", dispatch.ErrCannotAsk, c.Credential(), needs, plain)
	case http.StatusNotFound:
		return &dispatch.PermanentError{Err: fmt.Errorf("the host has no such thing, or %s may not see it (it needs %s): %w", c.Credential(), needs, plain)}
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	}
	return plain
}

// Credential is the key in the config of what authorises calls.
func (c *Client) Credential() string {
	if c.cfg.Source == "" {
		return "the token"
	}
	return "sources." + c.cfg.Source + ".token"
}
