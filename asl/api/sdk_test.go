package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"switchyard/asl/api"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

func client(rt http.RoundTripper, endpoint string) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), HTTPClient: &http.Client{Transport: rt},
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""), RetryMaxAttempts: 1,
	})
}

// TestSDK runs a life cycle through the SDK, whose decoding checks ours: over
// a socket, and in process.
func TestSDK(t *testing.T) {
	s := serve(t)
	web := httptest.NewServer(s)
	defer web.Close()
	for name, c := range map[string]*sfn.Client{
		"socket":     client(web.Client().Transport, web.URL),
		"in process": client(s.Transport(), "http://engine.invalid"),
	} {
		t.Run(name, func(t *testing.T) { lifeCycle(t, c, map[string]string{"socket": "a", "in process": "b"}[name]) })
	}
}

func lifeCycle(t *testing.T, c *sfn.Client, name string) {
	ctx := t.Context()
	created, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: &name, RoleArn: aws.String(role), Definition: aws.String(`{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{
			"StartAt":"I","States":{"I":{"Type":"Wait","Seconds":0,"End":true}}},"Next":"W"},"W":{"Type":"Wait","SecondsPath":"$[0]","End":true}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := created.StateMachineArn
	long, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: arn, Name: aws.String("long"), Input: aws.String(`[3600]`)})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(*long.StartDate); d < 0 || d > time.Minute {
		t.Errorf("started %v ago", d)
	}
	short, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: arn, Name: aws.String("short"), Input: aws.String(`[0]`)})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var d *sfn.DescribeExecutionOutput
	for range 10_000 {
		if d, err = c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: short.ExecutionArn}); err != nil {
			t.Fatal(err)
		}
		if d.Status != types.ExecutionStatusRunning {
			break
		}
		<-tick.C
	}
	if d.Status != types.ExecutionStatusSucceeded || aws.ToString(d.Output) != `[0]` || d.StopDate == nil {
		t.Errorf("described as %+v", d)
	}
	history, err := c.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: short.ExecutionArn})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range history.Events {
		switch ev.Type {
		case types.HistoryEventTypeMapStateStarted:
			if ev.MapStateStartedEventDetails == nil || ev.MapStateStartedEventDetails.Length != 1 {
				t.Errorf("event %+v", ev)
			}
		case types.HistoryEventTypeMapIterationStarted:
			if ev.MapIterationStartedEventDetails == nil || aws.ToString(ev.MapIterationStartedEventDetails.Name) != "M" {
				t.Errorf("event %+v", ev)
			}
		}
	}
	stopped, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: long.ExecutionArn, Error: aws.String("E"), Cause: aws.String("C")})
	if err != nil || stopped.StopDate == nil {
		t.Fatalf("stop: %+v, %v", stopped, err)
	}
	listed, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: arn, StatusFilter: types.ExecutionStatusAborted})
	if err != nil || len(listed.Executions) != 1 || aws.ToString(listed.Executions[0].Name) != "long" {
		t.Errorf("aborted: %+v, %v; want long", listed, err)
	}
	_, err = c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: arn, Name: aws.String("short"), Input: aws.String(`[0]`)})
	if exists := (*types.ExecutionAlreadyExists)(nil); !errors.As(err, &exists) {
		t.Errorf("start with a closed execution's name: %v, want ExecutionAlreadyExists", err)
	}
	of, err := c.DescribeStateMachineForExecution(ctx, &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: short.ExecutionArn})
	if err != nil || aws.ToString(of.StateMachineArn) != *arn {
		t.Errorf("state machine of the execution: %+v, %v", of, err)
	}
}

func TestTransportEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client(serve(t).Transport(), "http://engine.invalid").ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("call with an ended context: %v, want context.Canceled", err)
	}
}

// cpuTime is the user and system time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStartExecution measures a durable StartExecution, 16 at once, of an
// execution that waits, on an empty store and on one that holds 100,000. The
// request is made by hand: the SDK's own cost is several times the engine's.
func BenchmarkStartExecution(b *testing.B) {
	for _, held := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("holding%d", held), func(b *testing.B) {
			st, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "engine.db"))
			if err != nil {
				b.Fatal(err)
			}
			fill(b, st, held)
			e, err := engine.New(st, engine.Config{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := api.New(e)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() {
				if err := e.Run(ctx); err != nil {
					b.Error(err)
				}
			})
			defer func() { cancel(); running.Wait(); st.Close() }()
			do(b, s, "CreateStateMachine", m{"name": "n", "definition": waiting, "roleArn": role})
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						do(b, s, "StartExecution", m{"stateMachineArn": machineARN + "n", "name": fmt.Sprint("x", i), "input": `{"environment":"dev","commit":{"sha":"0123456789abcdef0123456789abcdef01234567"}}`})
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// fill puts closed executions into the store.
func fill(b *testing.B, st store.Store, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for id := int64(1); id <= int64(n); id++ {
		wg.Add(2)
		done := func(err error) {
			if err != nil {
				b.Error(err)
			}
			wg.Done()
		}
		st.Apply(&store.Write{Create: &store.Execution{ID: id, Machine: "n", Name: fmt.Sprint("old", id), Revision: "r", Started: id, Input: []byte(`{"a":1}`)}, Exec: id, Done: done})
		st.Apply(&store.Write{Exec: id, History: &store.Segment{First: 2, Last: 9, Body: make([]byte, 200)}, End: &store.Ending{Status: store.Succeeded, Stopped: id}, Done: done})
	}
	wg.Wait()
}
