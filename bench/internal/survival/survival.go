// Package survival starts executions on a real switchyard process, kills the
// process with SIGKILL at random instants while they are in Wait, Task, Map
// and task token states, and counts how they end: each as it would have, and
// no state of it left twice.
package survival

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"golang.org/x/sync/errgroup"
)

const prefix = "arn:aws:states:us-east-1:123456789012:"

// kind is a state machine that can be interrupted, with how an execution of it
// ends: its output, and how often each of its states is left.
type kind struct {
	name, definition, output string
	left                     map[string]int
}

const input = `{"n":7,"items":[1,2,3,4,5,6]}`

var kinds = []kind{
	{
		"wait", `{"StartAt":"Sleep","States":{
			"Sleep":{"Type":"Wait","Seconds":3,"Next":"Done"},
			"Done":{"Type":"Pass","OutputPath":"$.n","End":true}}}`,
		`7`, map[string]int{"Sleep": 1, "Done": 1},
	},
	{
		"task", `{"StartAt":"First","States":{
			"First":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:nap","Next":"Second"},
			"Second":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"nap","Payload":{"n.$":"$.n"}},"OutputPath":"$.Payload","End":true}}}`,
		`{"n":7}`, map[string]int{"First": 1, "Second": 1},
	},
	{
		"map", `{"StartAt":"Each","States":{"Each":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":3,"End":true,"ItemProcessor":{"StartAt":"Pause","States":{
			"Pause":{"Type":"Wait","Seconds":1,"Next":"Mark"},
			"Mark":{"Type":"Pass","Parameters":{"n.$":"$"},"End":true}}}}}}`,
		`[{"n":1},{"n":2},{"n":3},{"n":4},{"n":5},{"n":6}]`, map[string]int{"Each": 1, "Pause": 6, "Mark": 6},
	},
	{
		"token", `{"StartAt":"Ask","States":{
			"Ask":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"keep","Payload":{"token.$":"$$.Task.Token"}},"HeartbeatSeconds":600,"End":true}}}`,
		`{"answer":42}`, map[string]int{"Ask": 1},
	},
}

// Config is what a run does.
type Config struct {
	// Executions are started, a quarter of each kind, while the process is
	// killed Kills times.
	Executions, Kills int
	Seed              uint64
	// Progress is told what happens; it may be nil.
	Progress func(format string, args ...any)
}

// Report is how a run ended.
type Report struct {
	Executions, Kills int
	// Open executions were running when the process was killed, in all.
	Open int
	// Wrong are the executions that did not end as they would have, each with
	// what is wrong with it.
	Wrong []string
	Took  time.Duration
}

// Run does what cfg asks for, with all its files in dir.
func Run(ctx context.Context, dir string, cfg Config) (*Report, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, ...any) {}
	}
	p, err := newProcess(ctx, dir)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	random := rand.New(rand.NewPCG(cfg.Seed, 7))
	report := &Report{Executions: cfg.Executions, Kills: cfg.Kills}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = p.kill() }()
	r := &runner{client: p.client(), tokens: p.tokens}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.startAll(gctx, cfg.Executions) })
	holders, stopHolders := context.WithCancel(gctx)
	defer stopHolders()
	g.Go(func() error { return r.answerTokens(holders) })
	g.Go(func() error {
		for n := range cfg.Kills {
			if err := pause(gctx, time.Duration(200+random.IntN(1200))*time.Millisecond); err != nil {
				return err
			}
			open, err := r.open(gctx)
			if err != nil {
				return err
			}
			if err := p.kill(); err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			report.Open += open
			cfg.Progress("kill %d with %d executions open", n+1, open)
			if err := p.start(gctx); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		defer stopHolders()
		var err error
		report.Wrong, err = r.check(gctx, cfg.Executions)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	report.Took = time.Since(begin)
	return report, p.stop()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// runner is a client of a process that comes and goes.
type runner struct {
	client *sfn.Client
	tokens string
}

func name(i int) (k *kind, execution string) {
	k = &kinds[i%len(kinds)]
	return k, fmt.Sprintf("%s-%d", k.name, i)
}

// retry calls f until the process was there to answer. An answer of the API
// other than "not now" ends it.
func retry(ctx context.Context, f func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := f(once)
		cancel()
		var answer interface{ ErrorCode() string }
		if err == nil || errors.As(err, &answer) && answer.ErrorCode() != "ServiceUnavailable" {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// startAll starts n executions, each until it was answered for: a start that
// the kill left without an answer is repeated under the same name.
func (r *runner) startAll(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			k, execution := name(i)
			err := retry(ctx, func(ctx context.Context) error {
				_, err := r.client.StartExecution(ctx, &sfn.StartExecutionInput{
					StateMachineArn: aws.String(prefix + "stateMachine:" + k.name), Name: &execution, Input: aws.String(input),
				})
				return err
			})
			var taken *types.ExecutionAlreadyExists
			if errors.As(err, &taken) { // it has ended before the start was repeated
				err = nil
			}
			return err
		})
		if err := pause(ctx, time.Millisecond); err != nil {
			break
		}
	}
	return g.Wait()
}

// answerTokens gives back every token that the function keep wrote down, late
// enough for a kill to come between.
func (r *runner) answerTokens(ctx context.Context) error {
	used := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(700 * time.Millisecond):
		}
		files, err := os.ReadDir(r.tokens)
		if err != nil {
			return err
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".new") {
				continue // it is being written
			}
			text, err := os.ReadFile(filepath.Join(r.tokens, f.Name()))
			if err != nil {
				return err
			}
			var kept struct{ Token string }
			if json.Unmarshal(text, &kept) != nil || kept.Token == "" || used[kept.Token] {
				continue // written again after a kill
			}
			err = retry(ctx, func(ctx context.Context) error {
				_, err := r.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &kept.Token, Output: aws.String(`{"answer":42}`)})
				return err
			})
			var gone *types.TaskTimedOut // taken before the kill, though never answered
			if err != nil && !errors.As(err, &gone) && ctx.Err() == nil {
				return fmt.Errorf("give a token back: %w", err)
			}
			used[kept.Token] = true
		}
	}
}

