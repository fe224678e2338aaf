package bitbuckettest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
)

// maxListed is how many commits a push's delivery lists at most.
const maxListed = 5

const zeros = "0000000000000000000000000000000000000000"

// Delivery is one call of a webhook.
type Delivery struct {
	Event string
	Body  []byte
	// Status is what the receiver answered, 0 where it was not reached.
	Status int
	Answer string

	header http.Header
	hook   object
}

// Lose has f say of each delivery whether it gets lost on its way. Nil ends that.
func (s *Server) Lose(f func(*Delivery) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = f
}

// Push tells the webhooks, in one delivery, of what became of branches since they
// were last told, and returns the deliveries; none where nothing changed.
func (r *Repo) Push(branches ...string) []*Delivery {
	s := r.s
	s.mu.Lock()
	var changes []object
	var commits []object
	for _, branch := range branches {
		before, after := r.heads[branch], ""
		if tip, err := r.Tip(branch); err == nil {
			after = tip
		}
		if before == after {
			continue
		}
		if s.cloud {
			changes = append(changes, r.cloudChange(branch, before, after))
		} else {
			changes = append(changes, dcChange(branch, before, after))
			commits = dcCommitsOf(r.gained(branch, before, after))
		}
		if r.heads[branch] = after; after == "" {
			delete(r.heads, branch)
		}
	}
	if len(changes) == 0 {
		s.mu.Unlock()
		return nil
	}
	event, payload := "repo:push", object{"push": object{"changes": changes}, "repository": r.cloudRepository(), "actor": object{"nickname": "ada", "display_name": "Ada"}}
	if !s.cloud {
		event = "repo:refs_changed"
		payload = object{"eventKey": event, "date": "2026-11-26T08:00:00+0000", "actor": object{"name": "ada", "displayName": "Ada"}, "repository": r.dataCenter(), "changes": changes}
		if len(changes) == 1 && len(commits) > 0 {
			payload["commits"], payload["toCommit"] = commits[:min(len(commits), maxListed)], commits[0]
		}
	}
	all := r.deliveries(event, payload)
	s.mu.Unlock()
	return s.sendAll(all)
}

// gained are the commits that a branch has, newest first, and had not; of a new one
// those that no other branch has.
func (r *Repo) gained(branch, before, after string) []record {
	if after == "" {
		return nil
	}
	args := []string{after}
	if before != "" {
		args = append(args, "^"+before)
	} else {
		for other, head := range r.heads {
			if other != branch {
				args = append(args, "^"+head)
			}
		}
	}
	return r.log(args...)
}

func (r *Repo) cloudChange(branch, before, after string) object {
	end := func(sha string) any {
		if sha == "" {
			return nil
		}
		return object{"type": "branch", "name": branch, "target": r.cloudCommits(r.log("-1", sha))[0]}
	}
	forced := false
	if before != "" && after != "" {
		_, err := r.Try("", "merge-base", "--is-ancestor", before, after)
		forced = err != nil
	}
	change := object{"old": end(before), "new": end(after), "created": before == "", "closed": after == "", "forced": forced, "truncated": false}
	if after != "" {
		gained := r.gained(branch, before, after)
		change["truncated"] = len(gained) > maxListed
		change["commits"] = r.cloudCommits(gained[:min(len(gained), maxListed)])
	}
	return change
}

func dcChange(branch, before, after string) object {
	kind := "UPDATE"
	switch "" {
	case before:
		kind, before = "ADD", zeros
	case after:
		kind, after = "DELETE", zeros
	}
	ref := "refs/heads/" + branch
	return object{"ref": object{"id": ref, "displayId": branch, "type": "BRANCH"}, "refId": ref, "fromHash": before, "toHash": after, "type": kind}
}

// PushTag tells the webhooks of a tag that was made.
func (r *Repo) PushTag(tag string) []*Delivery {
	s := r.s
	s.mu.Lock()
	own := strings.TrimSpace(r.Git("rev-parse", "refs/tags/"+tag))
	commit := strings.TrimSpace(r.Git("rev-parse", "refs/tags/"+tag+"^{commit}"))
	event, payload := "repo:push", object{"repository": r.cloudRepository(), "actor": object{"nickname": "ada"}, "push": object{"changes": []object{{
		"old": nil, "new": object{"type": "tag", "name": tag, "target": r.cloudCommits(r.log("-1", commit))[0]}, "created": true, "closed": false, "forced": false, "truncated": false,
	}}}}
	if !s.cloud {
		event = "repo:refs_changed"
		change := dcChange("x", "", own)
		change["ref"], change["refId"] = object{"id": "refs/tags/" + tag, "displayId": tag, "type": "TAG"}, "refs/tags/"+tag
		payload = object{"eventKey": event, "actor": object{"name": "ada"}, "repository": r.dataCenter(), "changes": []object{change}}
	}
	all := r.deliveries(event, payload)
	s.mu.Unlock()
	return s.sendAll(all)
}

// deliveries are those of an event: one for each webhook that wants it, or one
// signed with the server's secret where there are none.
func (r *Repo) deliveries(event string, payload object) []*Delivery {
	s := r.s
	hooks := r.hooks
	if len(hooks) == 0 {
		hooks = []object{{"secret": s.Secret, "active": true, "events": []any{event}}}
	}
	body := jsonOf(payload)
	var all []*Delivery
	for _, h := range hooks {
		if events, _ := h["events"].([]any); h["active"] != true || !slices.Contains(events, any(event)) {
			continue
		}
		d := &Delivery{Event: event, Body: body, header: s.header(event), hook: h}
		if secret, _ := h["secret"].(string); secret != "" {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(body)
			d.header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		}
		all = append(all, d)
	}
	return all
}

func (s *Server) header(event string) http.Header {
	h := http.Header{}
	h.Set("X-Event-Key", event)
	id := strings.Trim(s.uuid(), "{}")
	if s.cloud {
		h.Set("Content-Type", "application/json")
		h.Set("X-Request-UUID", id)
		h.Set("X-Hook-UUID", strings.Trim(s.uuid(), "{}"))
		h.Set("X-Attempt-Number", "1")
		return h
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Request-Id", id)
	return h
}

// attempts is how often Cloud sends what is answered by 5xx; Data Center does so
// once. See "Troubleshoot webhooks".
const attempts = 3

func (s *Server) sendAll(all []*Delivery) []*Delivery {
	s.mu.Lock()
	lose := s.lose
	s.mu.Unlock()
	for _, d := range all {
		if lose != nil && lose(d) {
			s.mu.Lock()
			d.note(object{"outcome": "ERROR", "description": "no answer"})
			s.mu.Unlock()
			continue
		}
		d.send(s.Receiver)
		for n := 2; s.cloud && n <= attempts && d.Status >= 500; n++ {
			d.header.Set("X-Attempt-Number", fmt.Sprint(n))
			d.send(s.Receiver)
		}
		result := object{"outcome": "SUCCESS", "description": fmt.Sprint(d.Status)}
		if d.Status > 299 {
			result["outcome"] = "FAILURE"
		}
		s.mu.Lock()
		d.note(result)
		s.mu.Unlock()
	}
	return all
}

func (d *Delivery) note(result object) {
	if d.hook != nil {
		d.hook["last"] = result
	}
}

func (d *Delivery) send(receiver http.Handler) {
	if receiver == nil {
		return
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", bytes.NewReader(d.Body))
	r.Header = d.header.Clone()
	w := httptest.NewRecorder()
	receiver.ServeHTTP(w, r)
	d.Status, d.Answer = w.Code, w.Body.String()
}
