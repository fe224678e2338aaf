package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"switchyard/config"
	"switchyard/githost"
	"switchyard/internal/awsaccess"
	"switchyard/webhook/sqs"
)

// lambdaWorks is for how long, in seconds, the function may work on a message; see
// docs/aws.md, "Limits".
const lambdaWorks = 120

// queue looks at a queue, at where its messages come from and where they end.
func queue(ctx context.Context, q *config.Queue) []Result {
	const check = "queue"
	api, err := sqs.Dial(ctx, q.Access, q.Config.Queue)
	if err != nil {
		return []Result{failed(check, q.Key+": "+err.Error(), "correct "+q.Key+".queue, or give credentials as for the AWS command line")}
	}
	has, err := attributes(ctx, api, q.Config.Queue)
	if err != nil {
		return []Result{refusedBy(check, q.Key, "sqs:GetQueueAttributes", true, err)}
	}
	found := []Result{good(check, "%s: %s is there, with some %s messages", q.Key, last(q.Config.Queue, "/"), has["ApproximateNumberOfMessages"])}
	if visible, err := strconv.Atoi(has["VisibilityTimeout"]); err == nil && q.Source == "" && visible < lambdaWorks {
		found = append(found, failed(check, fmt.Sprintf("%s: its messages come again after %d s, while the function may still work on them", q.Key, visible), fmt.Sprintf("set its visibility timeout to %d s or more", lambdaWorks)))
	}
	found = append(found, deadLetters(ctx, api, q, has["RedrivePolicy"]))
	return append(found, rules(ctx, q, has["QueueArn"])...)
}

func attributes(ctx context.Context, api *awssqs.Client, url string) (map[string]string, error) {
	out, err := api.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return nil, err
	}
	return out.Attributes, nil
}

// deadLetters looks at the queue for what could not be worked on. It is in the
// account and region of the other one.
func deadLetters(ctx context.Context, api *awssqs.Client, q *config.Queue, policy string) Result {
	const check = "dead letters"
	var redrive struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(policy), &redrive); err != nil || redrive.Target == "" {
		return warning(check, q.Key+": it has no dead-letter queue, so that what cannot be worked on comes again until it expires", "give it one by a redrive policy")
	}
	url := strings.TrimSuffix(q.Config.Queue, last(q.Config.Queue, "/")) + last(redrive.Target, ":")
	has, err := attributes(ctx, api, url)
	if err != nil {
		return refusedBy(check, q.Key+", "+last(redrive.Target, ":"), "sqs:GetQueueAttributes", false, err)
	}
	if n := has["ApproximateNumberOfMessages"]; n != "0" {
		return warning(check, fmt.Sprintf("%s: some %s messages could not be worked on and are in %s", q.Key, n, last(redrive.Target, ":")), "repair the cause, which the log names, then: aws sqs start-message-move-task --source-arn "+redrive.Target)
	}
	return good(check, "%s: none in %s", q.Key, last(redrive.Target, ":"))
}

// rules looks at those of EventBridge that send to a queue.
func rules(ctx context.Context, q *config.Queue, arn string) []Result {
	const check = "rules"
	settings := q.Access
	if region := sqs.Region(q.Config.Queue); region != "" {
		settings.Region = region
	}
	loaded, err := awsaccess.Load(ctx, settings)
	if err != nil {
		return []Result{failed(check, q.Key+": "+err.Error(), "give credentials as for the AWS command line")}
	}
	api := eventbridge.NewFromConfig(loaded)
	named, err := api.ListRuleNamesByTarget(ctx, &eventbridge.ListRuleNamesByTargetInput{TargetArn: &arn})
	if err != nil {
		return []Result{refusedBy(check, q.Key, "events:ListRuleNamesByTarget", false, err)}
	}
	if len(named.RuleNames) == 0 {
		return []Result{warning(check, q.Key+": no rule of the default event bus sends to it", "make one for its events, or see that a topic or another bus does; docs/sources/codecommit.md")}
	}
	var found []Result
	for _, name := range named.RuleNames {
		rule, err := api.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &name})
		switch {
		case err != nil:
			found = append(found, refusedBy(check, q.Key+", "+name, "events:DescribeRule", false, err))
		case rule.State == eventtypes.RuleStateDisabled:
			found = append(found, failed(check, q.Key+": rule "+name+" is disabled", "aws events enable-rule --name "+name))
		default:
			found = append(found, good(check, "%s: rule %s sends events of %s", q.Key, name, sourcesOf(aws.ToString(rule.EventPattern))))
		}
	}
	return found
}

// sourcesOf are the services whose events a rule's pattern takes.
func sourcesOf(pattern string) string {
	var p struct {
		Source []string `json:"source"`
	}
	if json.Unmarshal([]byte(pattern), &p) != nil || len(p.Source) == 0 {
		return "any service"
	}
	return strings.Join(p.Source, ", ")
}

// topics looks at those of a source, and at their subscriptions to our URL.
func topics(ctx context.Context, source string, arns []string, settings awsaccess.Settings, to string) []Result {
	const check = "topic"
	var found []Result
	for _, arn := range arns {
		if parts := strings.Split(arn, ":"); len(parts) > 3 {
			settings.Region = parts[3]
		}
		loaded, err := awsaccess.Load(ctx, settings)
		if err != nil {
			return []Result{failed(check, source+": "+err.Error(), "give credentials as for the AWS command line")}
		}
		found = append(found, topic(ctx, sns.NewFromConfig(loaded), source, arn, to))
	}
	return found
}

// pending is what SNS has in the place of the ARN of a subscription that was not
// confirmed.
const pending = "PendingConfirmation"

func topic(ctx context.Context, api *sns.Client, source, arn, to string) Result {
	const check = "topic"
	name := source + ": " + last(arn, ":")
	pages := sns.NewListSubscriptionsByTopicPaginator(api, &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return refusedBy(check, name, "sns:ListSubscriptionsByTopic", false, err)
		}
		for i := range page.Subscriptions {
			if sub := &page.Subscriptions[i]; githost.SameURL(aws.ToString(sub.Endpoint), to) {
				if aws.ToString(sub.SubscriptionArn) == pending {
					return failed(check, name+" waits for "+to+" to confirm its subscription", "see that the service runs and that "+to+" leads to it, and subscribe again")
				}
				return good(check, "%s sends to %s", name, to)
			}
		}
	}
	if to == "" {
		return unknown(check, "%s is there; without server.public_url nobody can tell which subscription is ours", name)
	}
	return failed(check, name+" has no subscription that leads to "+to, "aws sns subscribe --protocol https --topic-arn "+arn+" --notification-endpoint "+to)
}

// last is what follows the last separator.
func last(text, separator string) string { return text[strings.LastIndex(text, separator)+1:] }
