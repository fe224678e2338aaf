//go:build unix

package pipelines_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/deploy/pipelines"
	"switchyard/internal/awstest"
)

// called records calls of a version by the alias, now.
func (f *fleet) called(version string, calls, errors float64) {
	f.t.Helper()
	of := []watched.Dimension{
		{Name: aws.String("FunctionName"), Value: aws.String("api")},
		{Name: aws.String("Resource"), Value: aws.String("api:live")},
		{Name: aws.String("ExecutedVersion"), Value: &version},
	}
	var data []watched.MetricDatum
	for name, value := range map[string]float64{"Invocations": calls, "Errors": errors, "Duration": 80} {
		data = append(data, watched.MetricDatum{MetricName: &name, Value: &value, Timestamp: aws.Time(time.Now()), Dimensions: of})
	}
	if _, err := f.alarms.PutMetricData(f.t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/Lambda"), MetricData: data}); err != nil {
		f.t.Fatal(err)
	}
}

// A version is promoted or taken back by what its metrics tell, and taken back on
// request.
func TestCanaryGoesByTheMetrics(t *testing.T) {
	t.Parallel()
	url := awstest.Ministack(t)
	f := newFleet(t, url)
	client := startEngine(t, url, map[string]string{"canary": strings.Replace(string(pipelines.Canary), `"lookSeconds": 60`, `"lookSeconds": 1`, 1)})
	start := func(name, settings string) (arn string) {
		started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(prefix + "canary"), Name: &name, Input: aws.String(`{"canary": {"function": "api", ` + settings + `}}`)})
		if err != nil {
			t.Fatal(err)
		}
		return *started.ExecutionArn
	}
	// while calls come in until the execution has ended.
	while := func(arn, version string, calls, errors float64) (end string) {
		until(t, arn+" has ended", func() bool {
			f.called(version, calls, errors)
			out, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
			if err != nil {
				t.Fatal(err)
			}
			end = aws.ToString(out.Output) + aws.ToString(out.Error) + " " + aws.ToString(out.Cause)
			return out.Status != "RUNNING"
		})
		return end
	}
	const steps = `"steps": [{"weight": 0.2, "minutes": 0.01}], "min_calls": 50`
	for _, step := range []struct {
		name, code, settings, version string
		calls, errors                 float64
		leads, end                    string
	}{
		{"first", "", steps, "1", 0, 0, "1", `"path":"created"`},
		{"well", "second", steps, "2", 100, 0, "2", `"path":"promoted"`},
		{"bad", "third", steps, "3", 100, 9, "2", "Switchyard.RolledBack"},
		{"request", "", `"roll_back": true`, "1", 0, 0, "1", `"path":"rolled_back"`},
	} {
		if step.code != "" {
			f.update(step.code)
		}
		end := while(start(step.name, step.settings), step.version, step.calls, step.errors)
		if !strings.Contains(end, step.end) {
			t.Errorf("%s: %s, want %s", step.name, end, step.end)
		}
		if at := f.alias(); at != step.leads {
			t.Errorf("%s: the alias leads to %s, want %s", step.name, at, step.leads)
		}
	}
}
