package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// holder is an engine whose tasks wait for tokens.
type holder struct {
	*engine
	mu     sync.Mutex
	gone   map[string]bool // tokens that have ended
	told   []string
	before func(ctx context.Context) error // in the engine's place, when it returns an error
	after  func(ctx context.Context) error // when it was done
}

func (h *holder) end(ctx context.Context, arn, token, what string) error {
	h.mu.Lock()
	before, after := h.before, h.after
	h.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	h.mu.Lock()
	if h.gone[token] {
		h.mu.Unlock()
		return fmt.Errorf("TaskTimedOut: %w", dispatch.ErrTokenSpent)
	}
	h.gone[token] = true
	h.told = append(h.told, strings.TrimPrefix(arn, arnOf(""))+" "+token+" "+what)
	h.mu.Unlock()
	if after != nil {
		return after(ctx)
	}
	return nil
}

func (h *holder) Succeed(ctx context.Context, arn, token string, output []byte) error {
	var o struct{ Commit, By, Reason string }
	if err := json.Unmarshal(output, &o); err != nil {
		return err
	}
	return h.end(ctx, arn, token, fmt.Sprintf("approved %s by %s: %s", o.Commit, o.By, o.Reason))
}

func (h *holder) Fail(ctx context.Context, arn, token, name, cause string) error {
	return h.end(ctx, arn, token, name+": "+cause)
}

func (h *holder) hold(before, after func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

func (h *holder) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told
}

// spend lets a task end by itself.
func (h *holder) spend(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone[token] = true
}

func newHolder() *holder { return &holder{engine: newEngine(), gone: map[string]bool{}} }

func runHolder(t *testing.T, path string, h *holder, cfg dispatch.Config, opts ...dispatch.Option) *service {
	t.Helper()
	return runOn(t, path, func(j dispatch.Journal) dispatch.Journal { return j }, h, planner{routes: []string{"r"}, env: "prod"}, cfg, opts...)
}

const long = "0123456789abcdef0123456789abcdef01234567"

// waiting starts the execution of a commit and has it ask.
func (s *service) waiting(sha, token string, in time.Duration) string {
	s.t.Helper()
	ev := push("d-"+sha, sha)
	ev.Sender, ev.Commits[0].Author = "pia", "ada"
	s.accept(ev)
	settle()
	s.asks(dispatch.Ask{Token: token, ExecutionARN: arnOf(sha + "-r"), Title: "Deploy", Commit: sha, ExpiresIn: in})
	return sha + "-r"
}

func (s *service) asks(a dispatch.Ask) {
	s.t.Helper()
	a.At = time.Now()
	if err := s.AskApproval(s.t.Context(), a); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) asked(execution string) dispatch.Approval {
	s.t.Helper()
	all, err := s.Approvals(s.t.Context(), dispatch.ApprovalFilter{Execution: execution})
	if err != nil || len(all) == 0 {
		s.t.Fatalf("approvals of %s: %v, %v", execution, all, err)
	}
	return all[0]
}

func TestDecisionsReachTheExecution(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runHolder(t, path, h, dispatch.Config{})
		defer s.stop()
		a, b := s.waiting(long, "token-a", time.Hour), s.waiting("b", "token-b", time.Hour)
		if x := s.get(a); x.WaitsFor != "Deploy" || dispatch.StatusOf(&x).Description != "Waits for approval: Deploy" || dispatch.StatusOf(&x).Approval != dispatch.ApprovalID("token-a") {
			t.Errorf("%+v", x)
		}
		if got := s.asked(a); got.PushedBy != "pia" || got.AskedBy != "pia" || got.SHA != long || got.State != dispatch.ApprovalWaiting {
			t.Errorf("%+v", got)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: a, Approve: true, By: "ben", Way: dispatch.ByCommandLine, SHA: long[:7], Reason: "looked at it"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: b, By: "ben", Reason: "not today"}); err != nil {
			t.Fatal(err)
		}
		settle()
		want := []string{a + " token-a approved " + long + " by ben: looked at it", b + " token-b Switchyard.Rejected: rejected by ben: not today"}
		if d := cmp.Diff(want, h.heard()); d != "" {
			t.Error(d)
		}
		if got := s.asked(a); got.ToldAt.IsZero() || got.DecidedBy != "ben" || got.Way != dispatch.ByCommandLine {
			t.Errorf("%+v", got)
		}
		all, err := json.Marshal(s.asked(a))
		if err != nil || strings.Contains(string(all), "token-a") {
			t.Errorf("the token is shown: %s, %v", all, err)
		}
	})
}

