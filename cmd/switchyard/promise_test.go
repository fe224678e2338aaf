//go:build unix

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchyard/dispatch"
)

var promiseSeed = flag.Uint64("promise.seed", 0, "run the test of the promise with this seed alone")

// The promise: every commit × route × environment is one execution, or there
// is a recorded reason. Hosts push, rename, force, delete, deliver again and
// deliver twice, the service is killed in the midst of it, and in the end the
// executions are those that a model of git hosts expects.
func TestPromiseHolds(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	if *promiseSeed != 0 {
		seeds = []uint64{*promiseSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := newHostModel(t, seed)
			w.service.start()
			for range 120 {
				w.act()
			}
			w.check()
		})
	}
}

// promiseRoutes are the routes that hostModel knows the meaning of.
const promiseRoutes = `
routes:
  - {name: dev, on: [push, pull_request], branches: ["feature/**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
  - {name: down, on: [delete], branches: ["feature/**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
  - {name: closed, on: [pull_request], actions: [closed], state_machine: test, environment: "pr-{{ .PullRequest }}"}
  - {name: head, branches: ["**"], commits: head, state_machine: test, environment: all}
  - {name: back, branches: ["release/**"], state_machine: test, environment: release, revisit: run}
  - {name: marked, on: [push, pull_request], branches: ["feature/**"], skip_markers: true, state_machine: test, environment: marked}
  - {name: newest, branches: ["feature/**"], on_new_commit: cancel_superseded, state_machine: test, environment: newest}
environments:
  all: {max_parallel: 2}
  newest: {max_parallel: 1}
`

// modelCommit is a commit as git knows it.
type modelCommit struct {
	sha, message string
}

// modelBranch is a branch's line of commits, oldest first.
type modelBranch []modelCommit

func (b modelBranch) tip() modelCommit { return b[len(b)-1] }

// wish is an execution that the promise asks for. what is empty but for
// teardowns, whose end it names.
type wish struct{ repository, sha, route, environment, what string }

// modelDelivery is what was sent, to be sent again.
type modelDelivery struct {
	id, event string
	body      []byte
	commits   []string
}

// hostModel is a git host with its users, and what the promise makes of what
// they do.
type hostModel struct {
	t       *testing.T
	rng     *rand.Rand
	service *process
	repos   map[string]map[string]modelBranch // repository, branch
	pulls   map[string]int                    // number of the open pull request, by repository and branch
	next    int                               // number of the next pull request
	sent    []modelDelivery
	// wanted counts the attempts that are expected of each wish.
	wanted map[wish]int
	// releases is the tip of each release branch as the service knows it.
	releases map[string]string
	// told are commits whose message the service has heard.
	told  map[string]bool
	kills int
}