// open counts the executions that run.
func (r *runner) open(ctx context.Context) (int, error) {
	n := 0
	for _, k := range kinds {
		err := retry(ctx, func(ctx context.Context) error {
			out, err := r.client.ListExecutions(ctx, &sfn.ListExecutionsInput{
				StateMachineArn: aws.String(prefix + "stateMachine:" + k.name), StatusFilter: types.ExecutionStatusRunning, MaxResults: 1000,
			})
			if err == nil {
				n += len(out.Executions)
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// check waits for every execution to end and says what is wrong with any.
func (r *runner) check(ctx context.Context, n int) ([]string, error) {
	var mu sync.Mutex
	var wrong []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			k, execution := name(i)
			problem, err := r.checkOne(ctx, k, prefix+"execution:"+k.name+":"+execution)
			if problem != "" {
				mu.Lock()
				wrong = append(wrong, execution+": "+problem)
				mu.Unlock()
			}
			return err
		})
	}
	return wrong, g.Wait()
}

func (r *runner) checkOne(ctx context.Context, k *kind, arn string) (problem string, err error) {
	var x *sfn.DescribeExecutionOutput
	for x == nil || x.Status == types.ExecutionStatusRunning {
		err := retry(ctx, func(ctx context.Context) (err error) {
			x, err = r.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
			return err
		})
		var missing *types.ExecutionDoesNotExist // it is still to be started
		if err != nil && !errors.As(err, &missing) {
			return "", fmt.Errorf("describe %s: %w", arn, err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return "", fmt.Errorf("%s has not ended: %w", arn, err)
		}
	}
	if x.Status != types.ExecutionStatusSucceeded || aws.ToString(x.Output) != k.output {
		return fmt.Sprintf("%s with %s%s %s, want SUCCEEDED with %s", x.Status, aws.ToString(x.Output), aws.ToString(x.Error), aws.ToString(x.Cause), k.output), nil
	}
	var history *sfn.GetExecutionHistoryOutput
	err = retry(ctx, func(ctx context.Context) (err error) {
		history, err = r.client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("history of %s: %w", arn, err)
	}
	left := map[string]int{}
	for i, ev := range history.Events {
		if ev.Id != int64(i+1) {
			return fmt.Sprintf("event %d of its history has ID %d", i+1, ev.Id), nil
		}
		if d := ev.StateExitedEventDetails; d != nil {
			left[aws.ToString(d.Name)]++
		}
	}
	for state, want := range k.left {
		if left[state] != want {
			return fmt.Sprintf("state %s was left %d times, want %d", state, left[state], want), nil
		}
	}
	return "", nil
}

func newClient(address string) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + address),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1,
	})
}
