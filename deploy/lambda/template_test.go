package lambda

import (
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// The numbers of the template that hang together with those of the code.
func TestTemplateGivesMessagesTheirTime(t *testing.T) {
	text, err := os.ReadFile("../sam/serverless.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type queue struct {
		Properties struct {
			VisibilityTimeout      int `yaml:"VisibilityTimeout"`
			MessageRetentionPeriod int `yaml:"MessageRetentionPeriod"`
			RedrivePolicy          struct {
				MaxReceiveCount int `yaml:"maxReceiveCount"`
			} `yaml:"RedrivePolicy"`
		} `yaml:"Properties"`
	}
	var template struct {
		Resources struct {
			Function struct {
				Properties struct {
					Timeout int `yaml:"Timeout"`
				} `yaml:"Properties"`
			} `yaml:"Function"`
			Queue     queue `yaml:"Queue"`
			DeadQueue queue `yaml:"DeadQueue"`
			Bucket    struct {
				Properties struct {
					LifecycleConfiguration struct {
						Rules []struct {
							Prefix           string `yaml:"Prefix"`
							ExpirationInDays int    `yaml:"ExpirationInDays"`
						} `yaml:"Rules"`
					} `yaml:"LifecycleConfiguration"`
				} `yaml:"Properties"`
			} `yaml:"Bucket"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	r := template.Resources
	// Lambda's advice, see "Using Lambda with Amazon SQS".
	timeout, visible := r.Function.Properties.Timeout, r.Queue.Properties.VisibilityTimeout
	if timeout == 0 || visible < 6*timeout {
		t.Errorf("the queue's VisibilityTimeout is %d s, want at least six times the function's Timeout of %d s", visible, timeout)
	}
	var tried time.Duration
	for n := range r.Queue.Properties.RedrivePolicy.MaxReceiveCount {
		tried += pauseAfter(n)
	}
	retention := time.Duration(r.Queue.Properties.MessageRetentionPeriod) * time.Second
	if tried < 12*time.Hour || tried > retention {
		t.Errorf("a message is tried for %v, want half a day at least and less than the queue's retention of %v", tried, retention)
	}
	// The age of a message counts from when it was sent, also in the dead-letter queue.
	kept := max(retention, time.Duration(r.DeadQueue.Properties.MessageRetentionPeriod)*time.Second)
	found := false
	for _, rule := range r.Bucket.Properties.LifecycleConfiguration.Rules {
		if rule.Prefix == "deliveries/" {
			found = true
			if time.Duration(rule.ExpirationInDays)*24*time.Hour <= kept {
				t.Errorf("objects of deliveries expire after %d days, messages after %v", rule.ExpirationInDays, kept)
			}
		}
	}
	if !found {
		t.Error("nothing expires below deliveries/")
	}
}