func newHostModel(t *testing.T, seed uint64) *hostModel {
	p := newProcess(t, t.TempDir(), `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 0, "Next": "Done"}, "Done": {"Type": "Succeed"}}}`, "")
	path := filepath.Join(p.dir, "switchyard.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace(string(text), "routes: [{name: all, state_machine: test}]\n", promiseRoutes, 1)
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &hostModel{
		t: t, rng: rand.New(rand.NewPCG(seed, seed)), service: p, next: 1,
		repos: map[string]map[string]modelBranch{"acme/app": {}, "other/app": {}}, pulls: map[string]int{},
		wanted: map[wish]int{}, releases: map[string]string{}, told: map[string]bool{},
	}
	for repository := range w.repos {
		w.repos[repository]["main"] = w.commits(1)
	}
	return w
}

func (w *hostModel) commits(n int) (line modelBranch) {
	for range n {
		sha := fmt.Sprintf("%016x%016x%08x", w.rng.Uint64(), w.rng.Uint64(), w.rng.Uint32())
		message := "work on " + sha[:6]
		if w.rng.IntN(4) == 0 {
			message += " [skip ci]"
		}
		line = append(line, modelCommit{sha, message})
	}
	return line
}

// act is one thing that somebody does.
func (w *hostModel) act() {
	repository := []string{"acme/app", "other/app"}[w.rng.IntN(2)]
	branches := w.repos[repository]
	name := w.branchName()
	line, exists := branches[name]
	switch n := w.rng.IntN(20); {
	case n < 6: // new commits, on a branch that may be new
		w.push(repository, name, w.commits(1+w.rng.IntN(4)), false)
	case n < 8 && !exists: // a branch on a commit that is there already
		names := slices.Sorted(maps.Keys(branches))
		from := branches[names[w.rng.IntN(len(names))]]
		w.move(repository, name, slices.Clone(from[:1+w.rng.IntN(len(from))]))
	case n < 10 && len(line) > 1: // back to an older commit
		w.move(repository, name, slices.Clone(line[:1+w.rng.IntN(len(line)-1)]))
	case n < 11 && exists: // history is written anew
		w.push(repository, name, w.commits(1+w.rng.IntN(2)), true)
	case n < 13 && exists && !strings.HasPrefix(name, "release/"): // renamed
		w.delete(repository, name)
		if to := w.branchName(); branches[to] == nil && !strings.HasPrefix(to, "release/") {
			w.move(repository, to, line)
		}
	case n < 14 && exists && !strings.HasPrefix(name, "release/"):
		w.delete(repository, name)
	case n < 16 && strings.HasPrefix(name, "feature/"):
		w.pullRequest(repository, name)
	case n < 18 && len(w.sent) > 0: // the host delivers again
		w.deliver(w.sent[w.rng.IntN(len(w.sent))])
	case n < 19 && len(w.sent) > 0: // a second webhook for the same
		again := w.sent[len(w.sent)-1]
		again.id += "-second"
		w.deliver(again)
	default:
		w.stranger(repository, name)
	}
}

// branchName is one of a few, among them some that make equal slugs.
func (w *hostModel) branchName() string {
	names := []string{"feature/a", "feature/A", "feature/a_b", "feature/a-b", "feature/x/y", "feature/x-y", "feature/ü", "release/1", "release/2", "main"}
	return names[w.rng.IntN(len(names))]
}

// slugOf is the rule of docs/routing.md, written a second time.
func slugOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	s := strings.TrimRight(b.String(), "-")
	if s != name {
		s += fmt.Sprintf("-%x", sha256.Sum256([]byte(name)))[:8]
	}
	return s
}

// want expects an execution; once more makes no difference.
func (w *hostModel) want(repository, sha, route, environment, what string) {
	k := wish{repository, sha, route, environment, what}
	w.wanted[k] = max(w.wanted[k], 1)
}

// push puts new commits on a branch; forced puts them in place of what was
// there.
func (w *hostModel) push(repository, name string, added modelBranch, forced bool) {
	branches := w.repos[repository]
	before := branches[name]
	if forced {
		branches[name] = added
	} else {
		branches[name] = append(slices.Clone(before), added...)
	}
	w.pushed(repository, name, before, branches[name], added, forced)
}

// move puts a branch on a commit that the host has already: it lists none.
func (w *hostModel) move(repository, name string, to modelBranch) {
	before := w.repos[repository][name]
	w.repos[repository][name] = to
	w.pushed(repository, name, before, to, nil, before != nil)
}

func (w *hostModel) pushed(repository, name string, before, after, added modelBranch, forced bool) {
	type m = map[string]any
	tip := after.tip()
	release := wish{repository, tip.sha, "back", "release", ""}
	ran := w.wanted[release] > 0
	listed := []m{}
	started := added
	if len(added) == 0 {
		started = modelBranch{tip}
	}
	var shas []string
	for _, c := range started {
		shas = append(shas, c.sha)
		w.told[c.sha] = true
		if strings.HasPrefix(name, "feature/") {
			w.want(repository, c.sha, "dev", "dev-"+slugOf(name), "")
			w.want(repository, c.sha, "newest", "newest", "")
			if !strings.Contains(c.message, "[skip ci]") {
				w.want(repository, c.sha, "marked", "marked", "")
			}
		}
		if strings.HasPrefix(name, "release/") {
			w.want(repository, c.sha, "back", "release", "")
		}
	}
	for _, c := range added {
		listed = append(listed, w.commitJSON(c))
	}
	w.want(repository, tip.sha, "head", "all", "")
	if strings.HasPrefix(name, "release/") {
		if known := w.releases[repository+" "+name]; ran && known != "" && known != tip.sha {
			w.wanted[release]++ // it moved back, or forward again, to what had run
		}
		w.releases[repository+" "+name] = tip.sha
	}
	zero := strings.Repeat("0", 40)
	from := zero
	if len(before) > 0 {
		from = before.tip().sha
	}
	w.send("push", m{
		"ref": "refs/heads/" + name, "before": from, "after": tip.sha, "created": len(before) == 0, "deleted": false, "forced": forced,
		"commits": listed, "head_commit": w.commitJSON(tip), "repository": w.repositoryJSON(repository), "sender": m{"login": "ada"},
	}, shas)
}

