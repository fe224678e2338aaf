//go:build unix

package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"switchyard/asl/task"
	"switchyard/asl/task/sdk"
	"switchyard/internal/awstest"
)

func handler(endpoint string) *sdk.Handler {
	return sdk.New(sdk.Config{
		AWS: &aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		},
		Endpoint: endpoint,
	})
}

// run makes one call and returns the fields of its answer.
func run(t *testing.T, h *sdk.Handler, resource, input string) (map[string]any, error) {
	t.Helper()
	out, err := h.Run(t.Context(), task.Task{Resource: resource, Input: json.RawMessage(input)})
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(out, &fields); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return fields, nil
}

func must(t *testing.T, h *sdk.Handler, resource, input string) map[string]any {
	t.Helper()
	out, err := run(t, h, resource, input)
	if err != nil {
		t.Fatalf("%s: %v", resource, err)
	}
	return out
}

// failed is the error that Retry and Catch see of a call.
func failed(t *testing.T, h *sdk.Handler, resource, input string) *task.Error {
	t.Helper()
	out, err := run(t, h, resource, input)
	told, ok := errors.AsType[*task.Error](err)
	if !ok {
		t.Fatalf("%s: %v %v", resource, out, err)
	}
	return told
}

const (
	own  = "arn:aws:states:::"
	aSDK = "arn:aws:states:::aws-sdk:"
)

func TestCallsAgainstMoto(t *testing.T) {
	h := handler(awstest.Moto(t))
	t.Run("DynamoDB", func(t *testing.T) {
		must(t, h, aSDK+"dynamodb:createTable", `{"TableName": "locks", "BillingMode": "PAY_PER_REQUEST",
			"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}`)
		item := map[string]any{
			"id": map[string]any{"S": "one"}, "n": map[string]any{"N": "12.5"}, "yes": map[string]any{"BOOL": true}, "none": map[string]any{"NULL": true},
			"raw": map[string]any{"B": "AAEC"}, "names": map[string]any{"SS": []any{"a", "b"}}, "numbers": map[string]any{"NS": []any{"1", "2"}},
			"list": map[string]any{"L": []any{map[string]any{"S": "x"}, map[string]any{"L": []any{}}}},
			"map":  map[string]any{"M": map[string]any{"deep": map[string]any{"M": map[string]any{"n": map[string]any{"N": "1"}}}}},
		}
		text, err := json.Marshal(map[string]any{"TableName": "locks", "Item": item})
		if err != nil {
			t.Fatal(err)
		}
		must(t, h, own+"dynamodb:putItem", string(text))
		const get = `{"TableName": "locks", "Key": {"id": {"S": "one"}}, "ConsistentRead": true}`
		if diff := cmp.Diff(item, must(t, h, aSDK+"dynamodb:getItem", get)["Item"]); diff != "" {
			t.Errorf("what was put (-) and got (+):\n%s", diff)
		}
		// Step Functions' own integration adds what the call was answered with.
		got := must(t, h, own+"dynamodb:getItem", get)
		if diff := cmp.Diff([]string{"Item", "SdkHttpMetadata", "SdkResponseMetadata"}, slices.Sorted(maps.Keys(got))); diff != "" {
			t.Error(diff)
		}
		if status := got["SdkHttpMetadata"].(map[string]any)["HttpStatusCode"]; status != 200.0 {
			t.Errorf("HttpStatusCode %v", status)
		}
		if got := must(t, h, aSDK+"dynamodb:getItem", `{"TableName": "locks", "Key": {"id": {"S": "none"}}}`); len(got) != 0 {
			t.Errorf("of an item that is not there: %v", got)
		}
		const update = `{"TableName": "locks", "Key": {"id": {"S": "one"}}, "UpdateExpression": "SET n = :n", "ConditionExpression": "n = :was",
			"ExpressionAttributeValues": {":n": {"N": "1"}, ":was": {"N": "7"}}}`
		for resource, want := range map[string]string{
			own + "dynamodb:updateItem":                   "DynamoDB.ConditionalCheckFailedException",
			aSDK + "dynamodb:updateItem":                  "DynamoDb.ConditionalCheckFailedException",
			aSDK + "dynamodb:updateItem.waitForTaskToken": "DynamoDb.ConditionalCheckFailedException",
		} {
			if err := failed(t, h, resource, update); err.Name != want || !strings.HasPrefix(err.Cause, "The conditional request failed (Service: ") {
				t.Errorf("%s: %v", resource, err)
			}
		}
		if err := failed(t, h, own+"dynamodb:getItem", `{"TableName": "none", "Key": {"id": {"S": "x"}}}`); err.Name != "DynamoDB.ResourceNotFoundException" {
			t.Error(err)
		}
	})
	t.Run("SQS", func(t *testing.T) {
		url := must(t, h, aSDK+"sqs:createQueue", `{"QueueName": "orders", "Attributes": {"VisibilityTimeout": "5"}}`)["QueueUrl"].(string)
		must(t, h, own+"sqs:sendMessage", `{"QueueUrl": "`+url+`", "MessageBody": {"commit": "4f2a9c1", "n": 1}}`)
		got := must(t, h, aSDK+"sqs:receiveMessage", `{"QueueUrl": "`+url+`"}`)
		// The names of the SDK for Java, and those of the service.
		if _, ok := got["Messages"].([]any)[0].(map[string]any)["Md5OfBody"]; !ok {
			t.Errorf("no Md5OfBody in %v", got)
		}
		if sent := must(t, h, own+"sqs:sendMessage", `{"QueueUrl": "`+url+`", "MessageBody": "b"}`); sent["MD5OfMessageBody"] == nil {
			t.Errorf("no MD5OfMessageBody in %v", sent)
		}
		if body := got["Messages"].([]any)[0].(map[string]any)["Body"]; body != `{"commit":"4f2a9c1","n":1}` {
			t.Errorf("Body %v", body)
		}
		if err := failed(t, h, aSDK+"sqs:sendMessage", `{"QueueUrl": "`+url+`", "MessageBody": {"commit": "4f2a9c1"}}`); err.Name != "States.Runtime" || !strings.Contains(err.Cause, "MessageBody must be a text, not an object") {
			t.Error(err)
		}
	})
	t.Run("S3", func(t *testing.T) {
		must(t, h, aSDK+"s3:createBucket", `{"Bucket": "artifacts", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}`)
		must(t, h, aSDK+"s3:putObject", `{"Bucket": "artifacts", "Key": "a/b.json", "Body": {"services": ["api"]}}`)
		got := must(t, h, aSDK+"s3:getObject", `{"Bucket": "artifacts", "Key": "a/b.json"}`)
		if got["Body"] != `{"services":["api"]}` {
			t.Errorf("Body %v", got["Body"])
		}
		if err := failed(t, h, aSDK+"s3:getObject", `{"Bucket": "artifacts", "Key": "none"}`); err.Name != "S3.NoSuchKeyException" {
			t.Error(err)
		}
	})
	t.Run("an error that the model does not have", func(t *testing.T) {
		err := failed(t, h, aSDK+"cloudformation:describeStacks", `{"StackName": "none"}`)
		if err.Name != "CloudFormation.CloudFormationException" || !strings.Contains(err.Cause, "does not exist") || !strings.Contains(err.Cause, "Status Code: 400") {
			t.Error(err)
		}
	})
	t.Run("times", func(t *testing.T) {
		must(t, h, aSDK+"ssm:putParameter", `{"Name": "/p", "Value": "v", "Type": "String"}`)
		parameter := must(t, h, aSDK+"ssm:getParameter", `{"Name": "/p"}`)["Parameter"].(map[string]any)
		if at, _ := parameter["LastModifiedDate"].(string); !strings.HasSuffix(at, "Z") || len(at) < len("2026-11-02T09:00:00Z") {
			t.Errorf("LastModifiedDate %v", parameter["LastModifiedDate"])
		}
	})
}

