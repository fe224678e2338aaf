package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"switchyard/deploy/lambda"
	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/router"
)

// executions are those of an engine with one state machine, by name.
type executions struct {
	mu  sync.Mutex
	all map[string]*event.Outcome
	now time.Time
}

func (e *executions) Start(_ context.Context, machine, name string, input []byte) (dispatch.Started, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := e.all[name]; there {
		return dispatch.Started{ExecutionARN: name, Existed: true}, nil
	}
	e.all[name] = &event.Outcome{ExecutionARN: name, Name: name, Status: event.Running, StartedAt: e.now, Input: string(input)}
	return dispatch.Started{ExecutionARN: name}, nil
}

func (e *executions) Describe(_ context.Context, arn string) (event.Outcome, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.all[arn]; o != nil {
		return *o, nil
	}
	return event.Outcome{}, dispatch.ErrNotFound
}

func (e *executions) Named(ctx context.Context, machine, name string) (event.Outcome, error) {
	if machine != "deploy" {
		return event.Outcome{}, dispatch.ErrNotFound
	}
	return e.Describe(ctx, name)
}

func (e *executions) Stop(_ context.Context, arn, _, cause string) error {
	e.end(arn, event.Aborted, cause)
	return nil
}

func (e *executions) end(name string, status event.ExecutionStatus, cause string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[name].Status, e.all[name].Cause, e.all[name].StoppedAt = status, cause, e.now
}

// states are where executions are, oldest name first.
func (e *executions) states() (all []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, o := range e.all {
		all = append(all, name[strings.Index(name, "-")+1:]+" "+string(o.Status))
	}
	slices.Sort(all)
	return all
}

// pulls is a git host with one pull request, on which ada may give commands.
type pulls struct {
	pull    event.Event
	commits []event.Commit
	asked   int
	said    []string
	answers error
}

func (p *pulls) RefusesCommands(string) error { return nil }

func (p *pulls) MayWrite(_ context.Context, _, _, login string) (bool, error) {
	p.asked++
	return login == "ada", nil
}

func (p *pulls) Names(context.Context, string, string, string) ([]string, error) { return nil, nil }

func (p *pulls) PullRequest(_ context.Context, _, _ string, number int) (event.Event, error) {
	if number != p.pull.PullRequest.Number {
		return event.Event{}, &dispatch.PermanentError{Err: errors.New("404")}
	}
	return p.pull, nil
}

func (p *pulls) Answer(_ context.Context, a *dispatch.Answer) error {
	if p.answers != nil {
		return p.answers
	}
	text := a.Text
	if a.Unlabel != "" {
		text = "without " + a.Unlabel
	}
	p.said = append(p.said, text)
	return nil
}

func (p *pulls) Commits(context.Context, *event.Event) ([]event.Commit, error) { return p.commits, nil }

func (p *pulls) Commit(_ context.Context, _, _, sha string) (event.Commit, error) {
	return event.Commit{SHA: sha}, nil
}

type noQueue struct{}

func (noQueue) SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return nil, errors.New("nothing is sent")
}

func (noQueue) ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	return nil, nil
}

func id(letter string) string { return strings.Repeat(letter, 40) }

type commanded struct {
	t        *testing.T
	host     *pulls
	engine   *executions
	function *lambda.Function
}

// withPull has a pull request 7 of two commits, b on a.
func withPull(t *testing.T, fork bool, routes ...router.Route) *commanded {
	t.Helper()
	r, err := router.New(router.Config{Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	host := &pulls{commits: []event.Commit{{SHA: id("a")}, {SHA: id("b")}}, pull: event.Event{
		Kind: event.PullRequest, Action: "synchronize", Repository: event.Repository{FullName: "acme/api"}, Ref: "refs/heads/topic", After: id("b"), Truncated: true,
		Commits: []event.Commit{{SHA: id("b")}}, PullRequest: &event.PullReq{Number: 7, Base: "main", Fork: fork, Labels: []string{"safe to test"}},
	}}
	e := &executions{all: map[string]*event.Outcome{}, now: time.UnixMilli(1_700_000_000_000)}
	return &commanded{t, host, e, &lambda.Function{Log: zap.NewNop(), Queue: &lambda.Consumer{
		Store: &lambda.Store{Queue: noQueue{}}, Engine: e, Planner: r, Host: host, Log: zap.NewNop(),
		Commands: &lambda.Commands{Commander: host, Engine: e, StateMachines: []string{"other", "deploy"}},
	}}}
}

// takes has the function take an event that was put on the queue at a time, and
// reports whether it is done with it.
func (c *commanded) takes(ev event.Event, sent time.Time) bool {
	c.t.Helper()
	ev.Source, ev.DeliveryID = "hub", "d"
	body, err := json.Marshal(map[string]any{"event": ev})
	if err != nil {
		c.t.Fatal(err)
	}
	batch, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "m", EventSource: "aws:sqs", Body: string(body), Attributes: map[string]string{"SentTimestamp": fmt.Sprint(sent.UnixMilli()), "ApproximateReceiveCount": "1"},
	}}})
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := c.function.Invoke(c.t.Context(), batch)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out) == `{"batchItemFailures":[]}`
}

