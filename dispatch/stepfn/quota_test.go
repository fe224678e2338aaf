package stepfn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/event"
)

// aws is Step Functions as far as quotas and names go: StartExecution comes out
// of a token bucket, an execution's name is taken for ever, and answers may be
// lost on the way after they were applied.
type aws struct {
	bucket *rate.Limiter
	// fault is asked about each start that was applied; nil answers it.
	fault func() fault

	mu        sync.Mutex
	began     time.Time
	starts    map[string]int // applied, by name
	inputs    map[string]string
	throttled int
	last      time.Time // of the last start that was applied
}

type fault int

const (
	none fault = iota
	lost
	failed
	late
)

func (a *aws) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var in struct{ Name, Input, ExecutionArn string }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	if err := wait(20 * time.Millisecond); err != nil {
		return nil, err
	}
	const prefix = "arn:aws:states:eu-west-1:123456789012:execution:deploy:"
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeExecution") {
		a.mu.Lock()
		defer a.mu.Unlock()
		name := strings.TrimPrefix(in.ExecutionArn, prefix)
		return answer(200, map[string]any{"executionArn": in.ExecutionArn, "name": name, "status": "SUCCEEDED", "startDate": 1, "input": a.inputs[name]}), nil
	}
	if !a.bucket.Allow() {
		a.mu.Lock()
		a.throttled++
		a.mu.Unlock()
		return answer(400, map[string]any{"__type": "ThrottlingException", "message": "Rate exceeded"}), nil
	}
	a.mu.Lock()
	_, taken := a.inputs[in.Name]
	if !taken {
		a.starts[in.Name]++
		a.inputs[in.Name], a.last = in.Input, time.Now()
	}
	what := none
	if a.fault != nil && !taken {
		what = a.fault()
	}
	a.mu.Unlock()
	switch {
	case taken:
		return answer(400, map[string]any{"__type": "ExecutionAlreadyExists", "message": "taken"}), nil
	case what == lost:
		return nil, errors.New("read: connection reset by peer")
	case what == failed:
		return answer(500, map[string]any{"__type": "InternalServerError", "message": "try again"}), nil
	case what == late:
		if err := wait(time.Hour); err != nil {
			return nil, err
		}
	}
	return answer(200, map[string]any{"executionArn": prefix + in.Name, "startDate": 1}), nil
}

func answer(status int, body map[string]any) *http.Response {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
	return w.Result()
}

// every starts one execution for each commit.
type every struct{}

func (every) Plan(ev event.Event) (plan event.Plan) {
	for _, c := range ev.Commits {
		plan.Requests = append(plan.Requests, event.Request{
			ID: "api-" + c.SHA, Route: "branches", StateMachine: "deploy", Source: ev.Source, Repository: ev.Repository.FullName, Ref: ev.Ref,
			Kind: ev.Kind, Commit: c, Input: []byte(`{"commit":{"sha":"` + c.SHA + `"},"source":{"provider":"github","repository":"acme/api"}}`),
		})
	}
	return plan
}

// A push of 5,000 commits is started as fast as the account's quota lets it,
// each commit once, whatever becomes of the answers.
func TestFanOutUsesTheQuotaAndStartsEachOnce(t *testing.T) {
	const commits, burst, perSecond = 5000, 1300, 300
	best := time.Duration(commits-burst) * time.Second / perSecond
	for _, row := range []struct {
		name   string
		faults []fault
		used   float64 // the least share of the quota
	}{
		{"all is well", nil, 0.95},
		{"answers never come", []fault{late}, 0.95},
		{"answers are lost, come as 500, or never", []fault{lost, failed, late}, 0.95},
	} {
		if raceDetector && len(row.faults) < 3 {
			continue // the last has it all, and this takes long
		}
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, 2))
				service := &aws{bucket: rate.NewLimiter(perSecond, burst), starts: map[string]int{}, inputs: map[string]string{}, began: time.Now()}
				faults := 0
				if len(row.faults) > 0 {
					service.fault = func() fault {
						if random.IntN(50) > 0 {
							return none
						}
						faults++
						return row.faults[random.IntN(len(row.faults))]
					}
				}
				fanOut(t, path, service, commits)
				for name, n := range service.starts {
					if n != 1 {
						t.Errorf("%s was started %d times", name, n)
					}
				}
				if len(service.starts) != commits {
					t.Errorf("%d of %d commits were started", len(service.starts), commits)
				}
				// What comes again, to learn what became of it, takes a token too.
				again := faults + service.throttled
				allowed := best + time.Duration(again)*time.Second/perSecond
				took := service.last.Sub(service.began)
				share := allowed.Seconds() / took.Seconds()
				t.Logf("%d commits in %v, %.1f%% of what the quota allows; %d answers lost, %d throttled", commits, took.Round(time.Millisecond), 100*share, faults, service.throttled)
				if share < row.used {
					t.Errorf("used %.1f%% of the quota, want at least %.0f%%", 100*share, 100*row.used)
				}
				if len(row.faults) > 0 && faults < 50 {
					t.Errorf("only %d faults happened", faults)
				}
			})
		})
	}
}

// fanOut dispatches one push until all its executions have started.
func fanOut(t *testing.T, path string, service http.RoundTripper, commits int) {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := stepfn.New(stepfn.One(stepfn.DialEmbedded(service)), stepfn.Config{StateMachines: map[string]stepfn.Machine{
		"deploy": {ARN: "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	quota := dispatch.Quota{Name: "eu-west-1", Rate: 300, Burst: 1300}
	d, err := dispatch.New(j, client, every{}, dispatch.Config{MaxStarts: 32, Quota: func(string) dispatch.Quota { return quota }, PollEvery: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	ev := event.Event{Source: "github", DeliveryID: "d", Kind: event.Push, Ref: "refs/heads/main", Repository: event.Repository{FullName: "acme/api"}}
	for i := range commits {
		ev.Commits = append(ev.Commits, event.Commit{SHA: fmt.Sprintf("%040x", i)})
	}
	if _, err := d.Accept(ctx, ev); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Minute); ; {
		time.Sleep(time.Second)
		if depth, err := j.Unfinished(ctx); err == nil && depth.Ready == 0 && depth.Deliveries == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Error("not all had started after ten minutes")
			break
		}
	}
	cancel()
	if err := errors.Join(<-done, j.Close()); err != nil {
		t.Error(err)
	}
}