// What was decided is told by the next process, once, whether or not the call of
// the one that was killed had its effect.
func TestDecisionsAreToldAfterACrash(t *testing.T) {
	killed := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, when := range map[string]struct {
		before, after func(context.Context) error
		down          time.Duration
	}{
		"before the call": {before: killed},
		"after the call":  {after: killed},
		"after the call, and down until it would have expired": {after: killed, down: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				h := newHolder()
				s := runHolder(t, path, h, dispatch.Config{CallTimeout: 24 * time.Hour})
				x := s.waiting("a", "t", time.Hour)
				h.hold(when.before, when.after)
				if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben"}); err != nil {
					t.Fatal(err)
				}
				settle()
				s.stop()
				time.Sleep(when.down)
				h.hold(nil, nil)
				s = runHolder(t, path, h, dispatch.Config{})
				defer s.stop()
				settle()
				if d := cmp.Diff([]string{x + " t approved a by ben: "}, h.heard()); d != "" {
					t.Error(d)
				}
				if got := s.asked(x); got.State != dispatch.ApprovalApproved || got.ToldAt.IsZero() {
					t.Errorf("%+v", got)
				}
				if again, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben"}); err != nil || again.State != dispatch.ApprovalApproved {
					t.Errorf("repeated: %+v, %v", again, err)
				}
			})
		})
	}
}

func TestEngineThatCannotBeToldIsToldLater(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runHolder(t, path, h, dispatch.Config{})
		defer s.stop()
		x := s.waiting("a", "t", time.Hour)
		h.hold(func(context.Context) error { return &dispatch.BlockedError{Err: errors.New("AccessDeniedException")} }, nil)
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben"}); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := s.asked(x); got.LastError == "" || strings.Contains(got.LastError, "\"t\"") || !got.ToldAt.IsZero() {
			t.Errorf("%+v", got)
		}
		h.hold(nil, nil)
		time.Sleep(10 * time.Minute)
		settle()
		if len(h.heard()) != 1 || s.asked(x).LastError != "" {
			t.Errorf("%q, %+v", h.heard(), s.asked(x))
		}
	})
}

func TestApprovalsExpireAndComeTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runHolder(t, path, h, dispatch.Config{})
		defer s.stop()
		var refused *dispatch.RefusedError
		// The state's own timeout ends it: nothing is left to tell.
		a := s.waiting("a", "t-a", time.Hour)
		time.Sleep(time.Hour)
		h.spend("t-a")
		settle()
		if got, x := s.asked(a), s.get(a); got.State != dispatch.ApprovalExpired || x.WaitsFor != "" {
			t.Errorf("%+v", got)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: a, Approve: true, By: "ben"}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "expired, at ") {
			t.Errorf("%v", err)
		}
		// A state without a timeout of its own fails soon after.
		b := s.waiting("b", "t-b", time.Minute)
		time.Sleep(3 * time.Minute)
		settle()
		if d := cmp.Diff([]string{b + " t-b Switchyard.Expired: nobody decided in time"}, h.heard()); d != "" {
			t.Error(d)
		}
		// The engine stopped waiting before we thought that it would.
		c := s.waiting("c", "t-c", time.Hour)
		h.spend("t-c")
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: c, Approve: true, By: "ben"}); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := s.asked(c); got.State != dispatch.ApprovalExpired || got.DecidedBy != "ben" || !got.ToldAt.IsZero() {
			t.Errorf("%+v", got)
		}
		if len(h.heard()) != 1 {
			t.Errorf("%q", h.heard())
		}
	})
}

