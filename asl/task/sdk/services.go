package sdk

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"switchyard/asl/task"
)

// service is one that can be called.
type service struct {
	// prefix is that of its errors' names: what the AWS SDK for Java calls it,
	// which Step Functions calls it with.
	prefix string
	client func(cfg aws.Config, endpoint *string) any // nil for the engine's own
}

// services are those that can be called, by their name in a resource.
var services = map[string]service{
	"cloudformation": {"CloudFormation", func(c aws.Config, e *string) any {
		return cloudformation.NewFromConfig(c, func(o *cloudformation.Options) { o.BaseEndpoint = e })
	}},
	"cloudwatch": {"CloudWatch", func(c aws.Config, e *string) any {
		return cloudwatch.NewFromConfig(c, func(o *cloudwatch.Options) { o.BaseEndpoint = e })
	}},
	"cloudwatchlogs": {"CloudWatchLogs", func(c aws.Config, e *string) any {
		return cloudwatchlogs.NewFromConfig(c, func(o *cloudwatchlogs.Options) { o.BaseEndpoint = e })
	}},
	"codebuild": {"CodeBuild", func(c aws.Config, e *string) any {
		return codebuild.NewFromConfig(c, func(o *codebuild.Options) { o.BaseEndpoint = e })
	}},
	"codecommit": {"CodeCommit", func(c aws.Config, e *string) any {
		return codecommit.NewFromConfig(c, func(o *codecommit.Options) { o.BaseEndpoint = e })
	}},
	"codepipeline": {"CodePipeline", func(c aws.Config, e *string) any {
		return codepipeline.NewFromConfig(c, func(o *codepipeline.Options) { o.BaseEndpoint = e })
	}},
	"dynamodb": {"DynamoDb", func(c aws.Config, e *string) any {
		return dynamodb.NewFromConfig(c, func(o *dynamodb.Options) { o.BaseEndpoint = e })
	}},
	"ecs": {"Ecs", func(c aws.Config, e *string) any {
		return ecs.NewFromConfig(c, func(o *ecs.Options) { o.BaseEndpoint = e })
	}},
	"eventbridge": {"EventBridge", func(c aws.Config, e *string) any {
		return eventbridge.NewFromConfig(c, func(o *eventbridge.Options) { o.BaseEndpoint = e })
	}},
	"lambda": {"Lambda", func(c aws.Config, e *string) any {
		return lambda.NewFromConfig(c, func(o *lambda.Options) { o.BaseEndpoint = e })
	}},
	"s3": {"S3", func(c aws.Config, e *string) any {
		return s3.NewFromConfig(c, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = e, e != nil })
	}},
	"secretsmanager": {"SecretsManager", func(c aws.Config, e *string) any {
		return secretsmanager.NewFromConfig(c, func(o *secretsmanager.Options) { o.BaseEndpoint = e })
	}},
	stepFunctions: {prefix: "Sfn"},
	"sns": {"Sns", func(c aws.Config, e *string) any {
		return sns.NewFromConfig(c, func(o *sns.Options) { o.BaseEndpoint = e })
	}},
	"sqs": {"Sqs", func(c aws.Config, e *string) any {
		return sqs.NewFromConfig(c, func(o *sqs.Options) { o.BaseEndpoint = e })
	}},
	"ssm": {"Ssm", func(c aws.Config, e *string) any {
		return ssm.NewFromConfig(c, func(o *ssm.Options) { o.BaseEndpoint = e })
	}},
	"sts": {"Sts", func(c aws.Config, e *string) any {
		return sts.NewFromConfig(c, func(o *sts.Options) { o.BaseEndpoint = e })
	}},
}

// integration is how a resource's call is made and told.
type integration struct {
	service, action string
	// prefix is that of its errors' names, and unknown the name, behind the
	// prefix, of those that the service's model does not have.
	prefix, unknown string
	// named is the name in Step Functions of a member of the answer.
	named func(string) string
	// metadata adds the answer's HTTP status, headers and request ID.
	metadata bool
	// texts are members, by path, that may be given as any JSON.
	texts map[string]bool
	// check looks at an answer that is a success for what is none.
	check func(output any) error
}

// own are Step Functions' own integrations, by their resource. From "Optimizing
// integrations" in its guide,
// https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html.
var own = map[string]integration{
	"dynamodb:deleteItem": dynamo("deleteItem"),
	"dynamodb:getItem":    dynamo("getItem"),
	"dynamodb:putItem":    dynamo("putItem"),
	"dynamodb:updateItem": dynamo("updateItem"),
	"sns:publish":         {service: "sns", action: "publish", prefix: "SNS", unknown: "AmazonSNSException", metadata: true, texts: map[string]bool{"Message": true}},
	"sqs:sendMessage":     {service: "sqs", action: "sendMessage", prefix: "SQS", unknown: "AmazonSQSException", metadata: true, texts: map[string]bool{"MessageBody": true}},
	"events:putEvents": {
		service: "eventbridge", action: "putEvents", prefix: "EventBridge", unknown: "AmazonEventBridgeException", metadata: true,
		texts: map[string]bool{"Entries.Detail": true}, check: allTaken,
	},
}

func dynamo(action string) integration {
	return integration{service: "dynamodb", action: action, prefix: "DynamoDB", unknown: "AmazonDynamoDBException", metadata: true}
}

// allTaken fails a PutEvents of which an event was refused.
func allTaken(output any) error {
	out := output.(*eventbridge.PutEventsOutput)
	if out.FailedEntryCount == 0 {
		return nil
	}
	return &task.Error{Name: "EventBridge.FailedEntry", Cause: fmt.Sprintf("%d of %d events were not taken", out.FailedEntryCount, len(out.Entries))}
}
