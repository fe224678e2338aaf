package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/githost"
)

const (
	// logPage is the most that GitLab lists of a hook's deliveries at once.
	logPage = 20
	// maxLog is how many deliveries of a hook are looked at. GitLab shows those of
	// the last 7 days ("Project webhooks API").
	maxLog = 2000
	// maxAttempts is after how many attempts a delivery is given up: the audit
	// finds what it told of.
	maxAttempts = 5
)

// delivered is one attempt at a delivery, as the webhook's log has it. The client
// library does not know it.
type delivered struct {
	ID      int64             `json:"id"`
	Trigger string            `json:"trigger"`
	Headers map[string]string `json:"request_headers"`
	// Status is that of the answer, in digits, or "internal error" where there was
	// none.
	Status    string     `json:"response_status"`
	CreatedAt *time.Time `json:"created_at"` // nil in older versions
}

// arrived reports whether somebody took it. GitLab counts redirects too.
func (d *delivered) arrived() bool {
	status, err := strconv.Atoi(d.Status)
	return err == nil && status >= 200 && status < 300
}

// key is one for all attempts at a delivery.
func (d *delivered) key() string {
	for _, name := range []string{"Idempotency-Key", "X-Gitlab-Event-UUID"} {
		if v := d.Headers[name]; v != "" {
			return d.Trigger + " " + v
		}
	}
	return strconv.FormatInt(d.ID, 10)
}

// ours are the triggers of what is asked for again. A comment is not: who gave a
// command and saw no answer has given it again, or does not want it any more.
var ours = map[string]bool{"push_hooks": true, "tag_push_hooks": true, "merge_request_hooks": true}

// Redeliver implements [githost.Redeliverer]. The mark is the number of the
// delivery up to which all have arrived or were given up.
//
// GitLab sends nothing again by itself, and disables a hook after four failures
// in a row: what happens meanwhile is not in its log, and only an audit finds it.
// A hook that is disabled is tested first, which enables it. GitLab allows five
// requests a minute to test and to send again, for each hook, and does not say for
// how long it refuses more: what is left is for the next call.
func (c *Client) Redeliver(ctx context.Context, repository, url, mark string, since time.Time) (asked int, next string, err error) {
	q, err := c.about(repository)
	if err != nil {
		return 0, mark, err
	}
	after := int64(0)
	if mark != "" {
		if after, err = strconv.ParseInt(mark, 10, 64); err != nil || after < 0 {
			return 0, mark, &dispatch.PermanentError{Err: fmt.Errorf("mark %q is not the number of a delivery", mark)}
		}
		since = time.Time{}
	}
	hooks, err := q.hooks(ctx)
	if err != nil {
		return 0, mark, err
	}
	settled := after
	waiting := int64(0) // the first that has not arrived, of all hooks
	for _, h := range hooks {
		if !githost.SameURL(h.URL, url) {
			continue
		}
		if h.AlertStatus != "" && h.AlertStatus != executable {
			if err := q.test(ctx, h.ID); err != nil {
				return asked, mark, unlessEnough(err)
			}
		}
		log, err := q.log(ctx, h.ID, after, since)
		if err != nil {
			return asked, mark, err
		}
		if len(log) == 0 {
			continue
		}
		settled = max(settled, log[0].ID)
		failed := undelivered(log)
		for _, f := range failed {
			if waiting == 0 || f.first < waiting {
				waiting = f.first
			}
			if err := q.resend(ctx, h.ID, f.last); err != nil {
				return asked, mark, unlessEnough(err)
			}
			asked++
		}
	}
	if waiting > 0 {
		settled = waiting - 1
	}
	return asked, strconv.FormatInt(settled, 10), nil
}

// unlessEnough is err, or nil where it is that of the limit on requests of one
// hook. One on all calls says how long to wait.
func unlessEnough(err error) error {
	var throttled *dispatch.ThrottledError
	if errors.As(err, &throttled) && throttled.After == 0 {
		return nil
	}
	return err
}

// failure is a delivery of which no attempt arrived.
type failure struct {
	first, last int64
	attempts    int
}

// undelivered lists the deliveries of a log, newest first, of which no attempt
// arrived, the oldest first.
func undelivered(log []delivered) []failure {
	arrived := map[string]bool{}
	at := map[string]int{}
	var all []failure
	var keys []string
	for i := len(log) - 1; i >= 0; i-- {
		d := &log[i]
		key := d.key()
		if d.arrived() {
			arrived[key] = true
		}
		if n, known := at[key]; known {
			all[n].last = d.ID
			all[n].attempts++
			continue
		}
		at[key] = len(all)
		all = append(all, failure{first: d.ID, last: d.ID, attempts: 1})
		keys = append(keys, key)
	}
	var failed []failure
	for i, f := range all {
		if !arrived[keys[i]] && f.attempts < maxAttempts {
			failed = append(failed, f)
		}
	}
	return failed
}

// log lists the attempts of a hook behind a number, or since a time, the newest
// first.
func (q *call) log(ctx context.Context, hook, after int64, since time.Time) ([]delivered, error) {
	op := fmt.Sprintf("list the deliveries of webhook %d", hook)
	var all []delivered
	opts := &gl.ListOptions{PerPage: logPage, Page: 1}
	for opts.Page != 0 && len(all) < maxLog {
		var page []delivered
		response, err := q.do(ctx, http.MethodGet, fmt.Sprintf("hooks/%d/events", hook), opts, &page)
		if err != nil {
			return nil, q.verdict(ctx, op, q.repository, toAdmin, err)
		}
		for _, d := range page {
			if d.ID <= after || d.CreatedAt != nil && d.CreatedAt.Before(since) {
				return all, nil
			}
			if ours[d.Trigger] {
				all = append(all, d)
			}
		}
		opts.Page = response.NextPage
	}
	return all, nil
}

func (q *call) resend(ctx context.Context, hook, id int64) error {
	_, err := q.do(ctx, http.MethodPost, fmt.Sprintf("hooks/%d/events/%d/resend", hook, id), nil, nil)
	if err == nil || Status(err) == http.StatusUnprocessableEntity {
		return nil // sent; or it did not arrive again, which the next look at the log tells
	}
	return q.verdict(ctx, fmt.Sprintf("ask for delivery %d again", id), q.repository, toAdmin, err)
}

// do makes a call of the project that the client library does not have.
func (q *call) do(ctx context.Context, method, path string, opts, into any) (*gl.Response, error) {
	r, err := q.api.NewRequest(method, "projects/"+gl.PathEscape(q.repository)+"/"+path, opts, []gl.RequestOptionFunc{gl.WithContext(ctx)})
	if err != nil {
		return nil, errors.New(Shown(err))
	}
	return q.api.Do(r, into)
}
