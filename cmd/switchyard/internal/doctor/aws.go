package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"switchyard/config"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awsaccess"
)

// aws looks at what the config names in AWS: at the state machines in any case,
// and at the rest where it is asked for.
func (s *Setup) aws() []Check {
	var checks []Check
	access, engine := s.Config.AWSAccess()
	if s.AWS && engine {
		checks = append(checks, Check{Area: "aws", Name: "identity", Run: func(ctx context.Context) []Result {
			return identity(ctx, "engine.aws", access.Settings, "")
		}})
	}
	if engine {
		for _, name := range slices.Sorted(maps.Keys(s.Config.StateMachines)) {
			checks = append(checks, Check{Area: "aws", Name: "state machine", Run: func(ctx context.Context) []Result {
				m := s.Config.StateMachines[name]
				return s.machine(ctx, name, &m, access)
			}})
		}
	}
	if !s.AWS {
		return checks
	}
	for _, q := range s.Config.Queues() {
		checks = append(checks, Check{Area: "aws", Name: "queue", Run: func(ctx context.Context) []Result { return queue(ctx, &q) }})
	}
	if less := s.Config.Serverless; less != nil {
		q := config.Queue{Key: "serverless", Access: access.Settings}
		q.Config.Queue = less.Queue
		checks = append(checks, Check{Area: "aws", Name: "queue", Run: func(ctx context.Context) []Result { return queue(ctx, &q) }})
		if less.Bucket != "" {
			checks = append(checks, Check{Area: "aws", Name: "bucket", Run: func(ctx context.Context) []Result { return bucket(ctx, less.Bucket, access.Settings) }})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Config.Sources)) {
		settings, endpoint, ok := s.Config.CodeCommitAccess(name)
		if !ok {
			continue
		}
		source := s.Config.Sources[name]
		checks = append(checks, Check{Area: "aws", Name: "identity", Run: func(ctx context.Context) []Result {
			return identity(ctx, "sources."+name, settings, source.Account)
		}}, Check{Area: "aws", Name: "codecommit", Run: func(ctx context.Context) []Result {
			return repositories(ctx, name, s.Repositories[name], settings, endpoint)
		}})
		if source.SNS != nil {
			checks = append(checks, Check{Area: "aws", Name: "topic", Run: func(ctx context.Context) []Result {
				return topics(ctx, name, source.SNS.Topics, settings, s.Config.HookURL(name))
			}})
		}
	}
	return checks
}

// refusedBy says what an error of AWS is about. action is the permission that the
// call takes; own says that the service itself needs it too, so that it is missing
// there as well when this runs with the service's role.
func refusedBy(check, what, action string, own bool, err error) Result {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return failed(check, what+": "+err.Error(), "look at the credentials and the network: they come from where the AWS command line takes them")
	}
	said := fmt.Sprintf("%s: %s: %s", what, api.ErrorCode(), api.ErrorMessage())
	switch denied := strings.Contains(api.ErrorCode(), "AccessDenied") || api.ErrorCode() == "Forbidden" || strings.HasPrefix(api.ErrorCode(), "AuthorizationError"); {
	case denied && own:
		return failed(check, said, "allow "+action+", which the service needs (deploy/iam.yaml)")
	case denied:
		return unknown(check, "%s; to look at it, allow %s to who runs this; the service needs it not", said, action)
	}
	return failed(check, said, "see that it is there, in this region and account, and how the config names it")
}

// identity says as whom calls are made, and whether the clocks agree: AWS refuses
// signatures that are five minutes off.
func identity(ctx context.Context, key string, settings awsaccess.Settings, account string) []Result {
	const check = "identity"
	loaded, err := awsaccess.Load(ctx, settings)
	if err != nil {
		return []Result{failed(check, key+": "+err.Error(), "give credentials as for the AWS command line")}
	}
	if loaded.Region == "" {
		loaded.Region = "us-east-1" // any will do
	}
	out, err := sts.NewFromConfig(loaded).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return []Result{refusedBy(check, key, "sts:AssumeRole", true, err)}
	}
	found := []Result{good(check, "%s: %s", key, aws.ToString(out.Arn))}
	if got := aws.ToString(out.Account); account != "" && got != account {
		found = []Result{failed(check, fmt.Sprintf("%s: calls are made from account %s, and its account is %s", key, got, account), "set "+key+".role to a role of account "+account+", or correct "+key+".account")}
	}
	if theirs, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		r := clock(time.Now(), theirs, false)
		r.Found = key + ": " + r.Found
		found = append(found, r)
	}
	return found
}

