package giteatest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxListed is how many commits a push lists (FEED_MAX_COMMIT_NUM), and
	// maxLooked at how many of a new branch are looked at.
	maxListed = 5
	maxLooked = 10
	zeros     = "0000000000000000000000000000000000000000"
)

type hook struct {
	id          int
	url, secret string
	events      []string
	active      bool
}

func (h *hook) shown() object {
	return object{"id": h.id, "type": "gitea", "active": h.active, "events": h.events, "branch_filter": "", "authorization_header": "", "config": object{"url": h.url, "content_type": "json"}}
}

// Delivery is one call of a webhook.
type Delivery struct {
	// Event and Type are what the headers X-Gitea-Event and X-Gitea-Event-Type say.
	Event, Type, ID, URL string
	Header               http.Header
	Body                 []byte
	// Lost says that it was never sent, Status is how it was answered else.
	Lost   bool
	Status int
}

// Lose has each delivery looked at before it is sent: where f is true it never
// is. The host sends nothing again by itself. Nil ends that.
func (s *Server) Lose(f func(d Delivery) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = f
}

// AddHook makes a webhook that is told of everything.
func (r *Repo) AddHook(url, secret string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.lastID++
	r.hooks = append(r.hooks, &hook{id: r.s.lastID, url: url, secret: secret, active: true,
		events: []string{"create", "delete", "pull_request", "pull_request_comment", "pull_request_label", "pull_request_sync", "push"}})
}

// Push tells the webhooks of what became of branches since they were last told,
// as the host does after one git push: every branch that moved, by name. It
// returns what was sent.
func (r *Repo) Push() []Delivery {
	r.s.mu.Lock()
	before, now := r.heads, r.branches()
	r.heads = now
	type told struct {
		event string
		body  object
	}
	var all []told
	names := maps.Clone(before)
	maps.Copy(names, now)
	for _, branch := range slices.Sorted(maps.Keys(names)) {
		was, is := before[branch], now[branch]
		switch {
		case was == is:
			continue
		case is == "":
			all = append(all, told{"delete", object{"ref": branch, "ref_type": "branch", "pusher_type": "user", "repository": r.shown(nil), "sender": user("ada")}})
			continue
		case was == "":
			all = append(all, told{"create", object{"sha": is, "ref": branch, "ref_type": "branch", "repository": r.shown(nil), "sender": user("ada")}})
		}
		all = append(all, told{"push", r.push(branch, was, is, now)})
	}
	r.s.mu.Unlock()
	var sent []Delivery
	for _, d := range all {
		sent = append(sent, r.tell(d.event, d.event, d.body)...)
	}
	return sent
}

// push is the payload of a branch that moved: five commits at most, the newest
// first. Of a new branch no more than ten are counted, and those end where another
// branch has them by now.
func (r *Repo) push(branch, before, after string, now map[string]string) object {
	var ids []string
	if before != "" {
		ids = strings.Fields(r.Git("rev-list", after, "--not", before))
	} else {
		args := []string{"rev-list", "--max-count=" + strconv.Itoa(maxLooked), after}
		for other, tip := range now {
			if other != branch {
				args = append(args, "^"+tip)
			}
		}
		ids = strings.Fields(r.Git(args...))
	}
	total, listed := len(ids), []object{}
	for _, id := range ids[:min(len(ids), maxListed)] {
		listed = append(listed, r.pushed(id))
	}
	if before == "" {
		before = zeros
	}
	return object{
		"ref": "refs/heads/" + branch, "before": before, "after": after, "compare_url": r.web() + "/compare/" + before + "..." + after,
		"commits": listed, "total_commits": total, "head_commit": r.pushed(after), "repository": r.shown(nil), "pusher": user("ada"), "sender": user("ada"),
	}
}

// pushed is a commit as a payload shows it.
func (r *Repo) pushed(sha string) object {
	c := r.commit(sha, false)
	about := c["commit"].(object)
	who := about["author"].(object)
	files := map[string][]string{"added": {}, "removed": {}, "modified": {}}
	for _, f := range r.describe(sha)[0].changes {
		files[f.status] = append(files[f.status], f.path)
	}
	person := object{"name": who["name"], "email": who["email"], "username": strings.TrimSuffix(fmt.Sprint(who["email"]), "@example.test")}
	return object{
		"id": sha, "message": about["message"], "url": r.web() + "/commit/" + sha, "author": person, "committer": person, "verification": nil, "timestamp": c["created"],
		"added": files["added"], "removed": files["removed"], "modified": files["modified"],
	}
}

// tell delivers to each webhook that is told of the event, once.
func (r *Repo) tell(event, kind string, body object) []Delivery {
	r.s.mu.Lock()
	var made []Delivery
	for _, h := range r.hooks {
		if h.active && slices.Contains(h.events, kind) {
			made = append(made, r.s.delivery(h, event, kind, body))
		}
	}
	lose := r.s.lose
	r.s.mu.Unlock()
	for i := range made {
		if made[i].Lost = lose != nil && lose(made[i]); !made[i].Lost {
			r.s.send(&made[i])
		}
	}
	return made
}

func (s *Server) delivery(h *hook, event, kind string, body object) Delivery {
	s.lastID++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", s.lastID)
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		s.t.Error(err)
	}
	mac, old := hmac.New(sha256.New, []byte(h.secret)), hmac.New(sha1.New, []byte(h.secret))
	mac.Write(text)
	old.Write(text)
	sum, oldSum := hex.EncodeToString(mac.Sum(nil)), hex.EncodeToString(old.Sum(nil))
	if h.secret == "" {
		sum, oldSum = "", ""
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	for _, host := range []string{"GitHub", "Gitea", "Gogs"} {
		header.Set("X-"+host+"-Delivery", id)
		header.Set("X-"+host+"-Event", event)
		header.Set("X-"+host+"-Event-Type", kind)
	}
	header.Set("X-Gitea-Signature", sum)
	header.Set("X-Gogs-Signature", sum)
	header.Set("X-Hub-Signature", "sha1="+oldSum)
	header.Set("X-Hub-Signature-256", "sha256="+sum)
	return Delivery{Event: event, Type: kind, ID: id, URL: h.url, Header: header, Body: text}
}

// send makes the one attempt that there is.
func (s *Server) send(d *Delivery) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		s.t.Error(err)
		return
	}
	request.Header = d.Header.Clone()
	if s.Receiver != nil {
		w := httptest.NewRecorder()
		s.Receiver.ServeHTTP(w, request)
		d.Status = w.Code
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // nobody is told
	}
	response.Body.Close()
	d.Status = response.StatusCode
}

// testHook delivers a push of the default branch from its head to its head.
func (q *call) testHook() (int, any, error) {
	h, at := q.hook()
	if at < 0 {
		return 0, nil, errNotFound
	}
	tip := q.repo.resolve("refs/heads/main")
	if tip == "" {
		return http.StatusNoContent, nil, nil
	}
	body := q.repo.push("main", tip, tip, nil)
	body["commits"], body["total_commits"] = []object{q.repo.pushed(tip)}, 1
	d := q.s.delivery(h, "push", "push", body)
	q.s.sending.Go(func() { q.s.send(&d) })
	return http.StatusNoContent, nil, nil
}

func itoa(n int) string { return strconv.Itoa(n) }
