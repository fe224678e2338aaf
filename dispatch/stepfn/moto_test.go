package stepfn

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// motoServer starts an AWS emulator that we did not write and returns its URL.
// MOTO_SERVER names the program, else it is looked up in PATH; without it the
// test is skipped, or fails where SWITCHYARD_REQUIRE_SERVERS=1 is set.
func motoServer(t *testing.T) string {
	t.Helper()
	program := os.Getenv("MOTO_SERVER")
	if program == "" {
		program = "moto_server"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		const help = "moto_server is not installed: pip install 'moto[server]', or set MOTO_SERVER to its path"
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(help)
		}
		t.Skip(help)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	cmd.WaitDelay = 5 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := running.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
		_ = cmd.Wait() // it was killed
	})
	select {
	case url := <-found:
		return url
	case <-drained:
		t.Fatal("moto_server ended before it listened")
	case <-time.After(time.Minute):
		t.Fatal("moto_server did not listen within a minute")
	}
	return ""
}

func TestClientAgainstMoto(t *testing.T) {
	endpoint := motoServer(t)
	isolateAWS(t)
	api, err := Dial(t.Context(), AWSConfig{Region: "us-east-1", Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	made, err := api.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:       aws.String("deploy"),
		RoleArn:    aws.String("arn:aws:iam::123456789012:role/deploy"),
		Definition: aws.String(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(api, Config{StateMachines: map[string]string{
		"deploy":  aws.ToString(made.StateMachineArn),
		"missing": "arn:aws:states:us-east-1:123456789012:stateMachine:missing",
	}})
	if err != nil {
		t.Fatal(err)
	}

	input := `{"commit":{"sha":"9fceb02"},"source":{"event":"push"}}`
	otherwise := `{"commit":{"sha":"9fceb02"},"source":{"event":"pull_request"}}`
	started, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	want := "arn:aws:states:us-east-1:123456789012:execution:deploy:acme-api-9fceb02"
	if started.ExecutionARN != want || started.StartedAt.IsZero() {
		t.Errorf("started %+v, want %s", started, want)
	}
	again, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil || again.ExecutionARN != want {
		t.Errorf("starting it again = %+v, %v; want the same execution", again, err)
	}
	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(otherwise))
	if err != nil || again.ExecutionARN != want || !again.Existed {
		t.Errorf("starting it again with another input for the same commit, while it runs = %+v, %v; want the same execution", again, err)
	}
	running, err := c.Describe(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(event.Outcome{ExecutionARN: want, Name: "acme-api-9fceb02", Status: event.Running, Input: input}, running,
		cmpopts.IgnoreFields(event.Outcome{}, "StartedAt", "Output"))
	if diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}

	if err := c.Stop(t.Context(), want, "Superseded", "a newer commit"); err != nil {
		t.Fatal(err)
	}
	if stopped, err := c.Describe(t.Context(), want); err != nil || stopped.Status != event.Aborted || stopped.StoppedAt.IsZero() {
		t.Errorf("after stop: %+v, %v; want ABORTED", stopped, err)
	}
	if err := c.Stop(t.Context(), want, "", ""); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil || again.ExecutionARN != want {
		t.Errorf("starting what has ended = %+v, %v; want the same execution", again, err)
	}

	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(otherwise))
	if err != nil || again.ExecutionARN != want || !again.Existed {
		t.Errorf("the same with another input for the same commit = %+v, %v; want the same execution", again, err)
	}

	var permanent *dispatch.PermanentError
	if _, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(`{"commit":{"sha":"other"}}`)); !errors.As(err, &permanent) {
		t.Errorf("the same name with another input: %v, want a PermanentError", err)
	}
	if _, err := c.Start(t.Context(), "missing", "x", []byte(`{}`)); !errors.As(err, new(*dispatch.BlockedError)) {
		t.Errorf("a state machine that does not exist: %v, want a BlockedError", err)
	}
	if _, err := c.Start(t.Context(), "deploy", "not a name", []byte(`{}`)); !errors.As(err, &permanent) {
		t.Errorf("a name with spaces: %v, want a PermanentError", err)
	}
	if _, err := c.Start(t.Context(), "deploy", "bad-input", []byte(`{`)); !errors.As(err, &permanent) {
		t.Errorf("an input that is not JSON: %v, want a PermanentError", err)
	}
	if _, err := c.Describe(t.Context(), want+"-not"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("an execution that does not exist: %v, want ErrNotFound", err)
	}
}