func (w *hostModel) delete(repository, name string) {
	type m = map[string]any
	last := w.repos[repository][name].tip()
	delete(w.repos[repository], name)
	if strings.HasPrefix(name, "feature/") {
		w.want(repository, last.sha, "down", "dev-"+slugOf(name), "refs/heads/"+name)
	}
	w.send("push", m{
		"ref": "refs/heads/" + name, "before": last.sha, "after": strings.Repeat("0", 40), "created": false, "deleted": true,
		"commits": []m{}, "head_commit": nil, "repository": w.repositoryJSON(repository), "sender": m{"login": "ada"},
	}, []string{last.sha})
}

// pullRequest opens a pull request for a branch, brings it up to date, or
// closes it. Half of the time the branch's newest commits are new to the host
// with it: the pull request's event then overtakes the push.
func (w *hostModel) pullRequest(repository, name string) {
	key := repository + " " + name
	line, exists := w.repos[repository][name]
	number, open := w.pulls[key]
	action := "synchronize"
	switch {
	case !exists:
		return
	case !open:
		number, action = w.next, "opened"
		w.pulls[key] = number
		w.next++
	case w.rng.IntN(3) == 0:
		action = "closed"
		delete(w.pulls, key)
	}
	var added modelBranch
	if action != "closed" && w.rng.IntN(2) == 0 {
		added = w.commits(1)
		line = append(slices.Clone(line), added...)
	}
	tip := line.tip()
	if action == "closed" {
		w.want(repository, tip.sha, "closed", fmt.Sprintf("pr-%d", number), fmt.Sprint(number))
	} else {
		w.want(repository, tip.sha, "dev", "dev-"+slugOf(name), "")
		// A message that nobody has told cannot hold anything back.
		if !w.told[tip.sha] || !strings.Contains(tip.message, "[skip ci]") {
			w.want(repository, tip.sha, "marked", "marked", "")
		}
	}
	w.sendPull(repository, repository, name, action, number, tip)
	if len(added) > 0 {
		w.push(repository, name, added, false)
	}
}

// stranger opens a pull request from a fork, whose branch has a name that is
// taken. It starts nothing.
func (w *hostModel) stranger(repository, name string) {
	number := w.next
	w.next++
	w.sendPull(repository, "stranger/app", name, "opened", number, w.commits(1).tip())
}

func (w *hostModel) sendPull(repository, head, name, action string, number int, tip modelCommit) {
	type m = map[string]any
	base := m{"ref": "main", "sha": strings.Repeat("1", 40), "repo": w.repositoryJSON(repository)}
	w.send("pull_request", m{
		"action": action, "number": number, "repository": w.repositoryJSON(repository), "sender": m{"login": "ada"},
		"pull_request": m{"title": "A change", "user": m{"login": "ada"}, "base": base,
			"head": m{"ref": name, "sha": tip.sha, "repo": w.repositoryJSON(head)}},
	}, []string{tip.sha})
}

func (w *hostModel) commitJSON(c modelCommit) map[string]any {
	return map[string]any{"id": c.sha, "message": c.message, "distinct": true, "author": map[string]any{"name": "Ada"}, "added": []string{"a.txt"}, "removed": []string{}, "modified": []string{}}
}

func (w *hostModel) repositoryJSON(name string) map[string]any {
	ids := map[string]int{"acme/app": 1, "other/app": 2, "stranger/app": 3}
	return map[string]any{"id": ids[name], "full_name": name, "clone_url": "https://git.example.com/" + name + ".git"}
}

// send delivers something new. Now and then the host's delivery IDs are not
// worth much: another event has had the same.
func (w *hostModel) send(event string, payload map[string]any, commits []string) {
	body, err := json.Marshal(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	d := modelDelivery{id: fmt.Sprintf("delivery-%d", len(w.sent)), event: event, body: body, commits: commits}
	if w.rng.IntN(12) == 0 && len(w.sent) > 0 {
		d.id = w.sent[w.rng.IntN(len(w.sent))].id
	}
	w.sent = append(w.sent, d)
	w.deliver(d)
}

// deliver sends until the service has taken it. Now and then the service is
// killed meanwhile.
func (w *hostModel) deliver(d modelDelivery) {
	w.t.Helper()
	kill := w.rng.IntN(15) == 0
	if kill {
		w.kills++
		process := w.service.cmd.Process
		time.AfterFunc(time.Duration(w.rng.IntN(8000))*time.Microsecond, func() { _ = process.Kill() })
	}
	answered := w.post(d)
	if kill {
		<-w.service.done
		w.service.end(syscall.SIGKILL)
		w.service.start()
	}
	for try := 0; !answered; try++ {
		if try == 20 {
			w.t.Fatalf("delivery %s is not taken", d.id)
		}
		answered = w.post(d)
	}
}

// post reports whether the service answered that it has the delivery.
func (w *hostModel) post(d modelDelivery) bool {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(processSecret))
	mac.Write(d.body)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.service.addr+"/webhooks/github", bytes.NewReader(d.body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", d.event)
	req.Header.Set("X-GitHub-Delivery", d.id)
	req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false
	}
	switch {
	case resp.StatusCode/100 == 2:
		return true
	case resp.StatusCode == http.StatusServiceUnavailable:
		return false
	}
	w.t.Fatalf("%s %s: %s %s", d.event, d.id, resp.Status, text)
	return false
}

