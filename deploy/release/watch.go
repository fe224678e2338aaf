package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// maxBlind is how many looks in a row may fail: what can't be seen is then taken for
// bad.
const maxBlind = 5

// Seen is what one look has seen of the new version.
type Seen struct {
	Since time.Duration
	// Ended are its executions that succeeded, failed or timed out, and Failed those
	// that did not succeed.
	Ended, Failed int
}

// alarmsBefore lists the alarms that are on before anything is moved.
func (r *release) alarmsBefore(ctx context.Context) (on []string, err error) {
	if len(r.Alarms) == 0 {
		return nil, nil
	}
	states, err := r.alarmStates(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range r.Alarms {
		if states[name] == watched.StateValueAlarm {
			on = append(on, name)
		}
	}
	return on, nil
}

// alarmStates are those of the config's alarms, by their names. One that does not
// exist is an error.
func (r *release) alarmStates(ctx context.Context) (map[string]watched.StateValue, error) {
	states := map[string]watched.StateValue{}
	in := &cloudwatch.DescribeAlarmsInput{AlarmNames: r.Alarms, AlarmTypes: []watched.AlarmType{watched.AlarmTypeMetricAlarm, watched.AlarmTypeCompositeAlarm}}
	for {
		out, err := r.alarms.DescribeAlarms(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read the alarms: %w", err)
		}
		for _, a := range out.MetricAlarms {
			states[aws.ToString(a.AlarmName)] = a.StateValue
		}
		for _, a := range out.CompositeAlarms {
			states[aws.ToString(a.AlarmName)] = a.StateValue
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	for _, name := range r.Alarms {
		if _, known := states[name]; !known {
			return nil, fmt.Errorf("there is no alarm named %q", name)
		}
	}
	return states, nil
}

// watch returns why a version is to be taken back; "" when all was well.
func (r *release) watch(ctx context.Context, version string, begun time.Time, ignored []string) (why string) {
	look := time.NewTicker(r.Look)
	defer look.Stop()
	blind := 0
	for {
		select {
		case <-ctx.Done():
			return "the release was interrupted"
		case <-look.C:
		}
		seen, why, err := r.look(ctx, version, begun, ignored)
		switch {
		case ctx.Err() != nil:
			return "the release was interrupted"
		case err != nil:
			if blind++; blind == maxBlind {
				return fmt.Sprintf("how it does could not be seen: %v", err)
			}
			continue
		case why != "":
			return why
		}
		blind = 0
		if r.Seen != nil {
			r.Seen(seen)
		}
		if seen.Since < r.Watch {
			continue
		}
		if seen.Ended < r.MinEnded {
			return fmt.Sprintf("%d of its executions have ended in %s, too few to judge by", seen.Ended, r.Watch)
		}
		return ""
	}
}

// look reads alarms and executions once.
func (r *release) look(ctx context.Context, version string, begun time.Time, ignored []string) (seen Seen, why string, err error) {
	if len(r.Alarms) > 0 {
		states, err := r.alarmStates(ctx)
		if err != nil {
			return seen, "", err
		}
		var on []string
		for _, name := range r.Alarms {
			if states[name] == watched.StateValueAlarm && !slices.Contains(ignored, name) {
				on = append(on, name)
			}
		}
		if len(on) > 0 {
			return seen, "alarm " + strings.Join(on, ", "), nil
		}
	}
	seen, err = r.executions(ctx, version, begun)
	if err != nil {
		return seen, "", err
	}
	if seen.Ended >= max(1, r.MinEnded) && float64(seen.Failed) > r.MaxFailed*float64(seen.Ended) {
		return seen, fmt.Sprintf("%d of %d executions failed", seen.Failed, seen.Ended), nil
	}
	return seen, "", nil
}

// executions counts those that the alias has started with a version since begun.
func (r *release) executions(ctx context.Context, version string, begun time.Time) (seen Seen, err error) {
	seen.Since = time.Since(begun)
	pages := sfn.NewListExecutionsPaginator(r.engine, &sfn.ListExecutionsInput{StateMachineArn: &r.alias, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return seen, fmt.Errorf("list the executions of %s: %w", r.Alias, err)
		}
		for _, x := range page.Executions { // the newest first
			// Step Functions' clock may be a minute behind ours.
			if x.StartDate != nil && x.StartDate.Before(begun.Add(-time.Minute)) {
				return seen, nil
			}
			if aws.ToString(x.StateMachineVersionArn) != version {
				continue
			}
			switch x.Status {
			case types.ExecutionStatusSucceeded:
				seen.Ended++
			case types.ExecutionStatusFailed, types.ExecutionStatusTimedOut:
				seen.Ended++
				seen.Failed++
			case types.ExecutionStatusRunning, types.ExecutionStatusPendingRedrive, types.ExecutionStatusAborted:
				// Not ended by itself.
			}
		}
	}
	return seen, nil
}
