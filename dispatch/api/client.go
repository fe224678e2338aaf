package api

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
	"syscall"
	"time"

	"switchyard/dispatch"
)

// Client speaks to a running service, as the command line does.
type Client struct {
	base, token string
	http        *http.Client
}

// NewClient returns a client of the service at base, for example
// http://127.0.0.1:8080.
func NewClient(base, token string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{}}
}

// Executions lists executions, newest first.
func (c *Client) Executions(ctx context.Context, f dispatch.ExecutionFilter) (page dispatch.ExecutionPage, err error) {
	q := filter(f)
	paging(q, f.Before, f.Limit)
	err = c.call(ctx, http.MethodGet, "executions?"+q.Encode(), nil, &page)
	return page, err
}

// filter writes what the service's executionFilter reads.
func filter(f dispatch.ExecutionFilter) url.Values {
	q := url.Values{}
	for _, s := range f.States {
		q.Add("state", string(s))
	}
	set(q, "repository", f.Repository)
	set(q, "route", f.Route)
	set(q, "environment", f.Environment)
	set(q, "ref", f.Ref)
	set(q, "sha", f.SHA)
	set(q, "delivery", f.Delivery)
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// Execution returns one execution with input and output.
func (c *Client) Execution(ctx context.Context, id string) (e dispatch.Execution, err error) {
	err = c.call(ctx, http.MethodGet, "executions/"+url.PathEscape(id), nil, &e)
	return e, err
}

// History returns a page of what happened in an execution. Limit 0 is the
// service's own.
func (c *Client) History(ctx context.Context, id string, h dispatch.HistoryQuery) (page dispatch.HistoryPage, err error) {
	q := url.Values{}
	if h.After != 0 {
		q.Set("after", strconv.FormatInt(h.After, 10))
	}
	paging(q, 0, h.Limit)
	if h.NewestFirst {
		q.Set("order", "newest")
	}
	if !h.Data {
		q.Set("data", "false")
	}
	err = c.call(ctx, http.MethodGet, "executions/"+url.PathEscape(id)+"/history?"+q.Encode(), nil, &page)
	return page, err
}

// Deliveries lists deliveries, newest first.
func (c *Client) Deliveries(ctx context.Context, f dispatch.DeliveryFilter) (page dispatch.DeliveryPage, err error) {
	q := url.Values{}
	set(q, "source", f.Source)
	set(q, "repository", f.Repository)
	paging(q, f.Before, f.Limit)
	err = c.call(ctx, http.MethodGet, "deliveries?"+q.Encode(), nil, &page)
	return page, err
}

// Delivery returns one delivery with its event and what it became.
func (c *Client) Delivery(ctx context.Context, id string) (d dispatch.DeliveryDetail, err error) {
	err = c.call(ctx, http.MethodGet, "deliveries/"+url.PathEscape(id), nil, &d)
	return d, err
}

// Start starts an execution of stateMachine by hand and returns its ID. The
// name may be empty where the service has one state machine only.
func (c *Client) Start(ctx context.Context, stateMachine string, input []byte, by string) (string, error) {
	q := url.Values{}
	set(q, "by", by)
	set(q, "state_machine", stateMachine)
	return c.one(ctx, "executions?"+q.Encode(), input)
}

// Rerun runs a finished execution again and returns the new attempt's ID.
func (c *Client) Rerun(ctx context.Context, id, by string) (string, error) {
	return c.one(ctx, onBehalf("executions/"+url.PathEscape(id)+"/rerun", by), nil)
}

// ManyCall says on which executions a call acts. It begins behind After, the
// Next of the call before it; Limit 0 is the service's own.
type ManyCall struct {
	Filter dispatch.ExecutionFilter
	By     string
	After  int64
	Limit  int
	DryRun bool
}

// RerunMany reruns the oldest of the executions that match.
func (c *Client) RerunMany(ctx context.Context, m ManyCall) (Many, error) {
	return c.many(ctx, "rerun", m)
}

// RedriveMany redrives the oldest of the executions that match, of the dead ones
// where the filter names no state.
func (c *Client) RedriveMany(ctx context.Context, m ManyCall) (Many, error) {
	return c.many(ctx, "redrive", m)
}

func (c *Client) many(ctx context.Context, verb string, m ManyCall) (done Many, err error) {
	q := filter(m.Filter)
	set(q, "by", m.By)
	if m.After != 0 {
		q.Set("after", strconv.FormatInt(m.After, 10))
	}
	paging(q, 0, m.Limit)
	if m.DryRun {
		q.Set("dry_run", "true")
	}
	err = c.call(ctx, http.MethodPost, "executions/"+verb+"?"+q.Encode(), nil, &done)
	return done, err
}

// Stop asks for an execution's end.
func (c *Client) Stop(ctx context.Context, id, by string) error {
	return c.call(ctx, http.MethodPost, onBehalf("executions/"+url.PathEscape(id)+"/stop", by), nil, nil)
}

// Approvals lists what executions ask people, newest first.
func (c *Client) Approvals(ctx context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error) {
	q := url.Values{}
	set(q, "execution", f.Execution)
	if f.Waiting {
		q.Set("waiting", "true")
	}
	paging(q, 0, f.Limit)
	var list ApprovalList
	err := c.call(ctx, http.MethodGet, "approvals?"+q.Encode(), nil, &list)
	return list.Approvals, err
}

// Decide approves or rejects what an execution asks, as on the command line.
func (c *Client) Decide(ctx context.Context, d dispatch.Decision) (a dispatch.Approval, err error) {
	q := url.Values{"via": {"cli"}}
	set(q, "by", d.By)
	set(q, "approval", d.Approval)
	set(q, "commit", d.SHA)
	set(q, "reason", d.Reason)
	verb := "reject"
	if d.Approve {
		verb = "approve"
	}
	err = c.call(ctx, http.MethodPost, "executions/"+url.PathEscape(d.Execution)+"/"+verb+"?"+q.Encode(), nil, &a)
	return a, err
}

// ApprovalLink has a link made with which a person may decide what an execution
// asks; ttl 0 is the service's own.
func (c *Client) ApprovalLink(ctx context.Context, execution, approval, person string, ttl time.Duration) (l ApprovalLink, err error) {
	q := url.Values{"for": {person}}
	set(q, "approval", approval)
	if ttl != 0 {
		q.Set("ttl", ttl.String())
	}
	err = c.call(ctx, http.MethodPost, "executions/"+url.PathEscape(execution)+"/link?"+q.Encode(), nil, &l)
	return l, err
}

// SignInLink has a link made that signs a person in to the dashboard, once.
func (c *Client) SignInLink(ctx context.Context, person, role string) (l SignInLink, err error) {
	err = c.call(ctx, http.MethodPost, "sign-in?"+url.Values{"for": {person}, "role": {role}}.Encode(), nil, &l)
	return l, err
}

// Redrive starts an execution that the engine refused, or lets one that failed,
// timed out or was stopped go on, and says which of both.
func (c *Client) Redrive(ctx context.Context, id string) (dispatch.RedriveKind, error) {
	var done Redriven
	err := c.call(ctx, http.MethodPost, "executions/"+url.PathEscape(id)+"/redrive", nil, &done)
	return done.Kind, err
}

// Replay routes a delivery again, starts what is missing, and says what it
// asks for now.
func (c *Client) Replay(ctx context.Context, id string) (a Accepted, err error) {
	err = c.call(ctx, http.MethodPost, "deliveries/"+url.PathEscape(id)+"/replay", nil, &a)
	return a, err
}

// Log copies an execution's build log to w until its builds have ended.
func (c *Client) Log(ctx context.Context, id string, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "executions/"+url.PathEscape(id)+"/log", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("log of %s: %w", id, err)
	}
	return nil
}