func TestApprovalEndsWithItsExecution(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runHolder(t, path, h, dispatch.Config{})
		defer s.stop()
		x := s.waiting("a", "t", time.Hour)
		if err := s.Stop(t.Context(), x, "eve"); err != nil {
			t.Fatal(err)
		}
		settle()
		s.want(map[string]dispatch.State{x: dispatch.StateAborted})
		var refused *dispatch.RefusedError
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben"}); !errors.As(err, &refused) || refused.Reason != "the execution has ended" {
			t.Errorf("%v", err)
		}
		if err := s.AskApproval(t.Context(), dispatch.Ask{Token: "late", ExecutionARN: arnOf(x)}); !errors.Is(err, dispatch.ErrFinished) {
			t.Errorf("asked after the end: %v", err)
		}
		if len(h.heard()) != 0 {
			t.Errorf("told %q", h.heard())
		}
	})
}

func TestQuestionsThatAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := runHolder(t, path, newHolder(), dispatch.Config{})
		defer s.stop()
		s.accept(push("d", "a"))
		settle()
		good := dispatch.Ask{Token: "t", ExecutionARN: arnOf("a-r")}
		for name, change := range map[string]func(*dispatch.Ask){
			"another commit":      func(a *dispatch.Ask) { a.Commit = "b" },
			"another environment": func(a *dispatch.Ask) { a.Environment = "test" },
			"another repository":  func(a *dispatch.Ask) { a.Repository = "acme/web" },
			"no token":            func(a *dispatch.Ask) { a.Token = "" },
			"a long token":        func(a *dispatch.Ask) { a.Token = strings.Repeat("x", 2049) },
			"a script as diff":    func(a *dispatch.Ask) { a.Diff = "javascript:alert(1)" },
			"an empty approver":   func(a *dispatch.Ask) { a.Approvers = []string{"ada", ""} },
			"two years":           func(a *dispatch.Ask) { a.ExpiresIn = 2 * 366 * 24 * time.Hour },
		} {
			bad := good
			change(&bad)
			if err := s.AskApproval(t.Context(), bad); !errors.As(err, new(*dispatch.PermanentError)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, arn := range map[string]string{"unknown": arnOf("none"), "of another machine": strings.Replace(arnOf("a-r"), "deploy", "other", 1), "nothing": ""} {
			if err := s.AskApproval(t.Context(), dispatch.Ask{Token: "t", ExecutionARN: arn}); !errors.Is(err, dispatch.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if all, err := s.Approvals(t.Context(), dispatch.ApprovalFilter{}); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestWhoMayDecide(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := runHolder(t, path, newHolder(), dispatch.Config{NotOwn: true})
		defer s.stop()
		x := s.waiting("a", "t", time.Hour)
		for by, says := range map[string]string{"Ada": "Ada's own", "pia": "pia's own"} {
			if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: by}); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", by, err)
			}
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, By: "ada"}); err != nil {
			t.Errorf("an author may reject their own: %v", err)
		}
		y := s.waiting("b", "t2", time.Hour)
		s.asks(dispatch.Ask{Token: "t3", ExecutionARN: arnOf(y), Title: "Second", Approvers: []string{"Ben"}})
		_, err := s.Decide(t.Context(), dispatch.Decision{Execution: y, Approve: true, By: "ben"})
		second := dispatch.ApprovalID("t3")
		if err == nil || !strings.Contains(err.Error(), "2 approvals") || !strings.Contains(err.Error(), second+" (Second)") {
			t.Errorf("which of two: %v", err)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: y, Approval: second, Approve: true, By: "eve"}); err == nil || !strings.Contains(err.Error(), "not one of those who are asked: Ben") {
			t.Errorf("%v", err)
		}
		if a, err := s.Decide(t.Context(), dispatch.Decision{Execution: y, Approval: second, Approve: true, By: "ben"}); err != nil || a.Title != "Second" {
			t.Errorf("%+v, %v", a, err)
		}
		if x := s.get(y); x.WaitsFor != "Deploy" {
			t.Errorf("it waits for %q", x.WaitsFor)
		}
	})
}

