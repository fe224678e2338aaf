package gitlabtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hookEvents are the events that a project's webhook can tell of.
var hookEvents = []string{
	"push_events", "tag_push_events", "merge_requests_events", "note_events", "confidential_note_events", "issues_events",
	"confidential_issues_events", "job_events", "pipeline_events", "wiki_page_events", "deployment_events", "releases_events",
}

// Hook is a webhook of a project.
type Hook struct {
	ID  int64
	URL string
	// Secret is the secret token, Signing the signing token.
	Secret, Signing string
	Events          map[string]bool
	// Failures are those in a row; four disable it.
	Failures int
	Disabled bool

	log     []*attempt
	resends []time.Time
}

// attempt is one entry of a hook's log.
type attempt struct {
	id      int64
	trigger string
	headers map[string]string
	body    []byte
	status  string
	at      time.Time
}

// Hook adds one that tells of pushes, tags, merge requests and comments.
func (p *Project) Hook(url, secret string) *Hook {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	h := &Hook{ID: p.s.id(), URL: url, Secret: secret, Events: map[string]bool{"push_events": true, "tag_push_events": true, "merge_requests_events": true, "note_events": true}}
	p.hooksMade = append(p.hooksMade, h)
	return h
}

// Hooks are the project's.
func (p *Project) Hooks() []*Hook {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return append([]*Hook{}, p.hooksMade...)
}

func (h *Hook) entity() object {
	e := object{"id": h.ID, "url": h.URL, "alert_status": "executable", "disabled_until": nil, "enable_ssl_verification": true, "push_events_branch_filter": ""}
	for _, name := range hookEvents {
		e[name] = h.Events[name]
	}
	if h.Disabled {
		e["alert_status"] = "disabled"
	}
	return e
}

func (c *call) hooks() (any, *refusal) {
	all := []object{}
	for _, h := range c.p.hooksMade {
		all = append(all, h.entity())
	}
	return page(c, all, 100), nil
}

func (c *call) addHook() (any, *refusal) {
	f := c.r.Form
	if u := f.Get("url"); !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		return nil, refuse(http.StatusUnprocessableEntity, "Invalid url given")
	}
	h := &Hook{ID: c.id(), URL: f.Get("url"), Secret: f.Get("token"), Events: map[string]bool{}}
	for _, name := range hookEvents {
		h.Events[name] = f.Get(name) == "true" || name == "push_events" && f.Get(name) == ""
	}
	c.p.hooksMade = append(c.p.hooksMade, h)
	return h.entity(), nil
}

func (c *call) hook() *Hook {
	for _, h := range c.p.hooksMade {
		if strconv.FormatInt(h.ID, 10) == c.r.PathValue("hook") {
			return h
		}
	}
	return nil
}

func (c *call) removeHook() (any, *refusal) {
	h := c.hook()
	if h == nil {
		return nil, errNotFound
	}
	kept := []*Hook{}
	for _, other := range c.p.hooksMade {
		if other != h {
			kept = append(kept, other)
		}
	}
	c.p.hooksMade = kept
	return nil, nil
}

// testHook sends what the button Test does: the newest three commits of the
// default branch, the newest first. A test that arrives enables a hook.
func (c *call) testHook() (any, *refusal) {
	h := c.hook()
	if h == nil {
		return nil, errNotFound
	}
	if c.r.PathValue("trigger") != "push_events" {
		return nil, refuse(http.StatusUnprocessableEntity, "the stand-in only tests push_events")
	}
	if !h.allowed(c.Now()) {
		return nil, refuse(http.StatusTooManyRequests, "This endpoint has been requested too many times. Try again later.")
	}
	newest, err := c.p.log("-3", "refs/heads/"+c.p.DefaultBranch)
	if err != nil || len(newest) == 0 {
		return nil, refuse(http.StatusUnprocessableEntity, "Ensure the project has at least one commit.")
	}
	body := c.p.pushPayload("refs/heads/"+c.p.DefaultBranch, newest[len(newest)-1]["id"].(string), newest[0]["id"].(string), newest, len(newest))
	a := c.deliver(h, "push_hooks", "Push Hook", encode(body), uuid())
	if a.status != "internal error" {
		h.Disabled, h.Failures = false, 0
	}
	if !a.arrived() {
		return nil, refuse(http.StatusUnprocessableEntity, "Hook execution failed")
	}
	return object{"message": "201 Created"}, nil
}

// allowed counts the requests to test or send again: five a minute for each hook.
func (h *Hook) allowed(now time.Time) bool {
	recent := h.resends[:0]
	for _, at := range h.resends {
		if now.Sub(at) < time.Minute {
			recent = append(recent, at)
		}
	}
	h.resends = recent
	if len(recent) >= 5 {
		return false
	}
	h.resends = append(h.resends, now)
	return true
}

func (c *call) hookEvents() (any, *refusal) {
	h := c.hook()
	if h == nil {
		return nil, errNotFound
	}
	all := []object{}
	for i := len(h.log) - 1; i >= 0; i-- {
		a := h.log[i]
		all = append(all, object{
			"id": a.id, "url": h.URL, "trigger": a.trigger, "request_headers": a.headers, "response_status": a.status,
			"execution_duration": 0.1, "created_at": a.at.UTC().Format(time.RFC3339Nano),
		})
	}
	return page(c, all, 20), nil
}

// resend sends again what was sent: with the same Idempotency-Key.
func (c *call) resend() (any, *refusal) {
	h := c.hook()
	if h == nil {
		return nil, errNotFound
	}
	for _, a := range h.log {
		if strconv.FormatInt(a.id, 10) != c.r.PathValue("event") {
			continue
		}
		if !h.allowed(c.Now()) {
			return nil, refuse(http.StatusTooManyRequests, "This endpoint has been requested too many times. Try again later.")
		}
		if h.Disabled {
			return nil, refuse(http.StatusUnprocessableEntity, "Hook disabled")
		}
		again := c.deliver(h, a.trigger, a.headers["X-Gitlab-Event"], a.body, a.headers["Idempotency-Key"])
		if again.status == "internal error" {
			return nil, refuse(http.StatusUnprocessableEntity, "Hook execution failed")
		}
		status, _ := strconv.Atoi(again.status)
		return object{"response_status": status}, nil
	}
	return nil, errNotFound
}