// says has a person give a command now.
func (c *commanded) says(who string, o event.Order) bool {
	c.t.Helper()
	if o.Execution == "" {
		o.PullRequest, o.Comment = 7, "1"
	}
	return c.takes(event.Event{Kind: event.Command, Repository: event.Repository{FullName: "acme/api"}, Sender: who, Command: &o}, c.engine.now)
}

func (c *commanded) want(what string, states ...string) {
	c.t.Helper()
	if diff := cmp.Diff(states, c.engine.states(), cmp.Comparer(func(a, b string) bool { return strings.Contains(a, b) || strings.Contains(b, a) })); diff != "" {
		c.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// said returns what was said since it was called last.
func (c *commanded) said() string {
	all := strings.Join(c.host.said, "\n")
	c.host.said = nil
	return all
}

func (c *commanded) starts(ev event.Event) {
	c.t.Helper()
	if !c.takes(ev, c.engine.now) {
		c.t.Fatal("the delivery was given back")
	}
	c.engine.now = c.engine.now.Add(time.Minute)
}

func (c *commanded) named(part string) string {
	for name := range c.engine.all {
		if strings.Contains(name, part) {
			return name
		}
	}
	c.t.Fatalf("no execution with %q", part)
	return ""
}

var deployed = router.Route{Name: "deploy", StateMachine: "deploy", On: []string{"push", "pull_request"}}

func TestCommandsWithoutAServer(t *testing.T) {
	c := withPull(t, false, deployed)
	c.starts(c.host.pull)
	a, b := c.named("aaaa"), c.named("bbbb")
	rerun := event.Order{Verb: event.Rerun}
	c.says("ada", rerun)
	if got := c.said(); got != "Not done: 1 executions of commit bbbbbbbbbbbb have not ended" {
		t.Error(got)
	}
	c.engine.end(b, event.Failed, "it broke")
	c.says("eve", rerun)
	c.says("eve", rerun)
	if got := c.said(); got != "" || c.host.asked != 2 {
		t.Errorf("%q, asked %d times", got, c.host.asked)
	}
	// The answer does not arrive: the message comes again, and runs nothing twice.
	c.host.answers = errors.New("502")
	sent := c.engine.now
	if c.says("ada", rerun) {
		t.Error("done without an answer")
	}
	c.engine.now = c.engine.now.Add(time.Minute)
	c.engine.end(b+"-r2", event.Failed, "again")
	c.host.answers = nil
	o := rerun
	o.PullRequest, o.Comment = 7, "1"
	if !c.takes(event.Event{Kind: event.Command, Repository: event.Repository{FullName: "acme/api"}, Sender: "ada", Command: &o}, sent) {
		t.Error("given back")
	}
	if got := c.said(); got != "Running again:\n- `"+b+"-r2`: `rerun of "+b+" by ada on pull request #7`" {
		t.Error(got)
	}
	c.want("once", "a", "b", "b")
	if c.engine.all[b+"-r2"].Input != c.engine.all[b].Input {
		t.Error("another input")
	}
	c.says("ada", rerun)
	c.said()
	c.engine.end(b+"-r3", event.Succeeded, "")
	c.engine.now = c.engine.now.Add(time.Minute)
	c.says("ada", rerun)
	if got := c.said(); !strings.Contains(got, "have ended succeeded; name a route") {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Rerun, Route: "deploy"})
	if got := c.said(); !strings.Contains(got, b+"-r4") {
		t.Error(got)
	}
	c.engine.now = c.engine.now.Add(time.Minute)
	// Of all that the pull request has asked for, the last attempts run.
	for range 2 { // the second time it has happened
		c.says("ada", event.Order{Verb: event.Stop})
		if got := c.said(); !strings.Contains(got, a) || !strings.Contains(got, b+"-r4") || strings.Contains(got, "Not done") {
			t.Error(got)
		}
	}
	if o := c.engine.all[b+"-r4"]; o.Status != event.Aborted || o.Cause != "stopped by ada on pull request #7" {
		t.Errorf("%+v", o)
	}
	c.engine.now = c.engine.now.Add(time.Minute)
	c.says("ada", event.Order{Verb: event.Stop})
	if got := c.said(); got != "Not done: nothing runs" {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Explain})
	if got := c.said(); !strings.HasPrefix(got, "Commit `bbbbbbbbbbbb`:\n- `"+b+"-r4`: ") {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Rerun, Route: "none"})
	if got := c.said(); !strings.Contains(got, "no execution of commit bbbbbbbbbbbb is known on a route") {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Approve})
	if got := c.said(); !strings.Contains(got, "cannot be carried out without a server") {
		t.Error(got)
	}
}

