package gitlabtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	// listed is how many commits of a push a delivery lists at most.
	listed = 20
	// refLimit is of how many branches or tags pushed at once webhooks tell
	// (push_event_hooks_limit).
	refLimit = 3
	// failureLimit is after how many failures in a row a hook is disabled.
	failureLimit = 4
)

var zeros = strings.Repeat("0", 40)

// Push tells the webhooks of all refs that are elsewhere than at the last push,
// as GitLab does after a git push. The test has made the commits in the
// repository.
func (p *Project) Push() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	now := map[string]string{}
	for line := range strings.Lines(p.Git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")) {
		ref, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		now[ref] = sha
	}
	changed := map[string][]string{} // by kind of ref
	for ref, sha := range now {
		if p.tips[ref] != sha {
			changed[ref[:10]] = append(changed[ref[:10]], ref)
		}
	}
	for ref := range p.tips {
		if now[ref] == "" {
			changed[ref[:10]] = append(changed[ref[:10]], ref)
		}
	}
	before := p.tips
	p.tips = now
	for _, kind := range []string{"refs/heads", "refs/tags/"} {
		refs := changed[kind]
		slices.Sort(refs)
		for _, ref := range refs {
			if len(refs) <= refLimit {
				p.pushed(ref, before[ref], now[ref])
			}
			p.refresh(ref, before[ref], now[ref])
		}
	}
}

// pushed tells of one ref.
func (p *Project) pushed(ref, before, after string) {
	var commits []object
	count := 0
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	if after != "" {
		revision := before + ".." + after
		switch {
		case !isBranch:
			revision = ""
		case before == "" && branch == p.DefaultBranch:
			revision = after
		case before == "":
			revision = "refs/heads/" + p.DefaultBranch + ".." + after
		}
		if revision == "" {
			commits = []object{p.one(after)}
		} else {
			newest, err := p.log(revision)
			if err != nil {
				p.s.t.Errorf("push of %s: %v", ref, err)
			}
			slices.Reverse(newest)
			commits = newest
		}
		count = len(commits)
		commits = commits[max(count-listed, 0):]
	}
	body := p.pushPayload(ref, before, after, commits, count)
	if isBranch {
		p.tell("push_events", "push_hooks", "Push Hook", body)
		return
	}
	p.tell("tag_push_events", "tag_push_hooks", "Tag Push Hook", body)
}

// refresh moves the merge requests whose source branch was pushed.
func (p *Project) refresh(ref, before, after string) {
	for _, target := range p.s.projects {
		for _, m := range target.mrs {
			if m.from != p || "refs/heads/"+m.Source != ref || m.State != "opened" || after == "" {
				continue
			}
			m.fetch()
			m.tell("update", &before, nil)
		}
	}
}

func (p *Project) pushPayload(ref, before, after string, commits []object, count int) object {
	list := []object{}
	for _, c := range commits {
		entry := hookCommit(c)
		for _, kind := range []string{"added", "modified", "removed"} {
			entry[kind] = []string{}
		}
		sha := c["id"].(string)
		fields := strings.Split(p.Git("show", "--format=", "--name-status", "--no-renames", "-z", "-m", "--first-parent", sha), "\x00")
		for i := 0; i+1 < len(fields); i += 2 {
			kind := map[string]string{"A": "added", "D": "removed"}[strings.TrimSpace(fields[i])]
			if kind == "" {
				kind = "modified"
			}
			entry[kind] = append(entry[kind].([]string), fields[i+1])
		}
		list = append(list, entry)
	}
	kind := "push"
	if strings.HasPrefix(ref, "refs/tags/") {
		kind = "tag_push"
	}
	var checkout any
	if after != "" {
		checkout = strings.TrimSpace(p.Git("rev-parse", after+"^{commit}"))
	}
	orZeros := func(sha string) string {
		if sha == "" {
			return zeros
		}
		return sha
	}
	return object{
		"object_kind": kind, "event_name": kind, "before": orZeros(before), "after": orZeros(after), "ref": ref, "checkout_sha": checkout,
		"message": nil, "user_id": p.s.Bot.ID, "user_name": p.s.Bot.Username, "user_username": p.s.Bot.Username, "user_email": nil,
		"project_id": p.ID, "project": p.hookAttributes(), "commits": list, "total_commits_count": count, "push_options": object{},
	}
}

func (p *Project) hookAttributes() object {
	return object{
		"id": p.ID, "name": p.Name[strings.LastIndex(p.Name, "/")+1:], "path_with_namespace": p.Name, "default_branch": p.DefaultBranch,
		"web_url": p.URL(), "git_http_url": p.URL() + ".git", "visibility_level": 0, "description": nil, "avatar_url": nil, "ci_config_path": nil,
	}
}

func hookCommit(c object) object {
	if c == nil {
		return nil
	}
	return object{
		"id": c["id"], "message": c["message"], "title": c["title"], "timestamp": c["authored_date"], "url": c["web_url"],
		"author": object{"name": c["author_name"], "email": "[REDACTED]"},
	}
}

// tell delivers to the hooks that want to hear of an event.
func (p *Project) tell(event, trigger, kind string, body object) {
	text := encode(body)
	for _, h := range slices.Clone(p.hooksMade) {
		if h.Events[event] && !h.Disabled {
			p.s.deliver(h, trigger, kind, text, uuid())
		}
	}
}

// deliver makes one attempt, and notes it in the hook's log. It is called with
// the lock held, and gives it up while it waits for the answer.
func (s *Server) deliver(h *Hook, trigger, kind string, body []byte, key string) *attempt {
	a := &attempt{id: s.id(), trigger: trigger, body: body, status: "internal error", at: s.Now()}
	a.headers = map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitLab/18.8.0", "Idempotency-Key": key, "X-Gitlab-Event": kind,
		"X-Gitlab-Webhook-UUID": uuid(), "X-Gitlab-Event-UUID": uuid(), "X-Gitlab-Instance": s.URL,
	}
	secrets := map[string]string{}
	if h.Secret != "" {
		secrets["X-Gitlab-Token"] = h.Secret
	}
	if h.Signing != "" {
		at := strconv.FormatInt(s.Now().Unix(), 10)
		mac := hmac.New(sha256.New, signingKey(h.Signing))
		fmt.Fprintf(mac, "%s.%s.%s", key, at, body)
		secrets["Webhook-Id"], secrets["Webhook-Timestamp"] = key, at
		secrets["Webhook-Signature"] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if s.Lost == nil || !s.Lost(trigger) {
		s.mu.Unlock()
		a.status = s.post(h.URL, body, a.headers, secrets)
		s.mu.Lock()
	}
	h.log = append(h.log, a)
	if a.arrived() {
		h.Failures = 0
	} else if h.Failures++; h.Failures >= failureLimit {
		h.Disabled = true
	}
	return a
}

func (a *attempt) arrived() bool { return strings.HasPrefix(a.status, "2") }

func (s *Server) post(url string, body []byte, headers ...map[string]string) string {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "internal error"
	}
	for _, all := range headers {
		for name, value := range all {
			r.Header.Set(name, value)
		}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "internal error"
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return strconv.Itoa(response.StatusCode)
}

func signingKey(token string) []byte {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, "whsec_"))
	return key
}

func encode(body object) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return text
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
