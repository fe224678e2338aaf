package githubtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// keptFor is how long deliveries can be asked for again, by "Redelivering
	// webhooks".
	keptFor = 3 * 24 * time.Hour
	// maxBody is the largest payload that is delivered, by "Webhook events and
	// payloads".
	maxBody = 25 << 20
	// answerWithin is how long a receiver may take.
	answerWithin = 10 * time.Second
)

// Delivery is one attempt to tell a webhook of something.
type Delivery struct {
	ID int64
	// GUID is the same for each attempt of the same delivery.
	GUID         string
	Event        string
	Action       string
	Redelivery   bool
	At           time.Time
	Status       string
	StatusCode   int
	Body         []byte
	Repository   *Repo
	hook         *hook
	installation int64
	answer       string
}

// Fate is what becomes of an attempt.
type Fate int

const (
	// Arrives is the usual.
	Arrives Fate = iota
	// Lost never reaches the receiver, and GitHub notes that it failed.
	Lost
	// TimesOut reaches the receiver, whose answer GitHub does not wait for.
	TimesOut
	// Forgotten never reaches the receiver, and GitHub knows nothing of it.
	Forgotten
	// Held is delivered by [Server.Release].
	Held
)

// Deliver has the fate of each attempt decided by f. Nil ends that.
func (s *Server) Deliver(f func(*Delivery) Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = f
}

// Release delivers what is held, in the order in which it was to be.
func (s *Server) Release() {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, deliver := range held {
		deliver()
	}
}

// Settle waits until what calls of the API made the stand-in deliver has been.
func (s *Server) Settle() { s.sending.Wait() }

// later delivers after the call that is being served.
func (s *Server) later(f func()) { s.sending.Go(f) }

// Deliveries are all attempts at a webhook's URL, oldest first.
func (s *Server) Deliveries(url string) []*Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Delivery
	add := func(hooks ...*hook) {
		for _, h := range hooks {
			if h != nil && h.url == url {
				all = append(all, h.deliveries...)
			}
		}
	}
	for _, r := range s.repos {
		add(r.hooks...)
	}
	for _, hooks := range s.orgHooks {
		add(hooks...)
	}
	for _, a := range s.apps {
		add(a.hook)
	}
	slices.SortFunc(all, func(a, b *Delivery) int { return int(a.ID - b.ID) })
	return all
}

// emit tells one webhook of something.
func (s *Server) emit(h *hook, r *Repo, event, action string, payload object) *Delivery {
	s.mu.Lock()
	d := &Delivery{GUID: fmt.Sprintf("%08x-0000-4000-8000-%012x", s.id()&0xffffffff, s.lastID), Event: event, Action: action, Repository: r, hook: h}
	if h.app != nil && r != nil {
		if i := h.app.on(r); i != nil {
			d.installation = i.id
			payload = with(object{"installation": object{"id": i.id}}, payload)
		}
	}
	s.mu.Unlock()
	var err error
	if d.Body, err = json.Marshal(payload); err != nil {
		s.t.Errorf("payload of %s: %v", event, err)
	}
	s.attempt(d)
	return d
}

// attempt makes d, and notes what came of it.
func (s *Server) attempt(d *Delivery) {
	s.mu.Lock()
	d.ID, d.At = s.id(), time.Now()
	fate := Arrives
	if s.fate != nil {
		fate = s.fate(d)
	}
	if len(d.Body) > maxBody {
		fate = Forgotten
	}
	if fate == Held {
		s.held = append(s.held, func() { s.carry(d, Arrives) })
	}
	s.mu.Unlock()
	if fate != Held {
		s.carry(d, fate)
	}
}

