package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"switchyard/internal/awsaccess"
)

// queuePath is the account and the name of a queue, behind what an emulator may
// put before.
var queuePath = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)*/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?$`)

// CheckQueue refuses what is not a queue's URL.
func CheckQueue(queue string) error {
	u, err := url.Parse(queue)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !queuePath.MatchString(u.Path) {
		return fmt.Errorf("%q is not a queue's URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard", queue)
	}
	return nil
}

var queueRegion = regexp.MustCompile(`(?:^|\.)(?:sqs|sqs-fips)\.([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.`)

// Region is the region that a queue's URL names, "" if it names none.
func Region(queue string) string {
	u, err := url.Parse(queue)
	if err != nil {
		return ""
	}
	if m := queueRegion.FindStringSubmatch(u.Hostname()); m != nil {
		return m[1]
	}
	return ""
}

// Dial returns a client of the service that has the queue: where it is called is
// what the queue's URL says. It reads files and environment, and calls nobody.
func Dial(ctx context.Context, access awsaccess.Settings, queue string) (*sqs.Client, error) {
	if err := CheckQueue(queue); err != nil {
		return nil, err
	}
	if region := Region(queue); region != "" {
		access.Region = region
	}
	loaded, err := awsaccess.Load(ctx, access)
	if err != nil {
		return nil, err
	}
	if loaded.Region == "" {
		return nil, errors.New("the queue's URL names no region, and neither does the AWS configuration; set AWS_REGION")
	}
	end := strings.Index(queue, "//") + 2
	end += strings.IndexByte(queue[end:], '/')
	endpoint := queue[:end]
	return sqs.NewFromConfig(loaded, func(o *sqs.Options) {
		o.BaseEndpoint = &endpoint
		// Which endpoint it is, the URL has said; the SDK refuses to be told twice.
		o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled
	}), nil
}
