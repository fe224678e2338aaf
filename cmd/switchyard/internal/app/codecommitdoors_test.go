package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Each door asks for its own proof: a key opens no message of SNS.
func TestDoorsAskForTheirOwnProof(t *testing.T) {
	const topic = "arn:aws:sns:us-east-2:123456789012:switchyard"
	const onlySNS = `  topics: {provider: codecommit, region: us-east-2, account: "123456789012", sns: {topics: ["` + topic + `"]}}` + "\n"
	s := startWith(t, t.TempDir(), codeCommitSettings+`    sns: {topics: ["`+topic+`"]}`+"\n"+onlySNS+`
  events: {provider: codecommit, region: us-east-2, account: "123456789012", eventbridge: {api_keys: [the key of the test]}}
`, machine)
	envelope := fmt.Appendf(nil, `{"Type": "Notification", "MessageId": "m", "TopicArn": %q, "Message": "{}", "Timestamp": %q, "SignatureVersion": "2", "Signature": "AAAA", "SigningCertURL": "https://evil.example/x.pem"}`,
		topic, time.Now().UTC().Format(time.RFC3339))
	for name, row := range map[string]struct {
		source, topic string
		status        int
		text          string
	}{
		"forged":                 {"codecommit", topic, 401, "is not a signing certificate of SNS"},
		"another topic":          {"codecommit", topic + "x", 403, "is not under this source's sns.topics"},
		"SNS where it is closed": {"events", topic, 401, "messages of SNS are not taken here"},
		"a key where only SNS":   {"topics", "", 401, "nothing but messages of SNS"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+"/webhooks/"+row.source, bytes.NewReader(envelope))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Api-Key", "the key of the test")
			if row.topic != "" {
				r.Header.Set("x-amz-sns-message-type", "Notification")
				r.Header.Set("x-amz-sns-topic-arn", row.topic)
			}
			if status, body := do(t, r); status != row.status || !strings.Contains(body, row.text) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
