//go:build unix

// Package http calls a URL in the place of a Lambda function: the event is
// posted as JSON, the answer is the body of the response.
package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"switchyard/asl/task"
	"switchyard/asl/task/lambda"
	"switchyard/internal/fault"
)

// Config describes one endpoint.
type Config struct {
	// URL is called with POST: http or https. Required.
	URL string
	// Headers are sent with each call, for example Authorization.
	Headers map[string]string
	// Timeout is for one call, to the end of the answer. Default: 15 minutes,
	// Lambda's longest.
	Timeout time.Duration
}

// Endpoint is a function behind a URL. It is safe for concurrent use.
type Endpoint struct {
	cfg Config
	url *url.URL
	// host is the URL without path and query, which may be secret: that of an
	// incoming webhook is. Errors, which everybody sees, have this.
	host   string
	client nethttp.Client
}

var _ lambda.Function = (*Endpoint)(nil)

// maxRedirects is how many redirects on the same host are followed.
const maxRedirects = 3

// New checks the configuration; it calls nothing.
func New(cfg Config) (*Endpoint, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("http: URL must be http:// or https:// with a host")
	}
	if u.User != nil {
		return nil, fmt.Errorf("http %s://%s: put credentials in Headers, not in the URL", u.Scheme, u.Host)
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("http %s://%s: Timeout must not be negative", u.Scheme, u.Host)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Minute
	}
	e := &Endpoint{cfg: cfg, url: u, host: u.Scheme + "://" + u.Host}
	e.client.CheckRedirect = func(req *nethttp.Request, via []*nethttp.Request) error {
		// The headers may hold a secret that is for this host alone.
		if req.URL.Host != u.Host || req.URL.Scheme != u.Scheme {
			return fmt.Errorf("redirect to another host, %s://%s, is not followed", req.URL.Scheme, req.URL.Host)
		}
		if req.Method != nethttp.MethodPost {
			return errors.New("a redirect that loses the body is not followed; answer 307 or 308")
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return e, nil
}

// Invoke posts the event, once this machine has what a call takes. A status of 400 or more is an error: the one in the
// body if that is an object with errorType, otherwise one by the status that
// state machines know from Lambda.
func (e *Endpoint) Invoke(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error) {
	var body []byte
	err := fault.Again(ctx, fault.Waits{First: time.Second, Patience: time.Hour}, func() (err error) {
		body, err = e.call(ctx, t, payload)
		return err
	}, func(error, int, time.Duration) {})
	return body, err
}

func (e *Endpoint) call(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error) {
	timed, cancel := context.WithTimeoutCause(ctx, e.cfg.Timeout, lambda.ErrTimedOut)
	defer cancel()
	req, err := nethttp.NewRequestWithContext(timed, nethttp.MethodPost, e.url.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", e.host, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Switchyard-Execution", t.ExecutionName)
	// The same for each repeat of one attempt, so that a receiver can tell.
	req.Header.Set("Idempotency-Key", t.ID)
	for k, v := range e.cfg.Headers {
		req.Header.Set(k, v)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, e.unreachable(ctx, timed, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, lambda.MaxPayload+1))
	if err != nil {
		return nil, e.unreachable(ctx, timed, err)
	}
	if resp.StatusCode < 300 {
		return body, nil
	}
	return nil, e.refused(resp, body)
}

// unreachable words the failure of a call that got no answer.
func (e *Endpoint) unreachable(ctx, timed context.Context, err error) error {
	var whole *url.Error
	if errors.As(err, &whole) {
		err = whole.Err // without the URL
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isDial(err) && fault.Of(err) != nil:
		return fmt.Errorf("call %s: %w", e.host, err) // no call was made: this machine could not
	case timed.Err() != nil:
		return lambda.NewError(lambda.TypeTimedOut, fmt.Sprintf("Task timed out after %.2f seconds", e.cfg.Timeout.Seconds()))
	}
	return lambda.NewError(lambda.TypeUnavailable, fmt.Sprintf("call %s: %v", e.host, err))
}

func isDial(err error) bool {
	op := new(net.OpError)
	return errors.As(err, &op) && op.Op == "dial"
}

// refused is the error of an answer with a failing status.
func (e *Endpoint) refused(resp *nethttp.Response, body []byte) error {
	if reported := lambda.Reported(body); reported != nil {
		return reported
	}
	message := fmt.Sprintf("%s answered %s", e.host, resp.Status)
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if text := strings.TrimSpace(string(body)); err == nil && text != "" && (kind == "text/plain" || kind == "application/json") {
		message += ": " + strings.ToValidUTF8(text[:min(len(text), 2000)], "\uFFFD")
	}
	name := lambda.TypeUnknown
	switch {
	case resp.StatusCode == nethttp.StatusTooManyRequests:
		name = lambda.TypeThrottled
	case resp.StatusCode >= 500:
		name = lambda.TypeUnavailable
	}
	return lambda.NewError(name, message)
}
