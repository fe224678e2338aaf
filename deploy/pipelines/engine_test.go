//go:build unix

package pipelines_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/asl/api"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task/sdk"
	"switchyard/dispatch/stepfn"
)

// somebody is who calls AWS in tests.
var somebody = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")}

// prefix comes before the name in the ARN of a state machine.
const prefix = "arn:aws:states:us-east-1:123456789012:stateMachine:"

// startEngine starts the embedded engine with these definitions by their names,
// and whatever calls services of AWS at url, and returns its API.
func startEngine(t *testing.T, url string, definitions map[string]string, options ...engine.Option) *sfn.Client {
	t.Helper()
	var client *sfn.Client
	services := sdk.New(sdk.Config{AWS: &somebody, Endpoint: url, StepFunctions: func() *sfn.Client { return client }})
	for _, pattern := range services.Patterns() {
		options = append(options, engine.WithHandler(pattern, services))
	}
	e, err := engine.New(store.NewMemory(), engine.Config{}, options...)
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(e)
	if err != nil {
		t.Fatal(err)
	}
	client = stepfn.DialEmbedded(server.Transport())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for name, definition := range definitions {
		if _, err := e.Catalog().CreateMachine(t.Context(), catalog.NewMachine{Name: name, Definition: definition, RoleARN: "arn:aws:iam::123456789012:role/r"}); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

// ended waits for the end of an execution.
func ended(t *testing.T, client *sfn.Client, arn string) *sfn.DescribeExecutionOutput {
	t.Helper()
	var out *sfn.DescribeExecutionOutput
	until(t, arn+" has ended", func() bool {
		var err error
		out, err = client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		if err != nil {
			t.Fatal(err)
		}
		return out.Status != "RUNNING"
	})
	return out
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for begun := time.Now(); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 5*time.Minute {
			t.Fatalf("%s: not so after 5 minutes", what)
		}
	}
}