// Hosts name who commits in other ways than who speaks: by any of the names it is
// the same person.
func TestNobodyApprovesTheirOwnByAnotherName(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := runHolder(t, path, newHolder(), dispatch.Config{NotOwn: true})
		defer s.stop()
		ev := push("d-own", long)
		ev.Sender, ev.SenderNames = "pia", []string{"557058:pia", "{7b}"}
		ev.Commits[0].Author, ev.Commits[0].AuthorEmail = "Grace Hopper", "grace@navy.example"
		s.accept(ev)
		settle()
		x := long + "-r"
		s.asks(dispatch.Ask{Token: "t", ExecutionARN: arnOf(x), Title: "Deploy"})
		for name, d := range map[string]dispatch.Decision{
			"the pusher's account":   {By: "557058:PIA"},
			"the pusher's nickname":  {By: "{7b}", ByNames: []string{"pia"}},
			"the author's full name": {By: "ghopper", ByNames: []string{"grace hopper"}},
			"the author's address":   {By: "ghopper", ByNames: []string{"x", "grace@navy.example"}},
		} {
			d.Execution, d.Approve = x, true
			if _, err := s.Decide(t.Context(), d); err == nil || !strings.Contains(err.Error(), "own, and somebody else has to approve it") {
				t.Errorf("%s: %v", name, err)
			}
		}
		all, err := json.Marshal(s.asked(x))
		if err != nil || strings.Contains(string(all), "navy.example") {
			t.Errorf("addresses are shown: %s, %v", all, err)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben", ByNames: []string{"Ben", ""}}); err != nil {
			t.Error(err)
		}
	})
}

// Of a host that names people by login alone, those who ask to approve are looked up;
// and who opened a pull request has it for their own, but not who labelled it.
func TestWhoseOwnAPullRequestIs(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		who := &people{may: map[string]bool{"ghopper": true, "olga": true, "lea": true}, names: map[string][]string{"ghopper": {"Grace Hopper"}}}
		s := runHolder(t, path, h, dispatch.Config{NotOwn: true, PollEvery: time.Hour, CompleteFor: time.Minute}, dispatch.WithCommander(who))
		defer s.stop()
		pushed := push("d1", long)
		pushed.Sender, pushed.Commits[0].Author, pushed.Commits[0].MessageKnown = "somebot", "Grace Hopper", true
		s.accept(pushed)
		pull := push("d2", "b")
		pull.Kind, pull.Action, pull.PullRequest = event.PullRequest, "labeled", &event.PullReq{Number: 1, Author: "olga", AuthorNames: []string{"olga's account"}}
		pull.Ref, pull.Sender, pull.Commits[0].Author = "refs/heads/topic", "lea", "olga"
		s.accept(pull)
		settle()
		s.asks(dispatch.Ask{Token: "t1", ExecutionARN: arnOf(long + "-r"), Title: "Deploy"})
		approve := func(delivery, by, execution string) {
			order := commanded(delivery, event.Order{Verb: event.Approve, SHA: long, Execution: execution})
			order.Sender, order.Command.Comment, order.Command.PullRequest = by, "", 0
			s.accept(order)
			time.Sleep(time.Second)
			settle()
		}
		approve("c1", "ghopper", long+"-r")
		if got := s.asked(long + "-r"); got.State != dispatch.ApprovalWaiting {
			t.Errorf("the author has approved: %+v", got)
		}
		approve("c2", "lea", long+"-r")
		if got := s.asked(long + "-r"); got.DecidedBy != "lea" {
			t.Errorf("%+v", got)
		}
		s.asks(dispatch.Ask{Token: "t2", ExecutionARN: arnOf("b-r"), Title: "Deploy"})
		if got := s.asked("b-r"); got.PushedBy != "" || got.AskedBy != "lea" {
			t.Errorf("a label pushes nothing: %+v", got)
		}
		for _, by := range []string{"olga", "Olga's account"} {
			if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: "b-r", Approve: true, By: by}); err == nil {
				t.Errorf("%s has approved their own", by)
			}
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: "b-r", Approve: true, By: "lea"}); err != nil {
			t.Error(err)
		}
	})
}