func (s *Server) carry(d *Delivery, fate Fate) {
	switch fate {
	case Forgotten:
		return
	case Lost:
		d.Status, d.StatusCode = "failed to connect to host", 0
	default:
		d.Status, d.StatusCode, d.answer = s.post(d)
	}
	if fate == TimesOut {
		d.Status, d.StatusCode, d.answer = "timed out", 0, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.hook.deliveries = append(d.hook.deliveries, d)
}

// header has what GitHub sends beside a payload.
func (d *Delivery) header() http.Header {
	h := http.Header{}
	h.Set("User-Agent", "GitHub-Hookshot/0000000")
	h.Set("X-GitHub-Event", d.Event)
	h.Set("X-GitHub-Delivery", d.GUID)
	h.Set("X-GitHub-Hook-ID", strconv.FormatInt(d.hook.id, 10))
	target := "repository"
	switch {
	case d.hook.app != nil:
		target = "integration"
	case strings.Contains(d.hook.at, "/orgs/"):
		target = "organization"
	}
	h.Set("X-GitHub-Hook-Installation-Target-Type", target)
	return h
}

func (s *Server) post(d *Delivery) (status string, code int, answer string) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	body, kind := d.Body, "application/json"
	if d.hook.form {
		body, kind = []byte(url.Values{"payload": {string(d.Body)}}.Encode()), "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.hook.url, bytes.NewReader(body))
	if err != nil {
		return err.Error(), 0, ""
	}
	r.Header = d.header()
	r.Header.Set("Content-Type", kind)
	if d.hook.secret != "" {
		mac := hmac.New(sha256.New, []byte(d.hook.secret))
		mac.Write(body)
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	send := http.DefaultClient.Do
	if s.Receiver != nil {
		send = func(r *http.Request) (*http.Response, error) { return roundTrip(s.Receiver, r) }
	}
	response, err := send(r)
	switch {
	case ctx.Err() != nil:
		return "timed out", 0, ""
	case err != nil:
		return "failed to connect to host", 0, ""
	}
	defer response.Body.Close()
	var said bytes.Buffer
	_, _ = said.ReadFrom(response.Body)
	if response.StatusCode/100 != 2 {
		return fmt.Sprintf("Invalid HTTP Response: %d", response.StatusCode), response.StatusCode, said.String()
	}
	return "OK", response.StatusCode, said.String()
}

func (d *Delivery) describe() object {
	o := object{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.At), "redelivery": d.Redelivery, "duration": 0.1, "status": d.Status, "status_code": d.StatusCode,
		"event": d.Event, "action": orNil(d.Action), "installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if d.installation != 0 {
		o["installation_id"] = d.installation
	}
	if d.Repository != nil {
		o["repository_id"] = d.Repository.ID
	}
	return o
}

// kept are a hook's deliveries that are still there, newest first.
func (h *hook) kept() []*Delivery {
	var all []*Delivery
	for _, d := range slices.Backward(h.deliveries) {
		if time.Since(d.At) < keptFor {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *Delivery) int { return int(b.ID - a.ID) })
	return all
}

// listDeliveries pages by a cursor, the ID at which a page begins.
func (s *Server) listDeliveries(q *call) (any, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	query := q.r.URL.Query()
	size, err := strconv.Atoi(query.Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	all := []object{}
	cursor := query.Get("cursor")
	var from int64
	if cursor != "" {
		text, ok := strings.CutPrefix(cursor, "v1_")
		if from, err = strconv.ParseInt(text, 10, 64); err != nil || !ok {
			return nil, &FaultError{Status: http.StatusUnprocessableEntity, Message: "Invalid cursor"}
		}
	}
	for _, d := range h.kept() {
		ok := d.StatusCode/100 == 2
		if status := query.Get("status"); status == "success" && !ok || status == "failure" && ok {
			continue
		}
		if from != 0 && d.ID > from {
			continue
		}
		if len(all) == size {
			query.Set("cursor", fmt.Sprintf("v1_%d", d.ID))
			q.header.Set("Link", "<"+s.link(q.r, query)+`>; rel="next"`)
			break
		}
		all = append(all, d.describe())
	}
	return all, nil
}

func (s *Server) delivery(q *call) (*Delivery, error) {
	h, err := s.hookOf(q)
	if err != nil {
		return nil, err
	}
	for _, d := range h.kept() {
		if strconv.FormatInt(d.ID, 10) == q.r.PathValue("delivery_id") {
			return d, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) getDelivery(q *call) (any, error) {
	d, err := s.delivery(q)
	if err != nil {
		return nil, err
	}
	headers := object{}
	for name, values := range d.header() {
		headers[name] = values[0]
	}
	return with(d.describe(), object{
		"url": d.hook.url, "request": object{"headers": headers, "payload": json.RawMessage(d.Body)}, "response": object{"headers": object{}, "payload": d.answer},
	}), nil
}

// redeliver makes another attempt, with the same GUID and payload.
func (s *Server) redeliver(q *call) (any, error) {
	d, err := s.delivery(q)
	if err != nil {
		return nil, err
	}
	again := &Delivery{GUID: d.GUID, Event: d.Event, Action: d.Action, Redelivery: true, Body: d.Body, Repository: d.Repository, hook: d.hook, installation: d.installation}
	s.later(func() { s.attempt(again) })
	q.status = http.StatusAccepted
	return object{}, nil
}

// URL is that of the webhook.
func (d *Delivery) URL() string { return d.hook.url }
