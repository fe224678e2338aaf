//go:build ignore

// Make runs a service of an older release until it has done and left undone some
// of everything, kills it, and keeps its data folder for TestUpgrade:
//
//	go run cmd/switchyard/internal/app/testdata/upgrade/make.go -binary OLD-SWITCHYARD
//
// What is here was made by the first public state of the program (842d420).
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite"
)

const (
	secret = "a secret of the test"
	token  = "a-token-of-the-old-service"
)

type m map[string]any

// delivery is a call of GitHub's, and what the old service answered.
type delivery struct {
	ID, Event string
	Body      json.RawMessage
	Status    int
	Answer    json.RawMessage
}

type service struct {
	dir, binary, addr, engine string
	cmd                       *exec.Cmd
	deliveries                []delivery
}

func main() {
	log.SetFlags(0)
	binary := flag.String("binary", "", "the older release's program")
	flag.Parse()
	_, self, _, _ := runtime.Caller(0)
	home := filepath.Dir(self)
	dir, err := os.MkdirTemp("", "upgrade-*")
	check(err)
	defer os.RemoveAll(dir)
	s := &service{dir: dir, binary: *binary, addr: freePort(), engine: freePort()}
	for _, name := range []string{"switchyard.yaml", "test.asl.json", "gone.asl.json"} {
		text, err := os.ReadFile(filepath.Join(home, name))
		check(err)
		text = bytes.Replace(text, []byte("127.0.0.1:0"), []byte(s.addr), 1)
		text = bytes.Replace(text, []byte("127.0.0.1:0"), []byte(s.engine), 1)
		text = bytes.ReplaceAll(text, []byte("GITHUB"), []byte("http://127.0.0.1:1")) // nobody listens there
		check(os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}

	s.start()
	s.push("finished", "feature/one", "first", "break second", "third")
	s.push("slug", "feature/Ünïcode/With_Case", "first of an odd name")
	s.push("limited", "hotfix/one", "first", "second")
	s.push("ignored", "release/one", "no route takes this")
	s.push("skipped", "feature/skip", "a change [skip ci]")
	s.pull("pull", 12, "feature/one", "first") // the commit has run already
	s.pull("pull-new", 13, "feature/two", "a pull request")
	s.push("delete-me", "feature/gone", "will be torn down")
	s.deleteMachine()
	s.push("refused", "gone/one", "nobody can run this")
	s.settle()
	first := s.answered("finished")[0]
	s.call("executions/"+first+"/rerun?by=ada", "")
	s.call("executions?state_machine=test&by=ada", `{"environment":"dev","commit":{"sha":"0123456789abcdef0123456789abcdef01234567","message":"by hand"}}`)
	s.settle()
	s.stop(syscall.SIGTERM)

	s.start()
	s.deleteMachine()
	s.push("running", "feature/running", "wait for it", "parallel branches", "map over items", "retry later")
	s.push("waiting", "hotfix/two", "wait in line", "second in line", "third in line")
	s.push("superseded-1", "main", "wait on main")
	s.push("superseded-2", "main", "queued on main")
	s.push("superseded-3", "main", "newest on main")
	s.until("four executions run", func() bool { return s.count("RUNNING") >= 4 })
	stopped := s.push("stopped", "feature/stopped", "wait to be stopped")[0]
	s.until("it runs", func() bool { return strings.Contains(s.call("executions/"+stopped, "GET"), `"running"`) })
	s.call("executions/"+stopped+"/stop?by=ada", "")
	s.until("it is stopped", func() bool { return strings.Contains(s.call("executions/"+stopped, "GET"), `"aborted"`) })
	// A burst, cut off as soon as all of it is acknowledged: some of it has not
	// been expanded, and some not started.
	var burst sync.WaitGroup
	var mu sync.Mutex
	for i := range 24 {
		burst.Add(1)
		go func() {
			defer burst.Done()
			d := s.send(pushOf(fmt.Sprintf("burst-%02d", i), fmt.Sprintf("feature/burst-%d", i%5), fmt.Sprint("one of ", i), fmt.Sprint("two of ", i), fmt.Sprint("three of ", i)))
			mu.Lock()
			s.deliveries = append(s.deliveries, d)
			mu.Unlock()
		}()
	}
	burst.Wait()
	s.stop(syscall.SIGKILL)

	pack(filepath.Join(dir, "data"), filepath.Join(home, "data.tar.gz"))
	want := m{"deliveries": s.deliveries, "executions": s.rows("journal.db", `SELECT id, state, sha, route, environment, attempt, started_at, stopped_at FROM requests ORDER BY seq`),
		"pending":  s.rows("journal.db", `SELECT source || ':' || delivery_id AS id FROM deliveries WHERE seq > (SELECT expanded FROM progress) ORDER BY seq`),
		"statuses": s.rows("journal.db", `SELECT sha, state FROM statuses ORDER BY version`),
		"engine":   s.rows("engine.db", `SELECT name, status FROM executions ORDER BY id`)}
	states := map[string]int{}
	for _, row := range want["executions"].([]m) {
		states[row["state"].(string)]++
	}
	log.Printf("states %v, %d deliveries to be expanded, %d statuses", states, len(want["pending"].([]m)), len(want["statuses"].([]m)))
	for _, state := range []string{"waiting", "ready", "running", "succeeded", "failed", "aborted", "superseded", "dead"} {
		if states[state] == 0 {
			log.Fatalf("none is %s: make it again", state)
		}
	}
	if len(want["pending"].([]m)) == 0 {
		log.Fatal("every delivery was expanded: make it again")
	}
	text, err := json.MarshalIndent(want, "", " ")
	check(err)
	check(writeGzip(filepath.Join(home, "want.json.gz"), text))
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

func (s *service) start() {
	s.cmd = exec.Command(s.binary, "serve", "--config", filepath.Join(s.dir, "switchyard.yaml"))
	var out bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	check(s.cmd.Start())
	s.until("the service is ready", func() bool {
		resp, err := http.Get("http://" + s.addr + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (s *service) stop(sig syscall.Signal) {
	check(s.cmd.Process.Signal(sig))
	_ = s.cmd.Wait() // killed, as it should be
}

func (s *service) until(what string, is func() bool) {
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			log.Fatalf("not after 30 s: %s", what)
		}
	}
}

// call speaks to the service's API: a GET, or a POST of body.
func (s *service) call(path, body string) string {
	method := http.MethodPost
	if body == "GET" {
		method, body = http.MethodGet, ""
	}
	req, err := http.NewRequest(method, "http://"+s.addr+"/api/v1/"+path, strings.NewReader(body))
	check(err)
	req.Header.Set("Authorization", "Bearer "+token)
	if method == http.MethodGet {
		return do(req, http.StatusNotFound) // not expanded yet
	}
	return do(req, 299)
}

func do(req *http.Request, highest int) string {
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(err)
	if resp.StatusCode > highest {
		log.Fatalf("%s %s: %s %s", req.Method, req.URL, resp.Status, text)
	}
	return string(text)
}

// deleteMachine makes the engine refuse the executions of a state machine.
func (s *service) deleteMachine() {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.engine, strings.NewReader(`{"stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:gone"}`))
	check(err)
	req.Header.Set("X-Amz-Target", "AWSStepFunctions.DeleteStateMachine")
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	do(req, 299)
}

// count is how many executions of the engine have a status.
func (s *service) count(status string) int {
	return strings.Count(s.call("executions?limit=1000&state="+strings.ToLower(status), "GET"), `"id"`)
}

func (s *service) settle() {
	s.until("all is done", func() bool { return s.count("running")+s.count("ready")+s.count("waiting") == 0 })
}

func sha(branch, message string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.TrimSuffix(branch, "/")+message)))[:40]
}