// qualified takes a version or alias off the ARN of a state machine.
func qualified(arn string) (machine, qualifier string) {
	parts := strings.SplitN(arn, ":", 8)
	if len(parts) < 8 {
		return arn, ""
	}
	return strings.Join(parts[:7], ":"), parts[7]
}

// machine looks at one state machine.
func (s *Setup) machine(ctx context.Context, name string, m *config.StateMachine, access stepfn.Access) []Result {
	const check = "state machine"
	region := ""
	if parts := strings.Split(m.ARN, ":"); len(parts) > 3 {
		region = parts[3]
	}
	loaded, err := access.Load(ctx, stepfn.Place{Region: region, Role: m.Role, ExternalID: m.ExternalID})
	if err != nil {
		return []Result{failed(check, name+": "+err.Error(), "give credentials as for the AWS command line")}
	}
	api := sfn.NewFromConfig(loaded, func(o *sfn.Options) {
		if access.Endpoint != "" {
			o.BaseEndpoint = &access.Endpoint
		}
	})
	machine, qualifier := qualified(m.ARN)
	var found []Result
	described, err := api.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &machine})
	switch {
	case err != nil:
		found = append(found, refusedBy(check, name, "states:DescribeStateMachine", false, err))
	case described.Type == types.StateMachineTypeExpress:
		found = append(found, failed(check, name+" is of type EXPRESS, whose executions can neither be repeated safely nor described", "make it anew as STANDARD"))
	case described.Status == types.StateMachineStatusDeleting:
		found = append(found, failed(check, name+" is being deleted", "name another in state_machines."+name+".arn"))
	default:
		found = append(found, good(check, "%s is there, of type %s", name, described.Type))
	}
	if qualifier != "" && strings.Trim(qualifier, "0123456789") != "" {
		if _, err := api.DescribeStateMachineAlias(ctx, &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: &m.ARN}); err != nil {
			found = append(found, refusedBy(check, name+", its alias "+qualifier, "states:DescribeStateMachineAlias", false, err))
		} else {
			found = append(found, good(check, "%s has the alias %s", name, qualifier))
		}
	}
	if s.AWS && s.Config.Serverless == nil {
		if _, err := api.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &machine, MaxResults: 1}); err != nil {
			found = append(found, refusedBy("permissions", name, "states:ListExecutions", true, err))
		} else {
			found = append(found, good("permissions", "%s: its executions can be listed", name))
		}
	}
	return found
}

// bucket says whether there is one.
func bucket(ctx context.Context, name string, settings awsaccess.Settings) []Result {
	const check = "bucket"
	loaded, err := awsaccess.Load(ctx, settings)
	if err == nil {
		// As deploy/lambda addresses it, so that emulators are found too.
		_, err = s3.NewFromConfig(loaded, func(o *s3.Options) { o.UsePathStyle = loaded.BaseEndpoint != nil }).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	}
	if err != nil {
		return []Result{refusedBy(check, name, "s3:ListBucket", false, err)}
	}
	return []Result{good(check, "%s is there", name)}
}

// repositories looks at those of a CodeCommit source that are named.
func repositories(ctx context.Context, source string, names []string, settings awsaccess.Settings, endpoint string) []Result {
	const check = "codecommit"
	loaded, err := awsaccess.Load(ctx, settings)
	if err != nil {
		return []Result{failed(check, source+": "+err.Error(), "give credentials as for the AWS command line")}
	}
	if len(names) == 0 {
		return []Result{unknown(check, "%s names no repository; name one with --repository %s:NAME", source, source)}
	}
	api := codecommit.NewFromConfig(loaded, func(o *codecommit.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	var found []Result
	for _, name := range names {
		if _, err := api.GetRepository(ctx, &codecommit.GetRepositoryInput{RepositoryName: &name}); err != nil {
			found = append(found, refusedBy(check, source+":"+name, "codecommit:GetRepository", false, err))
			continue
		}
		branches, err := api.ListBranches(ctx, &codecommit.ListBranchesInput{RepositoryName: &name})
		if err != nil {
			found = append(found, refusedBy(check, source+":"+name, "codecommit:ListBranches", true, err))
			continue
		}
		found = append(found, good(check, "%s:%s has %d branches or more", source, name, len(branches.Branches)))
	}
	return found
}