// mergedInput plans the merge of each pull request, as routes with checkout: merge do.
type mergedInput struct{ planner }

func (m mergedInput) Plan(ev event.Event) event.Plan {
	plan := m.planner.Plan(ev)
	for i := range plan.Requests {
		plan.Requests[i].Input = []byte(`{"commit":{"sha":"fedcba9876543210"}}`)
	}
	return plan
}

func TestTheMergeThatGoesOutIsApproved(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { return j }, h, mergedInput{oneRoute}, dispatch.Config{})
		defer s.stop()
		s.accept(push("d", long))
		settle()
		x := long + "-r"
		if err := s.AskApproval(t.Context(), dispatch.Ask{Token: "t", ExecutionARN: arnOf(x), Commit: long}); err == nil || !strings.Contains(err.Error(), "fedcba9876543210") {
			t.Errorf("the head is not what goes out: %v", err)
		}
		s.asks(dispatch.Ask{Token: "t", ExecutionARN: arnOf(x), Commit: "fedcba9876543210"})
		if a := s.asked(x); a.SHA != long || a.Merge != "fedcba9876543210" {
			t.Errorf("%+v", a)
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben", SHA: "fedcba9"}); err != nil {
			t.Fatal(err)
		}
		settle()
		if d := cmp.Diff([]string{x + " t approved fedcba9876543210 by ben: "}, h.heard()); d != "" {
			t.Error(d)
		}
	})
}

func TestApproverSeesWhatIsLive(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		s := runHolder(t, path, h, dispatch.Config{PollEvery: time.Second}, dispatch.WithCompare(func(source, repository, from, to string) string {
			return strings.Join([]string{source, repository, from, to}, " ")
		}))
		defer s.stop()
		s.accept(push("d", "old"))
		settle()
		h.finish("old-r", event.Succeeded)
		time.Sleep(5 * time.Second)
		x := s.waiting("new", "t", time.Hour)
		if a := s.asked(x); a.Live != "old" || a.Diff != "github acme/api old new" {
			t.Errorf("%+v", a)
		}
	})
}

