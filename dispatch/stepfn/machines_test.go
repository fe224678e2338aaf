package stepfn

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places is a Dialer that remembers which place each API was made for.
type places struct {
	t      *testing.T
	mu     sync.Mutex
	dialed []Place
	fakes  map[Place]*fakeAPI
}

func (p *places) dial(at Place) (API, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialed = append(p.dialed, at)
	f := &fakeAPI{t: p.t, answers: map[string]answer{
		"StartExecution":    {body: fmt.Sprintf(`{"executionArn":"arn:aws:states:%s:123456789012:execution:m:x","startDate":1}`, at.Region)},
		"DescribeExecution": {body: `{"name":"x","status":"RUNNING","startDate":1}`},
		"StopExecution":     {body: `{"stopDate":1}`},
	}}
	p.fakes[at] = f
	return DialEmbedded(handlerTransport{f}), nil
}

// calls says how many calls each place got.
func (p *places) calls() map[Place]int {
	n := map[Place]int{}
	for at, f := range p.fakes {
		n[at] = len(f.seen())
	}
	return n
}

func TestCallsGoWhereTheStateMachineIs(t *testing.T) {
	arn := func(region, account, name string) string {
		return "arn:aws:states:" + region + ":" + account + ":stateMachine:" + name
	}
	p := &places{t: t, fakes: map[Place]*fakeAPI{}}
	const role, other = "arn:aws:iam::222222222222:role/deploy", "arn:aws:iam::222222222222:role/audit"
	c, err := New(p.dial, Config{StateMachines: map[string]Machine{
		"here":     {ARN: arn("eu-west-1", "111111111111", "here")},
		"alias":    {ARN: arn("eu-west-1", "111111111111", "here:live")},
		"far":      {ARN: arn("us-east-1", "111111111111", "far")},
		"theirs":   {ARN: arn("eu-west-1", "222222222222", "theirs:3"), Role: role, ExternalID: "e"},
		"theirs-2": {ARN: arn("eu-west-1", "222222222222", "second"), Role: other},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ireland, virginia := Place{Region: "eu-west-1"}, Place{Region: "us-east-1"}
	account, audit := Place{Region: "eu-west-1", Role: role, ExternalID: "e"}, Place{Region: "eu-west-1", Role: other}
	if len(p.dialed) != 4 {
		t.Errorf("dialed %v, want each of the four places once", p.dialed)
	}

	for _, name := range []string{"here", "alias", "far", "theirs", "theirs-2"} {
		if _, err := c.Start(t.Context(), name, "x", []byte("{}")); err != nil {
			t.Errorf("start of %s: %v", name, err)
		}
	}
	want := map[Place]int{ireland: 2, virginia: 1, account: 1, audit: 1}
	if diff := cmp.Diff(want, p.calls()); diff != "" {
		t.Errorf("starts by place (-want +got):\n%s", diff)
	}
	for _, e := range []string{
		"arn:aws:states:eu-west-1:111111111111:execution:here:x",
		"arn:aws:states:us-east-1:111111111111:execution:far:x",
		"arn:aws:states:eu-west-1:222222222222:execution:theirs:x",
		"arn:aws:states:eu-west-1:222222222222:execution:second:x",
		"arn:aws:states:us-east-1:111111111111:execution:removed:x", // from before a restart
	} {
		if _, err := c.Describe(t.Context(), e); err != nil {
			t.Errorf("describe %s: %v", e, err)
		}
		if err := c.Stop(t.Context(), e, "", ""); err != nil {
			t.Errorf("stop %s: %v", e, err)
		}
	}
	want = map[Place]int{ireland: 4, virginia: 5, account: 3, audit: 3}
	if diff := cmp.Diff(want, p.calls()); diff != "" {
		t.Errorf("all calls by place (-want +got):\n%s", diff)
	}

	// A reload keeps what it can, and gives a state machine its new role.
	apply, err := c.PrepareStateMachines(map[string]Machine{
		"theirs": {ARN: arn("eu-west-1", "222222222222", "theirs:3"), Role: other},
		"far":    {ARN: arn("us-east-1", "111111111111", "far")},
	})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	if len(p.dialed) != 4 {
		t.Errorf("dialed %v after a reload that needs no new place", p.dialed)
	}
	if _, err := c.Describe(t.Context(), "arn:aws:states:eu-west-1:222222222222:execution:theirs:x"); err != nil {
		t.Error(err)
	}
	if got := len(p.fakes[audit].seen()); got != 4 {
		t.Errorf("%d calls with the new role, want 4", got)
	}
}
