package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// httpEvent is a request as a function URL, API Gateway (version 1.0 and 2.0 of
// its payload) or an Application Load Balancer passes it on. Function URLs use
// version 2.0. See "Working with AWS Lambda proxy integrations for HTTP APIs" and
// "Using Lambda functions as targets of an Application Load Balancer".
type httpEvent struct {
	Version string `json:"version"`

	// Version 1.0, and the load balancer.
	HTTPMethod        string              `json:"httpMethod"`
	Path              string              `json:"path"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`

	// Version 2.0.
	RawPath        string `json:"rawPath"`
	RawQueryString string `json:"rawQueryString"`

	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		Stage string          `json:"stage"`
		ELB   json.RawMessage `json:"elb"`
		HTTP  struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		Identity struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`
}

// httpAnswer is what all of them take.
type httpAnswer struct {
	StatusCode        int                 `json:"statusCode"`
	StatusDescription string              `json:"statusDescription,omitempty"` // of the load balancer
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

func (f *Function) serveHTTP(ctx context.Context, payload []byte) ([]byte, error) {
	var e httpEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("the event is not an HTTP request: %w", err)
	}
	r, err := e.request(ctx)
	if err != nil {
		return json.Marshal(e.answer(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":`+strconv.Quote(err.Error())+`}`)))
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	f.HTTP.ServeHTTP(w, r)
	return json.Marshal(e.answer(w.status, w.header, w.body.Bytes()))
}

// request is the request as a server would have read it.
func (e *httpEvent) request(ctx context.Context) (*http.Request, error) {
	method, path, query := e.RequestContext.HTTP.Method, e.RawPath, e.RawQueryString
	if method != "" {
		// The stage is a part of the path, unless it is the default one or has
		// a domain of its own.
		if stage := e.RequestContext.Stage; stage != "" && stage != "$default" {
			if rest, ok := strings.CutPrefix(path, "/"+stage); ok && strings.HasPrefix(rest, "/") {
				path = rest
			}
		}
	} else {
		method, path, query = e.HTTPMethod, e.Path, e.query()
	}
	if method == "" || path == "" {
		return nil, errors.New("the event has no HTTP method and path: connect a function URL, API Gateway or a load balancer")
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, errors.New("the event's body is not the base64 that it says it is")
		}
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%q is not a path", path)
	}
	r := (&http.Request{
		Method: method, URL: &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: query}, RequestURI: path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(ctx)
	for name, values := range e.MultiValueHeaders {
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	if len(e.MultiValueHeaders) == 0 {
		for name, value := range e.Headers {
			r.Header.Set(name, value)
		}
	}
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host")
	if ip := e.RequestContext.HTTP.SourceIP + e.RequestContext.Identity.SourceIP; ip != "" {
		r.RemoteAddr = net.JoinHostPort(ip, "0")
	}
	return r, nil
}

// query puts together what version 1.0 has taken apart. API Gateway has decoded
// the values; a load balancer has not.
func (e *httpEvent) query() string {
	raw := len(e.RequestContext.ELB) > 0
	var parts []string
	add := func(name, value string) {
		if !raw {
			name, value = url.QueryEscape(name), url.QueryEscape(value)
		}
		parts = append(parts, name+"="+value)
	}
	for name, values := range e.MultiValueQuery {
		for _, v := range values {
			add(name, v)
		}
	}
	if len(e.MultiValueQuery) == 0 {
		for name, value := range e.Query {
			add(name, value)
		}
	}
	return strings.Join(parts, "&")
}

// answer is in the form in which the request came.
func (e *httpEvent) answer(status int, header http.Header, body []byte) httpAnswer {
	a := httpAnswer{StatusCode: status, Body: string(body)}
	if !utf8.Valid(body) {
		a.Body, a.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	if len(e.RequestContext.ELB) > 0 {
		a.StatusDescription = strconv.Itoa(status) + " " + http.StatusText(status)
	}
	if len(e.MultiValueHeaders) > 0 {
		a.MultiValueHeaders = header
		return a
	}
	a.Headers = map[string]string{}
	for name, values := range header {
		a.Headers[name] = strings.Join(values, ",")
	}
	return a
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.wrote = true
	return w.body.Write(p)
}
