package githubtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hook is a webhook of a repository, an organisation or an App.
type hook struct {
	id          int64
	url, secret string
	form        bool // its content type; else JSON
	events      []string
	active      bool
	insecure    bool
	at          string // its place in the API
	app         *App   // of an App's
	created     time.Time
	deliveries  []*Delivery // oldest first
}

func (h *hook) wants(event string) bool {
	return h.active && (event == "ping" || slices.Contains(h.events, event) || slices.Contains(h.events, "*") || h.app != nil)
}

// AddHook makes a webhook of the repository, and returns its ID.
func (r *Repo) AddHook(url, secret string, events ...string) int64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	h := &hook{id: r.s.id(), url: url, secret: secret, events: events, active: true, created: time.Now()}
	h.at = r.url() + "/hooks/" + strconv.FormatInt(h.id, 10)
	r.hooks = append(r.hooks, h)
	return h.id
}

// AddOrgHook makes a webhook of an organisation, and returns its ID.
func (s *Server) AddOrgHook(org, url, secret string, events ...string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &hook{id: s.id(), url: url, secret: secret, events: events, active: true, created: time.Now()}
	h.at = s.base + "orgs/" + org + "/hooks/" + strconv.FormatInt(h.id, 10)
	s.orgHooks[key(org)] = append(s.orgHooks[key(org)], h)
	return h.id
}

// SetHook sets the App's webhook.
func (a *App) SetHook(url, secret string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.hook = &hook{id: a.s.id(), url: url, secret: secret, active: true, app: a, at: a.s.base + "app/hook", created: time.Now()}
}

// maxHooks is how many of one event a repository or an organisation can have, by
// "Types of webhooks".
const maxHooks = 20

func (s *Server) describeHook(h *hook) object {
	kind := "json"
	if h.form {
		kind = "form"
	}
	insecure := "0"
	if h.insecure {
		insecure = "1"
	}
	config := object{"url": h.url, "content_type": kind, "insecure_ssl": insecure}
	if h.secret != "" {
		config["secret"] = "********"
	}
	o := object{
		"id": h.id, "url": h.at, "name": "web", "active": h.active, "events": h.events, "config": config, "ping_url": h.at + "/pings", "deliveries_url": h.at + "/deliveries",
		"created_at": stamp(h.created), "updated_at": stamp(h.created), "type": "Organization",
	}
	if strings.Contains(h.at, "/repos/") {
		o["type"], o["test_url"], o["last_response"] = "Repository", h.at+"/tests", object{"code": nil, "status": "unused", "message": nil}
		if n := len(h.deliveries); n > 0 {
			last := h.deliveries[n-1]
			state := "active"
			if last.StatusCode/100 != 2 {
				state = "misconfigured"
			}
			o["last_response"] = object{"code": last.StatusCode, "status": state, "message": last.Status}
		}
	}
	return o
}

// hooksOf are the webhooks that a call's path leads to.
func (s *Server) hooksOf(q *call) []*hook {
	switch {
	case q.repo != nil:
		return q.repo.hooks
	case q.r.PathValue("org") != "":
		return s.orgHooks[key(q.r.PathValue("org"))]
	case q.who.app.hook != nil:
		return []*hook{q.who.app.hook}
	}
	return nil
}

func (s *Server) hookOf(q *call) (*hook, error) {
	id := q.r.PathValue("hook_id")
	for _, h := range s.hooksOf(q) {
		if id == "" || strconv.FormatInt(h.id, 10) == id {
			return h, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) listHooks(q *call) (any, error) {
	all := []object{}
	for _, h := range s.hooksOf(q) {
		all = append(all, s.describeHook(h))
	}
	return page(s, q, all, 30, 100), nil
}

func (s *Server) createHook(q *call) (any, error) {
	config, _ := q.body["config"].(object)
	h := &hook{id: s.id(), events: []string{"push"}, active: true, form: true, created: time.Now()}
	h.at = q.repo.url() + "/hooks/" + strconv.FormatInt(h.id, 10)
	if err := h.set(q.body, config); err != nil {
		return nil, err
	}
	for _, event := range h.events {
		same := 0
		for _, other := range q.repo.hooks {
			if other.url == h.url && slices.Equal(other.events, h.events) {
				return nil, invalid("Hook already exists on this repository")
			}
			if slices.Contains(other.events, event) {
				same++
			}
		}
		if same >= maxHooks {
			return nil, invalid("The %q event cannot have more than 20 hooks", event)
		}
	}
	q.repo.hooks = append(q.repo.hooks, h)
	q.status = http.StatusCreated
	s.later(func() {
		s.emit(h, q.repo, "ping", "", object{"zen": "Anything added dilutes everything else.", "hook_id": h.id, "hook": object{"id": h.id, "events": h.events}})
	})
	return s.describeHook(h), nil
}

// set takes what a body says of a hook.
func (h *hook) set(body, config object) error {
	if config != nil {
		h.url, h.secret = text(config, "url"), text(config, "secret")
		h.form = text(config, "content_type") != "json"
		h.insecure = text(config, "insecure_ssl") == "1"
	}
	if u, err := url.Parse(h.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("url is missing a scheme")
	}
	if active, ok := body["active"].(bool); ok {
		h.active = active
	}
	if events, ok := body["events"].([]any); ok {
		h.events = nil
		for _, e := range events {
			h.events = append(h.events, e.(string))
		}
	}
	return nil
}

func (s *Server) getHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	return s.describeHook(h), nil
}

func (s *Server) updateHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	config, _ := q.body["config"].(object)
	if err := h.set(q.body, config); err != nil {
		return nil, err
	}
	return s.describeHook(h), nil
}

func (s *Server) deleteHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	q.repo.hooks = slices.DeleteFunc(q.repo.hooks, func(other *hook) bool { return other == h })
	q.status = http.StatusNoContent
	return nil, nil
}

func (s *Server) pingHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	q.status = http.StatusNoContent
	s.later(func() {
		s.emit(h, q.repo, "ping", "", object{"zen": "Half measures are as bad as nothing at all.", "hook_id": h.id, "hook": object{"id": h.id, "events": h.events}})
	})
	return nil, nil
}

// testHook delivers the newest push of the repository, as GitHub does for a hook
// that is told of pushes, and nothing else.
func (s *Server) testHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	q.status = http.StatusNoContent
	if tip, err := q.repo.Tip(q.repo.defaultBranch); err == nil && h.wants("push") {
		payload := q.repo.pushPayload("refs/heads/"+q.repo.defaultBranch, tip, tip, nil, false, "ada")
		s.later(func() { s.emit(h, q.repo, "push", "", payload) })
	}
	return nil, nil
}

func (s *Server) getAppHook(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	return object{"url": h.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"}, nil
}
