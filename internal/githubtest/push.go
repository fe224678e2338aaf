package githubtest

import (
	"slices"
	"strings"
)

// maxListed is how many commits a push's payload lists at most, by "Webhook
// events and payloads".
const maxListed = 2048

const zeros = "0000000000000000000000000000000000000000"

// Push tells the webhooks of what became of a branch since they were last told:
// those of the repository, of its organisation and of Apps that are installed on
// it. It returns the first attempts, in that order; none where nothing changed.
func (r *Repo) Push(branch string) []*Delivery {
	s := r.s
	s.mu.Lock()
	before, after := r.heads[branch], ""
	if tip, err := r.Tip(branch); err == nil {
		after = tip
	}
	if before == after {
		s.mu.Unlock()
		return nil
	}
	var others []string
	for other, head := range r.heads {
		if other != branch {
			others = append(others, head)
		}
	}
	slices.Sort(others)
	r.heads[branch] = after
	if after == "" {
		delete(r.heads, branch)
	}
	payload := r.pushPayload("refs/heads/"+branch, orZeros(before), orZeros(after), others, true, "ada")
	hooks := r.listeners("push")
	s.mu.Unlock()
	var all []*Delivery
	for _, h := range hooks {
		all = append(all, s.emit(h, r, "push", "", payload))
	}
	return all
}

// Emit tells the webhooks of another event.
func (r *Repo) Emit(event, action string, payload map[string]any) []*Delivery {
	s := r.s
	s.mu.Lock()
	payload = with(object{"action": action, "repository": r.whole(), "sender": s.user("ada")}, payload)
	hooks := r.listeners(event)
	s.mu.Unlock()
	var all []*Delivery
	for _, h := range hooks {
		all = append(all, s.emit(h, r, event, action, payload))
	}
	return all
}

// listeners are the hooks that are told of an event.
func (r *Repo) listeners(event string) []*hook {
	all := slices.Concat(r.hooks, r.s.orgHooks[key(r.Owner)])
	for _, a := range r.s.apps {
		if a.hook != nil && a.on(r) != nil {
			all = append(all, a.hook)
		}
	}
	return slices.DeleteFunc(all, func(h *hook) bool { return !h.wants(event) })
}

func orZeros(sha string) string {
	if sha == "" {
		return zeros
	}
	return sha
}

// pushPayload is that of a ref that moved. others are commits that were pushed
// before.
func (r *Repo) pushPayload(ref, before, after string, others []string, list bool, login string) object {
	s := r.s
	created, deleted := before == zeros, after == zeros
	forced := false
	commits, headCommit := []object{}, any(nil)
	if !deleted {
		headCommit = r.pushed([]string{after}, nil)[0]
	}
	if !deleted && list {
		span := []string{"rev-list", "--reverse", "--topo-order", after}
		if !created {
			span = append(span, "^"+before)
			_, err := r.Try("", "merge-base", "--is-ancestor", before, after)
			forced = err != nil
		}
		ids := strings.Fields(r.Git(span...))
		for _, o := range others {
			span = append(span, "^"+o)
		}
		fresh := strings.Fields(r.Git(span...))
		if created {
			ids = fresh // those that no other branch has
		}
		commits = r.pushed(ids[:min(len(ids), maxListed)], fresh)
	}
	// The payload of a push has other forms of time and owner than the API.
	repo := with(r.whole(), object{"created_at": 1793610000, "pushed_at": 1793610000, "owner": with(s.user(r.Owner), object{"name": r.Owner, "email": nil})})
	return object{
		"ref": ref, "before": before, "after": after, "created": created, "deleted": deleted, "forced": forced, "base_ref": nil,
		"compare": r.html() + "/compare/" + before[:12] + "..." + after[:12], "commits": commits, "head_commit": headCommit, "repository": repo,
		"pusher": object{"name": login, "email": login + "@example.test"}, "sender": s.user(login),
	}
}

// pushed are commits as a push lists them, with the paths that each changed.
func (r *Repo) pushed(ids, fresh []string) []object {
	all := []object{}
	if len(ids) == 0 {
		return all
	}
	isFresh := make(map[string]bool, len(fresh))
	for _, id := range fresh {
		isFresh[id] = true
	}
	changes := r.changes(ids)
	for _, c := range r.commits(ids) {
		inner := c["commit"].(object)
		sha := c["sha"].(string)
		person := func(key string) object {
			p := inner[key].(object)
			o := object{"name": p["name"], "email": p["email"]}
			if login := r.logins[text(p, "email")]; login != "" {
				o["username"] = login
			}
			return o
		}
		all = append(all, with(object{
			"id": sha, "tree_id": inner["tree"].(object)["sha"], "distinct": isFresh[sha], "message": inner["message"], "timestamp": inner["committer"].(object)["date"],
			"url": c["html_url"], "author": person("author"), "committer": person("committer"),
		}, changes[sha]))
	}
	return all
}

// changes are the paths that commits added, removed and modified against their
// first parents.
func (r *Repo) changes(ids []string) map[string]object {
	found := map[string]object{}
	var lists map[string][]string
	done := func(sha string) {
		if sha != "" {
			found[sha] = object{"added": lists["A"], "removed": lists["D"], "modified": lists["M"]}
		}
		lists = map[string][]string{"A": {}, "D": {}, "M": {}}
	}
	sha := ""
	for line := range strings.Lines(r.Feed(strings.Join(ids, "\n"), "-c", "core.quotePath=false", "log", "--no-walk=unsorted", "--stdin", "--format=%x01%H", "--name-status", "--no-renames", "-m", "--first-parent", "--root")) {
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "\x01"); ok {
			done(sha)
			sha = id
			continue
		}
		if kind, path, ok := strings.Cut(line, "\t"); ok {
			if kind == "T" {
				kind = "M"
			}
			lists[kind] = append(lists[kind], path)
		}
	}
	done(sha)
	return found
}