// check compares what there is in the end with what is expected.
func (w *hostModel) check() {
	w.t.Helper()
	var all []dispatch.Execution
	w.service.eventually("everything has ended", func() bool {
		all = w.everything()
		waiting := slices.ContainsFunc(all, func(x dispatch.Execution) bool { return !x.State.Finished() })
		return !waiting && w.pending() == 0
	})
	got := map[wish]int{}
	for _, x := range all {
		what := ""
		switch x.Route {
		case "down":
			what = x.Ref
		case "closed":
			what = fmt.Sprint(x.PullRequest)
		}
		got[wish{x.Repository, x.SHA, x.Route, x.Environment, what}]++
		if x.State == dispatch.StateDead || x.State == dispatch.StateFailed {
			w.t.Errorf("%s is %s: %s %s", x.ID, x.State, x.Error, x.Cause)
		}
	}
	for k, n := range w.wanted {
		if got[k] != n {
			w.t.Errorf("%+v: %d executions, expected %d", k, got[k], n)
		}
	}
	for k, n := range got {
		if w.wanted[k] == 0 {
			w.t.Errorf("%+v: %d executions, expected none", k, n)
		}
	}
	reasons := w.checkReasons()
	w.t.Logf("%d deliveries, %d executions, %d reasons, %d kills", len(w.sent), len(all), reasons, w.kills)
	if w.kills == 0 || len(all) < 100 {
		w.t.Errorf("the run was too tame to prove anything")
	}
}

// everything lists all executions.
func (w *hostModel) everything() (all []dispatch.Execution) {
	w.t.Helper()
	for before := int64(0); ; {
		page, err := w.service.client.Executions(w.t.Context(), dispatch.ExecutionFilter{Limit: 1000, Before: before})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Executions...)
		if before = page.Next; before == 0 {
			return all
		}
	}
}

// deliveries lists all deliveries.
func (w *hostModel) deliveries() (all []dispatch.Delivery) {
	w.t.Helper()
	for before := int64(0); ; {
		page, err := w.service.client.Deliveries(w.t.Context(), dispatch.DeliveryFilter{Limit: 1000, Before: before})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Deliveries...)
		if before = page.Next; before == 0 {
			return all
		}
	}
}

func (w *hostModel) pending() (n int) {
	for _, d := range w.deliveries() {
		if d.State != dispatch.DeliveryExpanded {
			n++
		}
	}
	return n
}

// checkReasons looks for every commit and route of every delivery: each has an
// execution or a reason, recorded with that delivery.
func (w *hostModel) checkReasons() (reasons int) {
	w.t.Helper()
	for _, d := range w.deliveries() {
		detail, err := w.service.client.Delivery(w.t.Context(), d.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		explained := map[[2]string]bool{}
		for _, x := range detail.Executions {
			explained[[2]string{x.Route, x.SHA}] = true
		}
		for _, i := range detail.Reasons {
			explained[[2]string{i.Route, i.Commit}] = true
			if i.Reason == "" {
				w.t.Errorf("%s: no reason for %+v", d.ID, i)
			}
			reasons++
		}
		for _, c := range detail.Event.Commits {
			for _, route := range []string{"dev", "down", "closed", "head", "back", "marked", "newest"} {
				if !explained[[2]string{route, c.SHA}] && !explained[[2]string{route, ""}] && !explained[[2]string{"", c.SHA}] && !explained[[2]string{"", ""}] {
					w.t.Errorf("%s: nothing is recorded for commit %s and route %s", d.ID, c.SHA, route)
				}
			}
		}
	}
	return reasons
}