func repository() m {
	return m{"id": 1, "full_name": "acme/api", "name": "api", "clone_url": "https://git.example/acme/api.git", "owner": m{"login": "acme"}}
}

func pushOf(id, branch string, messages ...string) delivery {
	var commits []m
	for _, text := range messages {
		commits = append(commits, m{"id": sha(branch, text), "message": text, "distinct": true, "timestamp": "2026-11-20T10:00:00Z",
			"url": "https://git.example/c/" + sha(branch, text), "author": m{"name": "Ada", "username": "ada"}, "modified": []string{"a.go"}})
	}
	head := commits[len(commits)-1]
	return encode(id, "push", m{"ref": "refs/heads/" + branch, "before": strings.Repeat("1", 40), "after": head["id"],
		"commits": commits, "head_commit": head, "repository": repository(), "sender": m{"login": "ada"}})
}

func encode(id, event string, body m) delivery {
	text, err := json.Marshal(body)
	check(err)
	return delivery{ID: id, Event: event, Body: text}
}

func (s *service) push(id, branch string, messages ...string) []string {
	s.deliveries = append(s.deliveries, s.send(pushOf(id, branch, messages...)))
	return s.answered(id)
}

func (s *service) pull(id string, number int, branch, message string) {
	s.deliveries = append(s.deliveries, s.send(encode(id, "pull_request", m{"action": "opened", "number": number, "repository": repository(), "sender": m{"login": "ada"},
		"pull_request": m{"number": number, "title": message, "draft": false, "merged": false, "user": m{"login": "ada"}, "labels": []m{},
			"head": m{"ref": branch, "sha": sha(branch, message), "repo": repository()},
			"base": m{"ref": "main", "sha": strings.Repeat("1", 40), "repo": repository()}}})))
}

func (s *service) send(d delivery) delivery {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(d.Body)
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/webhooks/github", bytes.NewReader(d.Body))
	check(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", d.Event)
	req.Header.Set("X-GitHub-Delivery", d.ID)
	req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(err)
	if resp.StatusCode > 299 {
		log.Fatalf("delivery %s: %s %s", d.ID, resp.Status, text)
	}
	d.Status, d.Answer = resp.StatusCode, json.RawMessage(text)
	return d
}

// answered are the executions that a delivery was answered with.
func (s *service) answered(id string) []string {
	for _, d := range s.deliveries {
		if d.ID == id {
			var a struct{ Executions []string }
			check(json.Unmarshal(d.Answer, &a))
			return a.Executions
		}
	}
	return nil
}

// pack keeps the files of a data folder, but for the locks.
func pack(dir, file string) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"journal.db", "journal.db-wal", "engine.db", "engine.db-wal", "pages.key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		check(err)
		check(w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text))}))
		_, err = w.Write(text)
		check(err)
	}
	check(w.Close())
	check(writeGzip(file, b.Bytes()))
}

func writeGzip(file string, text []byte) error {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	_, err = w.Write(text)
	check(err)
	check(w.Close())
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// rows reads a file of the data folder, after it was packed.
func (s *service) rows(file, query string) []m {
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "data", file))
	check(err)
	defer db.Close()
	rows, err := db.Query(query)
	check(err)
	columns, err := rows.Columns()
	check(err)
	all := []m{}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		check(rows.Scan(into...))
		row := m{}
		for i, name := range columns {
			row[name] = values[i]
		}
		all = append(all, row)
	}
	check(rows.Err())
	return all
}