func TestCommentsAndButtonsDecide(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		who := &people{may: map[string]bool{"ada": true}}
		s := runHolder(t, path, h, dispatch.Config{PollEvery: time.Hour, CompleteFor: time.Minute}, dispatch.WithCommander(who))
		defer s.stop()
		pull := push("p1", long)
		pull.Kind, pull.PullRequest = event.PullRequest, &event.PullReq{Number: 1}
		pull.Ref, pull.After, pull.Action = "refs/heads/topic", long, "opened"
		s.accept(pull)
		settle()
		x := long + "-r"
		s.accept(commanded("c0", event.Order{Verb: event.Approve}))
		settle()
		s.asks(dispatch.Ask{Token: "t1", ExecutionARN: arnOf(x), Title: "Deploy"})
		eve := commanded("c1", event.Order{Verb: event.Approve})
		eve.Sender = "eve"
		s.accept(eve)
		s.accept(commanded("c2", event.Order{Verb: event.Approve, SHA: "fedcba9"}))
		time.Sleep(time.Second)
		settle()
		if len(h.heard()) != 0 {
			t.Fatalf("told %q", h.heard())
		}
		s.accept(commanded("c3", event.Order{Verb: event.Approve, SHA: long[:8], Reason: "ship it"}))
		time.Sleep(time.Second)
		settle()
		// A button is about the execution and the commit of its check, and about one
		// approval: another press of the first one's, or one that does not tell,
		// decides nothing.
		s.asks(dispatch.Ask{Token: "t2", ExecutionARN: arnOf(x), Title: "Deploy again"})
		press := func(delivery string, verb event.Verb, approval string) {
			button := commanded(delivery, event.Order{Verb: verb, SHA: long, Execution: x, Approval: approval})
			button.Command.Comment, button.Command.PullRequest = "", 0
			s.accept(button)
			time.Sleep(time.Second)
			settle()
		}
		press("c4", event.Approve, dispatch.ShortApproval(dispatch.ApprovalID("t1")))
		press("c5", event.Approve, "")
		press("c6", event.Approve, "000000000000")
		if a := s.asked(x); a.State != dispatch.ApprovalWaiting {
			t.Errorf("what was asked next is decided: %+v", a)
		}
		press("c7", event.Reject, dispatch.ShortApproval(dispatch.ApprovalID("t2")))
		want := []string{x + " t1 approved " + long + " by ada: ship it", x + " t2 Switchyard.Rejected: rejected by ada"}
		if d := cmp.Diff(want, h.heard()); d != "" {
			t.Error(d)
		}
		if a := s.asked(x); a.Way != dispatch.ByButton || a.DecidedBy != "ada" {
			t.Errorf("%+v", a)
		}
		answers := strings.Join(who.answers(), "\n")
		for _, says := range []string{"c-c0: Not done: no execution of commit 0123456789ab waits for approval", "this is about commit fedcba9", "c-c3: - `" + x + "`: `commit 0123456789ab approved by ada on pull request #1`"} {
			if !strings.Contains(answers, says) {
				t.Errorf("nobody was told %q:\n%s", says, answers)
			}
		}
	})
}

// Nobody has decided what was asked only after they spoke: neither with a button that
// was pressed twice, nor while a newer commit came in the place of the one they saw.
func TestDecisionsAreNotAboutWhatIsAskedLater(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := newHolder()
		who := &people{may: map[string]bool{"ada": true}}
		s := runHolder(t, path, h, dispatch.Config{PollEvery: time.Hour, CompleteFor: time.Hour}, dispatch.WithCommander(who))
		defer s.stop()
		x := s.waiting(long, "first", time.Hour)
		who.answer(func(context.Context, string) error { return &dispatch.UnavailableError{Err: errors.New("502")} })
		button := commanded("b1", event.Order{Verb: event.Approve, SHA: long, Execution: x})
		button.Command.Comment, button.Command.PullRequest = "", 0
		s.accept(button)
		settle()
		time.Sleep(10 * time.Second)
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: x, Approve: true, By: "ben"}); err != nil {
			t.Fatal(err)
		}
		s.asks(dispatch.Ask{Token: "second", ExecutionARN: arnOf(x), Title: "Deploy everywhere"})
		who.answer(nil)
		time.Sleep(30 * time.Minute)
		settle()
		if d := cmp.Diff([]string{x + " first approved " + long + " by ben: "}, h.heard()); d != "" {
			t.Error(d)
		}
		if a := s.asked(x); a.State != dispatch.ApprovalWaiting {
			t.Errorf("%+v", a)
		}
	})
}

// The clock of the engine may be ahead of ours.
func TestQuestionFromTheFutureCanBeDecided(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := runHolder(t, path, newHolder(), dispatch.Config{})
		defer s.stop()
		s.accept(push("d", "a"))
		settle()
		if err := s.AskApproval(t.Context(), dispatch.Ask{Token: "t", ExecutionARN: arnOf("a-r"), At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if a := s.asked("a-r"); a.AskedAt.After(time.Now()) {
			t.Errorf("asked at %v, it is %v", a.AskedAt, time.Now())
		}
		if _, err := s.Decide(t.Context(), dispatch.Decision{Execution: "a-r", Approve: true, By: "ben"}); err != nil {
			t.Error(err)
		}
	})
}
