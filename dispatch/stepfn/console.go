package stepfn

import (
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// consoles are the console's hosts by partition.
var consoles = map[string]string{
	"aws":        "console.aws.amazon.com",
	"aws-cn":     "console.amazonaws.cn",
	"aws-us-gov": "console.amazonaws-us-gov.com",
}

// ConsoleLink is the address of an execution in the AWS console, "" where its
// partition has none that is known.
func ConsoleLink(executionARN string) string {
	a, err := arn.Parse(executionARN)
	host := consoles[a.Partition]
	if err != nil || host == "" {
		return ""
	}
	return "https://" + a.Region + "." + host + "/states/home?region=" + url.QueryEscape(a.Region) + "#/v2/executions/details/" + executionARN
}
