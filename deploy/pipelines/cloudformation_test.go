//go:build unix

package pipelines_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"switchyard/deploy/pipelines"
	"switchyard/internal/awstest"
)

// queues is a template with a queue, and one more with "more" in it. Its name can't be
// changed without a new queue, its timeout can.
func queues(name string, timeout int, more string) string {
	return fmt.Sprintf(`{"Resources": {"Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": %q, "VisibilityTimeout": %d}}%s},
		"Outputs": {"Jobs": {"Value": {"Fn::GetAtt": ["Jobs", "QueueName"]}}}}`, name, timeout, more)
}

// The pipeline against a CloudFormation that we did not write.
func TestCloudFormationDeploysByChangeSets(t *testing.T) {
	t.Parallel()
	url := awstest.Ministack(t)
	stacks := cloudformation.NewFromConfig(somebody, func(o *cloudformation.Options) { o.BaseEndpoint = &url })
	quick := strings.NewReplacer(`"pollSeconds": 15`, `"pollSeconds": 1`, `"changeSetSeconds": 5`, `"changeSetSeconds": 1`)
	client := startEngine(t, url, map[string]string{"stack": quick.Replace(string(pipelines.CloudFormation))})
	topic := `, "Told": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "told"}}`
	for _, step := range []struct {
		name, template, unsafe string
		want                   map[string]any
		failure                []string // in the cause
	}{
		{name: "create", template: queues("jobs", 30, topic), want: map[string]any{"stack": "api", "path": "created", "outputs": map[string]any{"Jobs": "jobs"}}},
		{name: "no-change", template: queues("jobs", 30, topic), want: map[string]any{"stack": "api", "path": "unchanged"}},
		{name: "safe-update", template: queues("jobs", 60, topic), want: map[string]any{"stack": "api", "path": "updated", "outputs": map[string]any{"Jobs": "jobs"}}},
		{name: "replaces", template: queues("tasks", 60, topic), failure: []string{"1 of the changes", "Modify Jobs (AWS::SQS::Queue), replacement True"}},
		{name: "removes", template: queues("jobs", 90, ""), failure: []string{"1 of the changes", "Remove Told (AWS::SNS::Topic)"}},
		{name: "beside", template: queues("tasks", 60, ""), unsafe: "beside", want: map[string]any{"path": "beside", "beside": "api", "outputs": map[string]any{"Jobs": "tasks"}}},
	} {
		settings := map[string]any{"stack": "api", "template_body": step.template}
		if step.unsafe != "" {
			settings["unsafe"] = step.unsafe
		}
		input, err := json.Marshal(map[string]any{"environment": "test", "cloudformation": settings})
		if err != nil {
			t.Fatal(err)
		}
		started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(prefix + "stack"), Name: &step.name, Input: aws.String(string(input))})
		if err != nil {
			t.Fatal(err)
		}
		out := ended(t, client, *started.ExecutionArn)
		if step.failure != nil {
			cause := aws.ToString(out.Cause)
			for _, part := range step.failure {
				if aws.ToString(out.Error) != "Switchyard.UnsafeChange" || !strings.Contains(cause, part) {
					t.Errorf("%s: %s %s, want %q", step.name, aws.ToString(out.Error), cause, part)
				}
			}
		} else {
			var got map[string]any
			if out.Status != "SUCCEEDED" || json.Unmarshal([]byte(aws.ToString(out.Output)), &got) != nil {
				t.Fatalf("%s: %s %s %s", step.name, out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
			}
			if step.unsafe == "beside" { // its name is of the execution
				if name, _ := got["stack"].(string); !strings.HasPrefix(name, "api-") {
					t.Errorf("%s: stack %q", step.name, name)
				}
				delete(got, "stack")
			}
			if d := cmp.Diff(step.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, d)
			}
		}
	}
	// What was refused is gone, and has changed nothing.
	sets, err := stacks.ListChangeSets(t.Context(), &cloudformation.ListChangeSetsInput{StackName: aws.String("api")})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets.Summaries {
		if s.ExecutionStatus != "EXECUTE_COMPLETE" {
			t.Errorf("left is a change set, %s %s", s.Status, s.ExecutionStatus)
		}
	}
	now, err := stacks.GetTemplate(t.Context(), &cloudformation.GetTemplateInput{StackName: aws.String("api")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(queues("jobs", 60, topic), aws.ToString(now.TemplateBody)); d != "" {
		t.Errorf("template (-want +got):\n%s", d)
	}
}
