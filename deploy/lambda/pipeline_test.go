package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"switchyard/deploy/lambda"
	"switchyard/dispatch"
	"switchyard/internal/awsaccess"
	"switchyard/internal/awsmodel"
	"switchyard/internal/awstest"
	"switchyard/internal/event"
)

// jobs is CodePipeline as far as results of jobs go. A job has one result; a
// request or answer that its model does not know fails the test.
type jobs struct {
	t     *testing.T
	model *awsmodel.Model

	mu      sync.Mutex
	results []map[string]any
	// faults are answered before a result is taken, one each.
	faults []int
}

func (j *jobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), j.model.Metadata.TargetPrefix+".")
	if err := j.model.Input(operation, body); err != nil {
		j.t.Errorf("a request that CodePipeline would refuse: %v", err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.faults) > 0 {
		status := j.faults[0]
		j.faults = j.faults[1:]
		code := "ThrottlingException"
		if status >= 500 {
			code = "InternalFailure"
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":"m"}`, code)
		return
	}
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	for _, before := range j.results {
		if before["jobId"] == in["jobId"] {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"InvalidJobStateException","message":"Job is already complete"}`)
			return
		}
	}
	in["operation"] = operation
	j.results = append(j.results, in)
	fmt.Fprint(w, `{}`)
}

// last is the newest result.
func (j *jobs) last() map[string]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.results) == 0 {
		j.t.Fatal("the job got no result: its action hangs until it times out")
	}
	return j.results[len(j.results)-1]
}

// starter keeps executions.
type starter struct {
	mu     sync.Mutex
	calls  int
	inputs map[string]string // by ARN
	ends   map[string]event.Outcome
	errs   []error // answers to the next calls of StartByARN
	lost   bool    // the first answer is lost after it was applied
}

func (s *starter) StartByARN(_ context.Context, machine, name string, input []byte) (dispatch.Started, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return dispatch.Started{}, err
	}
	arn := strings.Replace(machine, ":stateMachine:", ":execution:", 1) + ":" + name
	_, existed := s.inputs[arn]
	if !existed {
		s.inputs[arn] = string(input)
	}
	if s.lost {
		s.lost = false
		return dispatch.Started{}, errors.New("read: connection reset by peer")
	}
	return dispatch.Started{ExecutionARN: arn, Existed: existed}, nil
}

func (s *starter) Describe(_ context.Context, arn string) (event.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.ends[arn]
	if _, started := s.inputs[arn]; !ok && !started {
		return event.Outcome{}, dispatch.ErrNotFound
	}
	if !ok {
		o.Status = event.Running
	}
	o.Name = arn[strings.LastIndexByte(arn, ':')+1:]
	return o, nil
}

type bridge struct {
	*lambda.Function
	jobs    *jobs
	starter *starter
	objects *s3.Client
}

const deploy = "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"

func newBridge(t *testing.T) *bridge {
	t.Helper()
	moto := awstest.Moto(t)
	awstest.Isolate(t)
	cfg, err := awsaccess.Load(t.Context(), awsaccess.Settings{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{
		jobs:    &jobs{t: t, model: awsmodel.ForTest(t, "codepipeline")},
		starter: &starter{inputs: map[string]string{}, ends: map[string]event.Outcome{}},
		objects: s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.DisableLogOutputChecksumValidationSkipped = &moto, true }),
	}
	server := httptest.NewServer(b.jobs)
	t.Cleanup(server.Close)
	if _, err := b.objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("inputs")}); err != nil {
		t.Fatal(err)
	}
	b.Function = &lambda.Function{Log: zap.NewNop(), Pipeline: &lambda.Pipeline{
		Jobs:    codepipeline.NewFromConfig(cfg, func(o *codepipeline.Options) { o.BaseEndpoint = &server.URL }),
		Objects: b.objects, Starter: b.starter, Log: zap.NewNop(), Wait: time.Millisecond,
	}}
	return b
}

func (b *bridge) put(t *testing.T, key, text string) {
	t.Helper()
	if _, err := b.objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("inputs"), Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

// job invokes the function as CodePipeline does. id is one hex digit.
func (b *bridge) job(t *testing.T, id, parameters, token string) error {
	t.Helper()
	artifact := map[string]any{"name": "Source", "revision": "9fceb02d0ae598e95dc970b74767f19372d61af8",
		"location": map[string]any{"type": "S3", "s3Location": map[string]any{"bucketName": "codepipeline-eu-west-1", "objectKey": "p/Source/abc.zip"}}}
	data := map[string]any{
		"actionConfiguration": map[string]any{"configuration": map[string]any{"FunctionName": "switchyard", "UserParameters": parameters}},
		"inputArtifacts":      []any{artifact}, "outputArtifacts": []any{},
		"artifactCredentials": map[string]any{"accessKeyId": "a", "secretAccessKey": "s", "sessionToken": "t"},
	}
	if token != "" {
		data["continuationToken"] = token
	}
	payload, err := json.Marshal(map[string]any{"CodePipeline.job": map[string]any{"id": jobID(id), "accountId": "123456789012", "data": data}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Invoke(t.Context(), payload)
	return err
}

func jobID(digit string) string { return strings.Repeat(digit, 8) + "-3dd2-51dd-881f-03309a4e0865" }

func TestPipelineRunsAStateMachineToItsEnd(t *testing.T) {
	b := newBridge(t)
	b.put(t, "deploy.json", `{"environment":"acceptance","skip_api":true}`)
	parameters := `{"s3Bucket":"inputs","stateMachineFile":"deploy.json","stateMachineArn":"` + deploy + `"}`
	if err := b.job(t, "a", parameters, ""); err != nil {
		t.Fatal(err)
	}
	arn := strings.Replace(deploy, ":stateMachine:", ":execution:", 1) + ":" + jobID("a")
	var input map[string]any
	if err := json.Unmarshal([]byte(b.starter.inputs[arn]), &input); err != nil {
		t.Fatalf("%v: %v", b.starter.inputs, err)
	}
	source := map[string]any{"bucket": "codepipeline-eu-west-1", "key": "p/Source/abc.zip", "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8"}
	listed := map[string]any{"name": "Source", "bucket": source["bucket"], "key": source["key"], "commit": source["commit"]}
	want := map[string]any{"environment": "acceptance", "skip_api": true, "codepipeline": map[string]any{
		"job": jobID("a"), "bucket": source["bucket"], "key": source["key"], "commit": source["commit"], "artifacts": []any{listed},
	}}
	if d := cmp.Diff(want, input); d != "" {
		t.Errorf("input (-want +got):\n%s", d)
	}
	token, _ := b.jobs.last()["continuationToken"].(string)
	if token == "" || b.jobs.last()["operation"] != "PutJobSuccessResult" {
		t.Fatalf("after the start: %v", b.jobs.last())
	}

	// The second invocation of the same job finds what the first has started.
	if err := b.job(t, "a", parameters, ""); err != nil {
		t.Error(err)
	}
	if len(b.starter.inputs) != 1 || len(b.jobs.results) != 1 {
		t.Errorf("a repeated job started %d executions and got %d results", len(b.starter.inputs), len(b.jobs.results))
	}

	if err := b.job(t, "b", parameters, token); err != nil {
		t.Fatal(err)
	}
	if again, _ := b.jobs.last()["continuationToken"].(string); again != token {
		t.Errorf("while it runs: %v", b.jobs.last())
	}
	b.starter.ends[arn] = event.Outcome{Status: event.Succeeded, Output: `{"url":"https://x","count":3,"ok":true,"a b":"no name for a variable","list":[1],"empty":""}`}
	if err := b.job(t, "c", parameters, token); err != nil {
		t.Fatal(err)
	}
	variables := map[string]any{"executionArn": arn, "url": "https://x", "count": "3", "ok": "true"}
	if d := cmp.Diff(variables, b.jobs.last()["outputVariables"]); d != "" {
		t.Errorf("output variables (-want +got):\n%s", d)
	}
	if _, goesOn := b.jobs.last()["continuationToken"]; goesOn {
		t.Error("the job goes on after the execution's end")
	}
}

func TestPipelineFailsWithErrorAndCause(t *testing.T) {
	b := newBridge(t)
	b.put(t, "machine.json", `{"stateMachineArn":"`+deploy+`:live","input":{"a":1}}`)
	if err := b.job(t, "a", `{"s3Bucket":"inputs","stateMachineFile":"machine.json"}`, ""); err != nil {
		t.Fatal(err)
	}
	token, _ := b.jobs.last()["continuationToken"].(string)
	var arn string
	for arn = range b.starter.inputs {
	}
	for i, o := range []event.Outcome{
		{Status: event.Failed, Error: "States.TaskFailed", Cause: "tests failed: " + strings.Repeat("ü", 6000)},
		{Status: event.TimedOut},
		{Status: event.Aborted, Error: "Stopped", Cause: "by Ada"},
	} {
		b.starter.ends[arn] = o
		if err := b.job(t, fmt.Sprint(i+1), `{}`, token); err != nil {
			t.Fatal(err)
		}
		got := b.jobs.last()
		details, _ := got["failureDetails"].(map[string]any)
		message, _ := details["message"].(string)
		if got["operation"] != "PutJobFailureResult" || !strings.Contains(message, string(o.Status)) || !strings.Contains(message, o.Error) ||
			!strings.Contains(message, strings.TrimSuffix(o.Cause, strings.Repeat("ü", 6000))) {
			t.Errorf("%s: %v", o.Status, got)
		}
	}
}

func TestPipelineFailsAtOnceForWhatIsWrong(t *testing.T) {
	b := newBridge(t)
	b.put(t, "list.json", `[1]`)
	b.put(t, "empty.json", `{}`)
	b.put(t, "huge.json", `{"a":"`+strings.Repeat("x", 2<<20)+`"}`)
	b.put(t, "good.json", `{"stateMachineArn":"`+deploy+`"}`)
	for i, row := range []struct{ parameters, token, want string }{
		{"", "", "UserParameters of the action is not JSON"},
		{"deploy", "", "UserParameters of the action is not JSON"},
		{`{"s3Bucket":"inputs"}`, "", "lacks s3Bucket or stateMachineFile"},
		{`{"s3Bucket":"inputs","stateMachineFile":"none.json"}`, "", "s3://inputs/none.json"},
		{`{"s3Bucket":"inputs","stateMachineFile":"list.json"}`, "", "is not a JSON object"},
		{`{"s3Bucket":"inputs","stateMachineFile":"empty.json"}`, "", "has a stateMachineArn"},
		{`{"s3Bucket":"inputs","stateMachineFile":"huge.json"}`, "", "has more than"},
		{`{}`, "some token", "is not one of ours"},
		{`{}`, `{"execution":"arn:aws:states:eu-west-1:123456789012:execution:deploy:gone"}`, "is gone"},
	} {
		if err := b.job(t, fmt.Sprintf("%x", i), row.parameters, row.token); err != nil {
			t.Errorf("%s: %v", row.parameters, err)
		}
		details, _ := b.jobs.last()["failureDetails"].(map[string]any)
		if message, _ := details["message"].(string); !strings.Contains(message, row.want) || b.jobs.last()["jobId"] != jobID(fmt.Sprintf("%x", i)) {
			t.Errorf("%s: %v, want a failure that says %q", row.parameters, b.jobs.last(), row.want)
		}
	}
	b.starter.errs = []error{&dispatch.BlockedError{Err: errors.New("AccessDeniedException: not authorized")}}
	if err := b.job(t, "d", `{"s3Bucket":"inputs","stateMachineFile":"good.json"}`, ""); err != nil {
		t.Error(err)
	}
	if text := fmt.Sprint(b.jobs.last()); !strings.Contains(text, "AccessDeniedException") {
		t.Errorf("refused: %v", text)
	}
}

func TestPipelineTriesAgainWhatMayPass(t *testing.T) {
	b := newBridge(t)
	b.put(t, "good.json", `{"stateMachineArn":"`+deploy+`"}`)
	b.starter.errs = []error{&dispatch.ThrottledError{Err: errors.New("rate exceeded")}}
	b.starter.lost = true
	b.jobs.faults = []int{400, 500}
	if err := b.job(t, "a", `{"s3Bucket":"inputs","stateMachineFile":"good.json"}`, ""); err != nil {
		t.Fatal(err)
	}
	if len(b.starter.inputs) != 1 || b.starter.calls != 3 {
		t.Errorf("%d executions after %d calls, want one after three", len(b.starter.inputs), b.starter.calls)
	}
	if b.jobs.last()["continuationToken"] == nil {
		t.Errorf("%v", b.jobs.last())
	}
	// Where CodePipeline cannot be told, Lambda is to try the event again.
	b.jobs.faults = []int{500, 500, 500, 500, 500, 500}
	if err := b.job(t, "b", `{"s3Bucket":"inputs","stateMachineFile":"good.json"}`, ""); err == nil {
		t.Error("no error, and no result either")
	}
}