func TestWhatCannotBeCalled(t *testing.T) {
	h := handler("http://127.0.0.1:1")
	const sender = aSDK + "sqs:sendMessage"
	for _, row := range []struct{ resource, input, name, cause string }{
		{aSDK + "quantumledger:query", `{}`, "States.Runtime", "does not call the service"},
		{aSDK + "sqs:sendMassage", `{}`, "States.Runtime", "names no action of the service 'sqs'"},
		{aSDK + "sqs:SendMessage", `{}`, "States.Runtime", "Actions are written like createTopic"},
		{aSDK + "sqs:options", `{}`, "States.Runtime", "names no action"},
		{aSDK + "sqs", `{}`, "States.Runtime", "names no action"},
		{aSDK + "sfn:listStateMachines", `{}`, "States.Runtime", "Nothing serves the resource"},
		{sender, `[]`, "States.Runtime", "must be an object, not a list"},
		{sender, `{"queueUrl": "x"}`, "States.Runtime", `[The field "queueUrl" is not supported by Step Functions]`},
		{sender, `{"QueueUrl": 7}`, "States.Runtime", "QueueUrl must be a text, not a number"},
		{sender, `{"DelaySeconds": "7"}`, "States.Runtime", "DelaySeconds must be an integer, not a text"},
		{sender, `{"DelaySeconds": 1.5}`, "States.Runtime", "DelaySeconds must be an integer"},
		{sender, `{"DelaySeconds": 99999999999}`, "States.Runtime", "DelaySeconds must be an integer"},
		{sender, `{"MessageAttributes": {"a": {"DataTyp": "String"}}}`, "States.Runtime", `"DataTyp" is not supported`},
		{aSDK + "s3:putObject", `{"Bucket": "b", "Acl": 7}`, "States.Runtime", "Acl must be a text, not a number"},
		{aSDK + "s3:putObject", `{"SseCustomerKey": 7}`, "States.Runtime", "SseCustomerKey must be a text, not a number"},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": "one"}}`, "States.Runtime", "Key.id must be an object with one member"},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": {"X": "one"}}}`, "States.Runtime", `"X" is not supported`},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": {"N": 1}}}`, "States.Runtime", "Key.id.N must be a number in a text, not a number"},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": {"Bool": 1}}}`, "States.Runtime", "Key.id.BOOL must be a boolean, not a number"},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": {"B": "%"}}}`, "States.Runtime", "Key.id.B: illegal base64"},
		{aSDK + "dynamodb:getItem", `{"Key": {"id": {"L": [{"S": 1}]}}}`, "States.Runtime", "must be a text, not a number"},
		{aSDK + "dynamodb:getItem", `{"ConsistentRead": "yes"}`, "States.Runtime", "ConsistentRead must be a boolean, not a text"},
		{sender, `{"QueueUrl": "http://127.0.0.1:1/q", "MessageBody": "x"}`, "Sqs.SdkClientException", "connection refused"},
	} {
		if err := failed(t, h, row.resource, row.input); err.Name != row.name || !strings.Contains(err.Cause, row.cause) {
			t.Errorf("%s with %s:\n%v\nwant %s: %s", row.resource, row.input, err, row.name, row.cause)
		}
	}
}

func TestACallEndsWithItsTask(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(task.ErrShutdown)
	_, err := handler("http://127.0.0.1:1").Run(ctx, task.Task{Resource: aSDK + "sts:getCallerIdentity", Input: json.RawMessage(`{}`)})
	if !errors.Is(err, task.ErrShutdown) {
		t.Errorf("%v", err)
	}
}
