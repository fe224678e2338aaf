package stepfn

import "testing"

func TestConsoleLinkByPartition(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:states:eu-west-1:123456789012:execution:deploy:x":            "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:123456789012:execution:deploy:x",
		"arn:aws-cn:states:cn-north-1:123456789012:execution:deploy:x":        "https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/arn:aws-cn:states:cn-north-1:123456789012:execution:deploy:x",
		"arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:deploy:x": "https://us-gov-west-1.console.amazonaws-us-gov.com/states/home?region=us-gov-west-1#/v2/executions/details/arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:deploy:x",
		"arn:aws-iso:states:us-iso-east-1:123456789012:execution:deploy:x":    "",
		"":  "",
		"x": "",
	} {
		if got := ConsoleLink(arn); got != want {
			t.Errorf("%s: %s, want %s", arn, got, want)
		}
	}
}
