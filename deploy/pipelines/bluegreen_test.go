//go:build unix

package pipelines_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/deploy/pipelines"
	"switchyard/internal/awstest"
)

// fleet is a Lambda with an alias, and alarms, that we did not write.
type fleet struct {
	t         *testing.T
	functions *lambda.Client
	alarms    *cloudwatch.Client
}

func newFleet(t *testing.T, url string) *fleet {
	t.Helper()
	f := &fleet{
		t:         t,
		alarms:    cloudwatch.NewFromConfig(somebody, func(o *cloudwatch.Options) { o.BaseEndpoint = &url }),
		functions: lambda.NewFromConfig(somebody, func(o *lambda.Options) { o.BaseEndpoint = &url }),
	}
	if _, err := f.functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("api"), Role: aws.String("arn:aws:iam::123456789012:role/r"), Runtime: types.RuntimePython312,
		Handler: aws.String("api.handle"), Code: &types.FunctionCode{ZipFile: program(t, "first")},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.alarms.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("api-errors"), Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Errors"), Statistic: watched.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10), ComparisonOperator: watched.ComparisonOperatorGreaterThanThreshold,
	}); err != nil {
		t.Fatal(err)
	}
	f.alarm(watched.StateValueOk)
	return f
}

// program is a function's code, which says who it is.
func program(t *testing.T, name string) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("api.py")
	if err == nil {
		_, err = fmt.Fprintf(w, "def handle(event, context):\n    return %q\n", name)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// update gives the function other code, without a version.
func (f *fleet) update(name string) {
	f.t.Helper()
	if _, err := f.functions.UpdateFunctionCode(f.t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("api"), ZipFile: program(f.t, name)}); err != nil {
		f.t.Fatal(err)
	}
}

// alarm switches the alarm.
func (f *fleet) alarm(state watched.StateValue) {
	f.t.Helper()
	if _, err := f.alarms.SetAlarmState(f.t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("api-errors"), StateValue: state, StateReason: aws.String("12 of 10")}); err != nil {
		f.t.Fatal(err)
	}
}

// alias is where the alias leads to: "7", or "7 and 8: 0.1".
func (f *fleet) alias() string {
	f.t.Helper()
	out, err := f.functions.GetAlias(f.t.Context(), &lambda.GetAliasInput{FunctionName: aws.String("api"), Name: aws.String("live")})
	if err != nil {
		f.t.Fatal(err)
	}
	leads := *out.FunctionVersion
	if out.RoutingConfig != nil {
		for version, weight := range out.RoutingConfig.AdditionalVersionWeights {
			leads += fmt.Sprintf(" and %s: %g", version, weight)
		}
	}
	return leads
}

func (f *fleet) leadsTo(want string) {
	f.t.Helper()
	until(f.t, "the alias leads to "+want, func() bool { return f.alias() == want })
}

// An alias is moved, and taken back when an alarm goes off.
func TestBlueGreenMovesAnAliasAndTakesItBack(t *testing.T) {
	t.Parallel()
	url := awstest.Ministack(t)
	f := newFleet(t, url)
	client := startEngine(t, url, map[string]string{"shift": strings.Replace(string(pipelines.BlueGreenLambda), `"lookSeconds": 60`, `"lookSeconds": 1`, 1)})
	start := func(name, settings string) string {
		started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(prefix + "shift"), Name: &name, Input: aws.String(`{"blue_green": {"function": "api", "alarms": ["api-errors"], ` + settings + `}}`)})
		if err != nil {
			t.Fatal(err)
		}
		return *started.ExecutionArn
	}
	succeeds := func(arn, part string) {
		if out := ended(t, client, arn); out.Status != "SUCCEEDED" || !strings.Contains(aws.ToString(out.Output), part) {
			t.Fatalf("%s: %s %s %s %s, want %s", arn, out.Status, aws.ToString(out.Error), aws.ToString(out.Cause), aws.ToString(out.Output), part)
		}
	}
	succeeds(start("first", `"minutes": 0.01, "after_minutes": 0.01`), `"path":"created"`)
	f.leadsTo("1")
	succeeds(start("again", `"minutes": 0.01, "after_minutes": 0.01`), `"path":"unchanged"`)

	f.update("second")
	succeeds(start("second", `"minutes": 0.01, "after_minutes": 0.01`), `"before":"1"`)
	f.leadsTo("2")

	f.update("third")
	third := start("third", `"weight": 0.25, "minutes": 600`)
	f.leadsTo("2 and 3: 0.25")
	f.alarm(watched.StateValueAlarm)
	if out := ended(t, client, third); aws.ToString(out.Error) != "Switchyard.RolledBack" || !strings.Contains(aws.ToString(out.Cause), "api-errors (12 of 10)") {
		t.Errorf("third: %s %s %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	f.leadsTo("2")

	// The alarm is still on, and does not hinder what repairs it.
	f.update("fourth")
	succeeds(start("fourth", `"minutes": 0.01, "after_minutes": 0.01`), `"ignored_alarms":["api-errors"]`)
	f.leadsTo("4")
}
