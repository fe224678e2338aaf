package asl

import (
	"errors"
	"strings"
	"testing"

	"switchyard/asl/value"
)

func taskWith(resource, fields string) string {
	return `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::` + resource + `",` + "\n" + fields + `"End":true}}}`
}

// AWS refuses these definitions, and so does Parse.
func TestUnknownIntegrationsAreRefused(t *testing.T) {
	for resource, detail := range map[string]string{
		"codebuild:startbuild":                  "did you mean startBuild?",
		"codebuild:startBuilds.sync":            "did you mean startBuild?",
		"codebuild:deploy":                      "codebuild has no action deploy",
		"codebuild:startBuild.waitForTaskToken": "only .sync can follow startBuild",
		"ecs:runTask.sync:2":                    "only .sync or .waitForTaskToken can follow runTask",
		"sns:publish.sync":                      "only .waitForTaskToken can follow publish",
		"dynamodb:getItem.sync":                 "nothing can follow getItem",
		"dynamodb:getItem.":                     "nothing can follow getItem",
		"lambda:invoke.":                        "only .waitForTaskToken can follow invoke",
		"lambda:":                               "lambda has no action ",
		"aws-sdk:codedeploy:getDeployments":     "did you mean getDeployment?",
		"aws-sdk:nothing:getDeployment":         "there is no integration with nothing",
		"nothing:doThis":                        "there is no integration with nothing",
	} {
		definition := taskWith(resource, `"Parameters":{},`)
		_, err := Parse([]byte(definition))
		var refused *DefinitionError
		if !errors.As(err, &refused) || len(refused.Diagnostics) != 1 {
			t.Errorf("%s: %v", resource, err)
			continue
		}
		got := refused.Diagnostics[0]
		want := "SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::" + resource +
			" is not recognized. The value is not a valid resource ARN, or the resource is not available in this region. at /States/S/Resource"
		if got.String() != want || got.Detail != detail || got.Line != 1 {
			t.Errorf("%s: %+v, want %s: %s", resource, got, want, detail)
		}
		if _, err := Parse([]byte(strings.Replace(definition, `"Parameters":{}`, `"QueryLanguage":"JSONata","Arguments":"{% 1 %}"`, 1))); err == nil {
			t.Errorf("%s: taken in JSONata", resource)
		}
		if _, err := ParseStored([]byte(definition)); err != nil {
			t.Errorf("%s: a definition that was accepted before is refused: %v", resource, err)
		}
	}
	// A reader of a distributed Map is none of a Task's.
	if found := Validate([]byte(taskWith("s3:getObject", `"Parameters":{},`))); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

// AWS refuses these too; here the state fails when it is reached.
func TestWrongParametersAreFoundAndTolerated(t *testing.T) {
	for name, row := range map[string]struct {
		resource, parameters string
		want                 []string
	}{
		"misspelt": {"codebuild:startBuild.sync", `"Parameters":{"projectName":"p"},`, []string{
			`f:2:14: state "S": The field 'ProjectName' is required but was missing (SCHEMA_VALIDATION_FAILED at /States/S/Parameters)`,
			`f:2:15: state "S": The field "projectName" is not supported by Step Functions: did you mean ProjectName? (SCHEMA_VALIDATION_FAILED at /States/S/Parameters)`,
		}},
		"number for a text": {"sns:publish", `"Parameters":{"TopicArn.$":"$.t","Message":{},"Subject":7},`, []string{
			`f:2:47: state "S": The value for the field 'Subject' must be a STRING (SCHEMA_VALIDATION_FAILED at /States/S/Parameters)`,
		}},
		"lacking within": {"codebuild:startBuild", `"Parameters":{"ProjectName":"p","EnvironmentVariablesOverride":[{"Name":"A","Value":"1"},{"Name":"B"}]},`, []string{
			`f:2:90: state "S": The field 'Value' is required but was missing (SCHEMA_VALIDATION_FAILED at /States/S/Parameters)`,
		}},
		"none": {"sqs:sendMessage", ``, []string{
			`f:1:26: state "S": Parameters field is required for resource ARN: arn:aws:states:::sqs:sendMessage (SCHEMA_VALIDATION_FAILED at /States/S)`,
		}},
		"JSONata": {"sns:publish", `"QueryLanguage":"JSONata","Arguments":{"TopicArn":"{% $states.input.t %}","Message":"{% 1 %}","subject":"{% 'x' %}"},`, []string{
			`f:2:95: state "S": The field "subject" is not supported by Step Functions: did you mean Subject? (SCHEMA_VALIDATION_FAILED at /States/S/Arguments)`,
		}},
		"JSONata without": {"sns:publish", `"QueryLanguage":"JSONata",`, []string{
			`f:1:26: state "S": Arguments field is required for resource ARN: arn:aws:states:::sns:publish (SCHEMA_VALIDATION_FAILED at /States/S)`,
		}},
		"all JSONata":   {"sns:publish", `"QueryLanguage":"JSONata","Arguments":"{% $states.input %}",`, nil},
		"all computed":  {"aws-sdk:dynamodb:query", `"Parameters":{"TableName.$":"$.t","ExpressionAttributeValues":{":a":{"S.$":"$.a"}}},`, nil},
		"no parameters": {"aws-sdk:sts:getCallerIdentity", `"Parameters":{},`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			definition := []byte(taskWith(row.resource, row.parameters))
			var got []string
			for _, d := range Validate(definition) {
				if d.Severity != SeverityError || !d.Tolerated {
					t.Errorf("%+v", d)
				}
				got = append(got, d.Format("f"))
			}
			if strings.Join(got, "\n") != strings.Join(row.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
			if _, err := Parse(definition); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTasksAreNotStartedWithWrongArguments(t *testing.T) {
	for name, row := range map[string]struct{ resource, parameters, input, want string }{
		"right":         {"sqs:sendMessage", `"Parameters":{"QueueUrl.$":"$.q","MessageBody.$":"$"},`, `{"q":"u"}`, ""},
		"wrong type":    {"sqs:sendMessage", `"Parameters":{"QueueUrl.$":"$.q","MessageBody":"b"},`, `{"q":1}`, `The Parameters '{"QueueUrl":1,"MessageBody":"b"}' could not be used to start the Task: [The value for the field 'QueueUrl' must be a STRING]`},
		"unknown":       {"lambda:invoke", `"Parameters":{"FunctionName":"f","payload.$":"$"},`, `{}`, `The Parameters '{"FunctionName":"f","payload":{}}' could not be used to start the Task: [The field "payload" is not supported by Step Functions]`},
		"no parameters": {"sqs:sendMessage", ``, `{"any":1}`, ""},
		"JSONata":       {"sqs:sendMessage", `"QueryLanguage":"JSONata","Arguments":{"QueueUrl":"{% $states.input.q %}","MessageBody":"b"},`, `{"q":1}`, `The Arguments '{"QueueUrl":1,"MessageBody":"b"}' could not be used to start the Task: [The value for the field 'QueueUrl' must be a STRING]`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse([]byte(taskWith(row.resource, row.parameters)))
			if err != nil {
				t.Fatal(err)
			}
			input, err := value.ParseString(row.input)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Start.Fields.Arguments(&Frame{Input: input})
			var refused *Error
			switch {
			case row.want == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &refused) || refused.Name != ErrRuntime || refused.Cause != row.want:
				t.Errorf("got %v\nwant %s", err, row.want)
			}
		})
	}
}
