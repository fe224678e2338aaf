package integration

import (
	"archive/zip"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/value"
)

const prefix = "arn:aws:states:::"

func TestFindKnowsActionsAndPatterns(t *testing.T) {
	for _, name := range []string{
		"codebuild:startBuild", "codebuild:startBuild.sync", "codebuild:stopBuild", "lambda:invoke", "lambda:invoke.waitForTaskToken",
		"states:startExecution", "states:startExecution.sync", "states:startExecution.sync:2", "states:startExecution.waitForTaskToken",
		"ecs:runTask.sync", "ecs:runTask.waitForTaskToken", "emr-serverless:startJobRun.sync", "http:invoke", "eks:runJob.sync",
		"aws-sdk:s3:getObject", "aws-sdk:sfn:startExecution", "aws-sdk:sfn:startSyncExecution.waitForTaskToken", "aws-sdk:rds:startDBInstance",
		"aws-sdk:cloudwatchlogs:createLogGroup", "aws-sdk:config:putConfigRule", "aws-sdk:databasemigration:startReplicationTask",
		"aws-sdk:elasticloadbalancingv2:describeRules", "aws-sdk:eventbridge:putEvents", "aws-sdk:acmpca:issueCertificate",
	} {
		if _, err := Find(prefix + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Find("arn:aws-cn:states:::sns:publish"); err != nil {
		t.Error(err)
	}
	for name, instead := range map[string]string{
		"codebuild:startBuild.waitForTaskToken": "sync",
		"codebuild:stopBuild.sync":              "",
		"codebuild:startbuild":                  "batchDeleteBuilds",
		"codebuild:StartBuild":                  "batchDeleteBuilds",
		"codebuild":                             "",
		"codebuild:":                            "batchDeleteBuilds",
		"lambda:invoke.sync":                    "waitForTaskToken",
		"lambda:invoke.sync:2":                  "waitForTaskToken",
		"lambda:invoke.":                        "waitForTaskToken",
		"lambda:listFunctions":                  "invoke",
		"dynamodb:query":                        "deleteItem",
		"dynamodb:getItem.waitForTaskToken":     "",
		"states:startExecution.sync:3":          "sync",
		"codebuilt:startBuild":                  "",
		"aws-sdk:codebuild:startBuild.sync":     "waitForTaskToken",
		"aws-sdk:s3:getobject":                  "*",
		"aws-sdk:stepfunctions:startExecution":  "",
		"aws-sdk:kinesis:subscribeToShard":      "*", // it streams events
		"aws-sdk:s3":                            "*",
		"aws-sdk":                               "",
		"aws-sdk/s3:getObject":                  "",
	} {
		_, err := Find(prefix + name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		first := ""
		if len(unknown.Instead) > 0 {
			first = unknown.Instead[0]
		}
		if instead == "*" && first != "" {
			instead = first
		}
		if first != instead || unknown.Resource != prefix+name {
			t.Errorf("%s: instead %q, want it to begin with %q", name, unknown.Instead, instead)
		}
	}
}

func TestIsTellsIntegrationsFromOtherResources(t *testing.T) {
	for resource, want := range map[string]bool{
		prefix + "sqs:sendMessage": true, prefix + "no:such": true, "arn:aws-us-gov:states:::aws-sdk:s3:getObject": true,
		"arn:aws:states:us-east-1:123456789012:activity:a":      false,
		"arn:aws:lambda:us-east-1:123456789012:function:f":      false,
		"arn:aws:lambda:::function:f":                           false,
		"arn:aws:states:us-east-1:123456789012:stateMachine:sm": false,
		"sqs:sendMessage": false, "": false,
	} {
		if Is(resource) != want {
			t.Errorf("%s: %v", resource, !want)
		}
	}
}

func TestRefusalNamesWhatAnIntegrationDoesNotTake(t *testing.T) {
	const notSupported, missing = `The field "%" is not supported by Step Functions`, "The field '%' is required but was missing"
	is := func(sentence, field string) string { return strings.Replace(sentence, "%", field, 1) }
	for name, row := range map[string]struct{ resource, parameters, want string }{
		"right":               {"codebuild:startBuild.sync", `{"ProjectName":"p","SourceVersion":"v","TimeoutInMinutesOverride":5,"PrivilegedModeOverride":true,"EnvironmentVariablesOverride":[{"Name":"A","Value":"1","Type":"PLAINTEXT"}]}`, ""},
		"the service's case":  {"codebuild:startBuild.sync", `{"projectName":"p"}`, is(missing, "ProjectName") + ", " + is(notSupported, "projectName")},
		"misspelt":            {"codebuild:startBuild.sync", `{"ProjectName":"p","SourceVersio":"v"}`, is(notSupported, "SourceVersio")},
		"within":              {"codebuild:startBuild", `{"ProjectName":"p","EnvironmentVariablesOverride":[{"Name":"A","Value":"1"},{"Name":"B","value":"2"}]}`, is(missing, "Value") + ", " + is(notSupported, "value")},
		"number for a text":   {"codebuild:startBuild", `{"ProjectName":7}`, "The value for the field 'ProjectName' must be a STRING"},
		"text for a number":   {"codebuild:startBuild", `{"ProjectName":"p","TimeoutInMinutesOverride":"5"}`, "The value for the field 'TimeoutInMinutesOverride' must be an INTEGER"},
		"fraction":            {"codebuild:startBuild", `{"ProjectName":"p","TimeoutInMinutesOverride":5.5}`, "The value for the field 'TimeoutInMinutesOverride' must be an INTEGER"},
		"text for a boolean":  {"codebuild:startBuild", `{"ProjectName":"p","PrivilegedModeOverride":"true"}`, "The value for the field 'PrivilegedModeOverride' must be a BOOLEAN"},
		"object for a list":   {"codebuild:startBuild", `{"ProjectName":"p","EnvironmentVariablesOverride":{"Name":"A"}}`, "The value for the field 'EnvironmentVariablesOverride' must be an ARRAY"},
		"text for an object":  {"ecs:runTask.sync", `{"TaskDefinition":"t","Overrides":"o"}`, "The value for the field 'Overrides' must be an OBJECT"},
		"number in a list":    {"batch:submitJob", `{"JobName":"n","JobQueue":"q","JobDefinition":"d","ContainerOverrides":{"Command":["a",1]}}`, "The value for the field 'Command' must be a STRING"},
		"keys of a map":       {"batch:submitJob", `{"JobName":"n","JobQueue":"q","JobDefinition":"d","Parameters":{"any key":"v","other":2}}`, "The value for the field 'other' must be a STRING"},
		"null is taken":       {"sqs:sendMessage", `{"QueueUrl":null,"MessageBody":null}`, ""},
		"all of it missing":   {"sqs:sendMessage", `{}`, is(missing, "MessageBody") + ", " + is(missing, "QueueUrl")},
		"no object":           {"sqs:sendMessage", `[1]`, "The value for the field 'Parameters' must be an OBJECT"},
		"JSON for a message":  {"sqs:sendMessage", `{"QueueUrl":"q","MessageBody":{"any":[1]}}`, ""},
		"number as a payload": {"lambda:invoke", `{"FunctionName":"f","Payload":1}`, "The value for the field 'Payload' must be a STRING"}, // recorded
		"token beside it":     {"lambda:invoke.waitForTaskToken", `{"FunctionName":"f","TaskToken":"t"}`, is(notSupported, "TaskToken")},   // recorded
		"JSON for a detail":   {"events:putEvents", `{"Entries":[{"Source":"s","DetailType":"d","Detail":{"a":1}}]}`, ""},
		"recursive":           {"dynamodb:putItem", `{"TableName":"t","Item":{"k":{"M":{"l":{"L":[{"S":"a"},{"N":1}]}}}}}`, "The value for the field 'N' must be a STRING"},
		"another name":        {"elasticmapreduce:createCluster.sync", `{"Name":"n","Instances":{"KeepJobFlowAliveWhenNoSteps":"yes"}}`, "The value for the field 'KeepJobFlowAliveWhenNoSteps' must be a BOOLEAN"},
		"unmodelled":          {"apigateway:invoke", `{"ApiEndpoint":1,"anything":[]}`, ""},
		"fields of its own":   {"bedrock:invokeModel", `{"ModelId":"m","Body":{"a":1},"Input":{"S3Uri":"s"}}`, ""},
		"token is made up":    {"emr-serverless:startJobRun.sync", `{"ApplicationId":"a","ExecutionRoleArn":"r"}`, ""},
		"token is not":        {"aws-sdk:emrserverless:startJobRun", `{"ApplicationId":"a","ExecutionRoleArn":"r"}`, is(missing, "ClientToken")},
		"acronym of the SDK":  {"aws-sdk:rds:startDBInstance", `{"DbInstanceIdentifier":"d"}`, ""},
		"acronym":             {"aws-sdk:rds:startDBInstance", `{"DBInstanceIdentifier":"d"}`, is(missing, "DbInstanceIdentifier") + ", " + is(notSupported, "DBInstanceIdentifier")},
		"SDK within":          {"aws-sdk:batch:submitJob", `{"JobName":"n","JobQueue":"q","JobDefinition":"d","RetryStrategy":{"Attempts":1,"EvaluateOnExit":[{"onStatusReason":"Host*","Action":"RETRY"}]}}`, is(notSupported, "onStatusReason")}, // recorded
		"time as text":        {"aws-sdk:cloudformation:detectStackDrift", `{"StackName":"s","LogicalResourceIds":["a"]}`, ""},
		"takes none":          {"aws-sdk:account:listRegions", `{"Nothing":1}`, is(notSupported, "Nothing")},
		"unknown integration": {"no:such", `{"a":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := value.ParseString(row.parameters)
			if err != nil {
				t.Fatal(err)
			}
			want := row.want
			if want != "" {
				want = "The Parameters '" + row.parameters + "' could not be used to start the Task: [" + want + "]"
			}
			if diff := cmp.Diff(want, Refusal(prefix+row.resource, "Parameters", v)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTemplatesAreJudgedByWhatStandsInThem(t *testing.T) {
	for name, row := range map[string]struct{ template, want string }{
		"computed":          {`{"ProjectName.$":"$.p","EnvironmentVariablesOverride.$":"$.all"}`, ""},
		"computed, unknown": {`{"ProjectName":"p","projectName.$":"$.p"}`, `The field "projectName" is not supported by Step Functions`},
		"computed within":   {`{"ProjectName":"p","EnvironmentVariablesOverride":[{"Name":"A","Value.$":"$.v"}]}`, ""},
		"wrong beside":      {`{"ProjectName.$":"$.p","SourceVersion":7}`, "The value for the field 'SourceVersion' must be a STRING"},
		"missing":           {`{"SourceVersion.$":"$.v"}`, "The field 'ProjectName' is required but was missing"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := value.ParseString(row.template)
			if err != nil {
				t.Fatal(err)
			}
			call, err := Find(prefix + "codebuild:startBuild.sync")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range call.Check("Parameters", v, JSONPath) {
				got = append(got, p.Message)
			}
			if diff := cmp.Diff(row.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsComputedAsAWholeIsNotJudged(t *testing.T) {
	call, err := Find(prefix + "sns:publish")
	if err != nil {
		t.Fatal(err)
	}
	computed := func(key string, v value.Value) (string, bool) { return key, v.Kind() != value.String }
	for v, want := range map[value.Value]int{value.OfString("{% $states.input %}"): 0, value.OfInt(1): 1} {
		if problems := call.Check("Arguments", v, computed); len(problems) != want || want == 1 && problems[0].Message != "The value for the field 'Arguments' must be an OBJECT" {
			t.Errorf("%s: %v", v.JSON(), problems)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	v, err := value.ParseString("{" + strings.Repeat(`"a":1,`, 9_999) + `"b":1}`)
	if err != nil {
		t.Fatal(err)
	}
	call, err := Find(prefix + "sns:publish")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(call.Check("Parameters", v, Evaluated)); n == 0 || n > maxProblems {
		t.Errorf("%d problems", n)
	}
}

// Whatever is generated can be read: all types that a line names are there.
func TestModelsAreWhole(t *testing.T) {
	archive, err := zip.NewReader(bytes.NewReader(models), int64(len(models)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(archive.Comment, "botocore 1.") || !strings.Contains(archive.Comment, "Apache License 2.0") {
		t.Errorf("the archive's comment does not say where it is from: %q", archive.Comment)
	}
	for _, file := range archive.File {
		s := read(file)
		known := func(is string) bool {
			n, err := strconv.Atoi(is)
			_, letter := scalars[is]
			return letter || is == "-" || err == nil && n >= 0 && n < len(s.shapes)
		}
		if len(s.actions) == 0 {
			t.Errorf("%s has no action", file.Name)
		}
		for name, a := range s.actions {
			if !known(a.input) || strings.ToLower(name[:1]) != name[:1] {
				t.Errorf("%s: action %s takes %q", file.Name, name, a.input)
			}
		}
		for n, s := range s.shapes {
			if s.kind != '{' && !known(s.elem) {
				t.Errorf("%s: type %d is %c %q", file.Name, n, s.kind, s.elem)
			}
			for _, f := range s.fields {
				if !known(f.is) || strings.ToUpper(f.name[:1]) != f.name[:1] {
					t.Errorf("%s: type %d has the field %q of type %q", file.Name, n, f.name, f.is)
				}
			}
		}
	}
}

func BenchmarkRefusal(b *testing.B) {
	v, err := value.ParseString(`{"ProjectName":"p","SourceVersion":"v","EnvironmentVariablesOverride":[{"Name":"A","Value":"1"},{"Name":"B","Value":"2"}]}`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if why := Refusal(prefix+"codebuild:startBuild.sync", "Parameters", v); why != "" {
			b.Fatal(why)
		}
	}
}
