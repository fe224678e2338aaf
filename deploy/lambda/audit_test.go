package lambda_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"switchyard/audit"
	"switchyard/deploy/lambda"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"
	"switchyard/internal/event"
)

// branches is a git host whose branches have commits one after another.
type branches map[string][]string

func (b branches) Refs(context.Context, string) (map[string]string, error) {
	refs := map[string]string{}
	for name, commits := range b {
		refs["refs/heads/"+name] = commits[len(commits)-1]
	}
	return refs, nil
}

func (b branches) Commits(_ context.Context, push *event.Event) ([]event.Commit, error) {
	var all []event.Commit
	commits := b[push.Branch()]
	for _, sha := range commits[slices.Index(commits, push.Before)+1:] {
		all = append(all, event.Commit{SHA: sha, Message: "m", MessageKnown: true, Distinct: true})
	}
	return all, nil
}

func (b branches) Commit(context.Context, string, string, string) (event.Commit, error) {
	return event.Commit{}, nil
}

// everyCommit asks for an execution of each commit.
type everyCommit struct{}

func (everyCommit) HasRoute(string) bool { return true }

func (everyCommit) Plan(ev event.Event) (plan event.Plan) {
	for _, c := range ev.Commits {
		plan.Requests = append(plan.Requests, event.Request{ID: "x-" + c.SHA, Route: "all", StateMachine: "deploy", Source: ev.Source, Repository: ev.Repository.FullName, Commit: c, Input: []byte(`{}`)})
	}
	return plan
}

// A function without a database finds what no delivery told: the bucket knows where
// branches were, and Step Functions what was started.
func TestScheduledAudit(t *testing.T) {
	awstest.Isolate(t)
	t.Setenv("AWS_ENDPOINT_URL", awstest.Moto(t))
	cfg, err := awsaccess.Load(t.Context(), awsaccess.Settings{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	queues, objects, machines := sqs.NewFromConfig(cfg), s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), sfn.NewFromConfig(cfg)
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("switchyard")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: aws.String("deliveries"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"},
	}); err != nil {
		t.Fatal(err)
	}
	machine, err := machines.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("deploy"), RoleArn: aws.String("arn:aws:iam::123456789012:role/x"), Definition: aws.String(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := stepfn.New(stepfn.One(machines), stepfn.Config{StateMachines: map[string]stepfn.Machine{"deploy": {ARN: aws.ToString(machine.StateMachineArn)}}})
	if err != nil {
		t.Fatal(err)
	}
	host := branches{"main": {"a", "b"}}
	store := &lambda.Store{Queue: queues, URL: aws.ToString(queue.QueueUrl), Objects: objects, Bucket: "deliveries"}
	ledger := &lambda.Ledger{Sink: &lambda.Sink{Store: store, Planner: everyCommit{}}, Engine: engine}
	auditor := &lambda.Auditor{Heal: true, Log: zap.NewNop(), Auditor: audit.New(ledger, func(context.Context) ([]audit.Repository, error) {
		return []audit.Repository{{Source: "git hub", Name: "acme/api", Host: host}}, nil
	}, func() (audit.Planner, audit.Config) { return everyCommit{}, audit.Config{} })}
	function := &lambda.Function{Audit: auditor.Run, Log: zap.NewNop()}

	// told audits, and returns the commits of the events that are put on the queue.
	told := func() []string {
		t.Helper()
		if _, err := function.Invoke(t.Context(), []byte(`{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}`)); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			var body struct{ Event event.Event }
			if err := json.Unmarshal([]byte(aws.ToString(m.Body)), &body); err != nil || !strings.HasPrefix(body.Event.DeliveryID, "audit-") {
				t.Errorf("%s: %v", aws.ToString(m.Body), err)
			}
			for _, c := range body.Event.Commits {
				found[c.SHA] = true
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	if got := told(); len(got) != 0 {
		t.Errorf("the first audit told of %v", got)
	}
	host["main"] = append(host["main"], "c", "d", "e")
	host["feature/x"] = []string{"x"}
	if _, err := engine.Start(t.Context(), "deploy", "x-d", []byte(`{}`)); err != nil { // a delivery told of that one
		t.Fatal(err)
	}
	if got := told(); !slices.Equal(got, []string{"c", "d", "e", "x"}) {
		t.Errorf("told of %v", got)
	}
	if got := told(); len(got) != 0 {
		t.Errorf("told again of %v", got)
	}
	store.Bucket = "another" // it may not be read, so nothing is concluded
	host["main"] = append(host["main"], "f")
	if _, err := ledger.Audited(t.Context(), "git hub", "acme/api"); err == nil || !strings.Contains(err.Error(), "s3://another/audits/git%20hub/acme%2Fapi.json") {
		t.Error(err)
	}
}