// A button of a check names an execution, of its own repository alone.
func TestButtonsWithoutAServer(t *testing.T) {
	c := withPull(t, false, deployed)
	c.starts(c.host.pull)
	b := c.named("bbbb")
	c.engine.end(b, event.Succeeded, "")
	c.says("ada", event.Order{Verb: event.Rerun, Execution: b})
	c.engine.end(b+"-r2", event.Failed, "")
	c.engine.now = c.engine.now.Add(time.Minute)
	c.says("ada", event.Order{Verb: event.Rerun, Execution: b + "-r2"})
	other := event.Event{Kind: event.Command, Repository: event.Repository{FullName: "eve/api"}, Sender: "ada", Command: &event.Order{Verb: event.Stop, Execution: b}}
	c.takes(other, c.engine.now)
	c.takes(event.Event{Kind: event.Command, Repository: event.Repository{FullName: "acme/api"}, Sender: "ada", Command: &event.Order{Verb: event.Rerun, SHA: id("b")}}, c.engine.now)
	c.want("run again", "aaaa", "bbbb", "bbbb", "bbbb")
	if o := c.engine.all[b+"-r3"]; o == nil || o.Status != event.Running || len(c.host.said) != 0 {
		t.Errorf("%+v, said %q", o, c.host.said)
	}
}

func TestForksWithoutAServer(t *testing.T) {
	labeled := router.Route{Name: "deploy", StateMachine: "deploy", On: []string{"pull_request"}, Forks: "labeled", ForkLabel: "safe to test"}
	c := withPull(t, true, labeled)
	c.starts(c.host.pull)
	if got := c.said(); got != "without safe to test" || len(c.engine.all) != 0 {
		t.Errorf("%q, started %q", got, c.engine.states())
	}
	late := c.host.pull
	late.After, late.Commits = id("a"), []event.Commit{{SHA: id("a")}}
	c.starts(late) // of a head that is no longer the newest
	if got := c.said(); got != "" {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Allow, SHA: id("c")})
	if got := c.said(); !strings.Contains(got, "pull request #7 has no commit "+id("c")) {
		t.Error(got)
	}
	for range 2 {
		c.says("ada", event.Order{Verb: event.Allow, SHA: id("a")})
		if got := c.said(); !strings.HasPrefix(got, "`"+id("a")+"` may run:\n- `") {
			t.Error(got)
		}
	}
	c.want("allowed", "aaaa")
	c.says("ada", event.Order{Verb: event.Explain})
	if got := c.said(); !strings.HasPrefix(got, "Commit `bbbbbbbbbbbb`:\n- route `deploy`: ") || !strings.Contains(got, "may be older than its newest commit") {
		t.Error(got)
	}
	c.says("ada", event.Order{Verb: event.Stop})
	if got := c.said(); !strings.HasPrefix(got, "Stopping:\n- `"+c.named("aaaa")) {
		t.Error(got)
	}
}

// posted are statuses by their context.
type posted map[string]dispatch.Status

func (p posted) Post(_ context.Context, s dispatch.Status, _ string) error {
	p[s.Context] = s
	return nil
}

// A commit is told of further attempts as of the first.
func TestAttemptsAreTold(t *testing.T) {
	long := deployed
	long.Name = strings.Repeat("long-name-", 6)
	c := withPull(t, false, deployed, long)
	c.starts(c.host.pull)
	routes, told := c.function.Queue.Planner.(*router.Router), posted{}
	r := &lambda.Reporter{
		Engine: c.engine, RouteOf: routes.RouteOf, Posters: map[string]lambda.Poster{"hub": told}, Log: zap.NewNop(),
		Decode: func(text []byte) (event.Outcome, error) { return event.Outcome{ExecutionARN: string(text)}, nil },
	}
	for first, o := range maps.Clone(c.engine.all) {
		if !strings.Contains(first, "bbbb") {
			continue
		}
		for _, attempt := range []int{1, 2, 12} {
			name := dispatch.AttemptID(first, attempt)
			c.engine.all[name] = &event.Outcome{ExecutionARN: name, Name: name, Status: event.Running, Input: o.Input}
			clear(told)
			if err := r.Report(t.Context(), []byte(name)); err != nil || len(told) != 1 {
				t.Errorf("%s: %v, %v", name, told, err)
			}
		}
		c.engine.all["x-r2"] = &event.Outcome{ExecutionARN: "x-r2", Name: "x-r2", Status: event.Running, Input: o.Input}
	}
	clear(told)
	if err := r.Report(t.Context(), []byte("x-r2")); err != nil || len(told) != 0 {
		t.Errorf("another's: %v, %v", told, err)
	}
}
