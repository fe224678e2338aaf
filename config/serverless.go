package config

import (
	"fmt"
	"regexp"
)

// Serverless is where deliveries wait when Switchyard runs as a Lambda function.
type Serverless struct {
	Queue  string `json:"queue" jsonschema:"URL of the SQS queue that deliveries wait in."`
	Bucket string `json:"bucket,omitzero" jsonschema:"S3 bucket for deliveries of more than 256 KiB, and for the inputs of CodePipeline's actions. Objects below deliveries/ should expire with the queue's retention."`
}

var (
	queueURL   = regexp.MustCompile(`^https?://[^/?#]+(/[^/?#]+)*/[0-9A-Za-z_-]{1,80}$`)
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// checkServerless refuses what a function without a journal cannot do.
func (d *decoder) checkServerless(c *Config) {
	s := c.Serverless
	if s == nil {
		return
	}
	const at = "serverless"
	if c.Engine.AWS == nil {
		d.failValue(at, "is for engine: aws; the embedded engine needs a machine of its own")
	}
	if s.Queue != "" && !queueURL.MatchString(s.Queue) && !d.unresolved[at+".queue"] {
		d.failValue(at+".queue", "%q is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard", s.Queue)
	}
	if s.Bucket != "" && !bucketName.MatchString(s.Bucket) && !d.unresolved[at+".bucket"] {
		d.failValue(at+".bucket", "%q is not the name of a bucket", s.Bucket)
	}
	for _, name := range sorted(c.Environments) {
		if c.Environments[name].MaxParallel > 0 {
			d.failValue(join("environments", name)+".max_parallel", "without a server nobody counts what runs; have the state machine wait for a semaphore, and leave it out")
		}
	}
	for i := range c.Routes {
		at := fmt.Sprintf("routes[%d]", i)
		if c.Routes[i].OnNewCommit == "cancel_superseded" {
			d.failValue(at+".on_new_commit", "without a server nobody knows what runs; leave it out")
		}
		if c.Routes[i].Revisit == "run" {
			d.failValue(at+".revisit", "without a server nobody knows where a branch has been; leave it out")
		}
	}
}