// Audit has the service audit what the query names, and returns the answer as it
// comes: lines of JSON, each an audit.Line. The caller closes it.
func (c *Client) Audit(ctx context.Context, query url.Values) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodPost, "audits?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// one posts a call that answers with a single execution.
func (c *Client) one(ctx context.Context, path string, body []byte) (string, error) {
	var got Accepted
	if err := c.call(ctx, http.MethodPost, path, body, &got); err != nil {
		return "", err
	}
	if len(got.Executions) != 1 {
		return "", fmt.Errorf("the service answered with %d executions instead of one", len(got.Executions))
	}
	return got.Executions[0], nil
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("the answer of %s: %w", c.base, err)
	}
	return nil
}

// do returns an answer of 2xx; anything else becomes an error in the words of
// the service.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no service answers at %s; start it with switchyard serve, or name another with --server", c.base)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var refused struct{ Error string }
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came of it will do
	if json.Unmarshal(text, &refused) == nil && refused.Error != "" {
		return nil, errors.New(refused.Error)
	}
	return nil, fmt.Errorf("%s answered %s; is it a Switchyard service?", c.base, resp.Status)
}

// onBehalf adds to a path who is behind the call.
func onBehalf(path, by string) string {
	if by == "" {
		return path
	}
	return path + "?" + url.Values{"by": {by}}.Encode()
}

func set(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

func paging(q url.Values, before int64, limit int) {
	if before != 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
}
