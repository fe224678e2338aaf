package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"golang.org/x/sync/errgroup"
)

// Execution is one execution as the engine, not the journal, knows it.
type Execution struct {
	ARN, Name      string
	Started, Ended time.Time
}

// Executions lists all executions of the one state machine, asked from the
// engine over its Step Functions API: a witness apart from the journal.
func (s *Server) Executions(ctx context.Context) ([]Execution, error) {
	return s.newest(ctx, math.MaxInt)
}

// newest lists the n executions that were started last, or somewhat more.
func (s *Server) newest(ctx context.Context, n int) ([]Execution, error) {
	client := s.client()
	machines, err := client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
	if err != nil {
		return nil, fmt.Errorf("list state machines: %w", err)
	}
	var found []Execution
	for _, m := range machines.StateMachines {
		pages := sfn.NewListExecutionsPaginator(client, &sfn.ListExecutionsInput{StateMachineArn: m.StateMachineArn, MaxResults: 1000})
		for pages.HasMorePages() && len(found) < n {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("list executions: %w", err)
			}
			for _, e := range page.Executions {
				found = append(found, Execution{aws.ToString(e.ExecutionArn), aws.ToString(e.Name), aws.ToTime(e.StartDate), aws.ToTime(e.StopDate)})
			}
		}
	}
	return found, nil
}

// StartAlone starts n executions straight at the engine, 16 at a time, and
// returns how long that took.
func (s *Server) StartAlone(ctx context.Context, n int) (time.Duration, error) {
	client := s.client()
	machines, err := client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
	if err != nil {
		return 0, fmt.Errorf("list state machines: %w", err)
	}
	if len(machines.StateMachines) != 1 {
		return 0, fmt.Errorf("the engine holds %d state machines, want 1", len(machines.StateMachines))
	}
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			_, err := client.StartExecution(ctx, &sfn.StartExecutionInput{
				StateMachineArn: machines.StateMachines[0].StateMachineArn,
				Name:            aws.String(fmt.Sprintf("alone-%d", i)),
				Input:           aws.String(`{}`),
			})
			return err
		})
	}
	err = g.Wait()
	return time.Since(start), err
}

func (s *Server) client() *sfn.Client {
	return sfn.New(sfn.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://" + s.Engine),
		Credentials:  credentials.NewStaticCredentialsProvider("bench", "bench", ""),
	})
}

// Await waits until the newest executions include all the named ones, and
// returns those.
func (s *Server) Await(ctx context.Context, names []string) ([]Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	want := make(map[string]bool, len(names))
	for _, name := range names {
		want[name] = true
	}
	for {
		all, err := s.newest(ctx, len(names))
		if err != nil {
			return nil, err
		}
		mine := slices.DeleteFunc(all, func(e Execution) bool { return !want[e.Name] })
		if len(mine) == len(want) {
			return mine, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d executions started: %w", len(mine), len(want), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Settle waits until the engine holds want executions or no new one appears
// for a while, and returns them all.
func (s *Server) Settle(ctx context.Context, want int, progress func(have int)) ([]Execution, error) {
	const patience = 20 * time.Second
	last, since := -1, time.Now()
	for {
		all, err := s.Executions(ctx)
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(len(all))
		}
		if len(all) >= want {
			return all, nil
		}
		if len(all) != last {
			last, since = len(all), time.Now()
		} else if time.Since(since) > patience {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return all, ctx.Err()
		case <-time.After(min(time.Second, time.Duration(100+len(all)/100)*time.Millisecond)):
		}
	}
}

// CommitOf reads the commit from an execution's input.
func (s *Server) CommitOf(ctx context.Context, e Execution) (string, error) {
	out, err := s.client().DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &e.ARN})
	if err != nil {
		return "", fmt.Errorf("describe %s: %w", e.Name, err)
	}
	var input struct {
		Commit struct{ SHA string }
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.Input)), &input); err != nil {
		return "", fmt.Errorf("input of %s: %w", e.Name, err)
	}
	return input.Commit.SHA, nil
}
