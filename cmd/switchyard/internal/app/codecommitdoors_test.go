package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch"
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

// statusEvent is EventBridge's word that an execution has succeeded.
func statusEvent(x *dispatch.Execution) []byte {
	return fmt.Appendf(nil, `{"version":"0","id":"e-%s","detail-type":"Step Functions Execution Status Change","source":"aws.states","account":"123456789012","region":"eu-west-1",`+
		`"detail":{"executionArn":%q,"stateMachineArn":%q,"name":%q,"status":"SUCCEEDED","startDate":1795168800000,"stopDate":1795168801000,"input":null,"output":null}}`,
		x.ID, x.ARN, awsMachine, x.ID)
}

// Asked, Step Functions would say that they run.
func TestStatusEventsAreHints(t *testing.T) {
	f := newStepFunctions(t)
	text := fmt.Sprintf(awsSettings, secret, f.serve())
	text = strings.Replace(text, "sources:\n", codeCommitSettings[strings.Index(codeCommitSettings, "sources:"):], 1)
	text = strings.Replace(text, "{region: eu-west-1,", "{status_events: {eventbridge: {api_keys: [of states]}}, region: eu-west-1,", 1)
	s := startWith(t, t.TempDir(), text, "")
	s.deliver(t, "d1", push("main", "one", "two"))
	running := s.are(t, dispatch.StateRunning, 2)
	if status, body := s.post(t, "eventbridge", "the key of the test", statusEvent(&running[0])); status != http.StatusUnauthorized {
		t.Errorf("with another door's key: %d %s", status, body)
	}
	if status, body := s.post(t, "eventbridge", "of states", codeCommitEvent(t, "reference-updated.json")); status != http.StatusOK || !strings.Contains(body, "provider codecommit") {
		t.Errorf("a push at the door for status events: %d %s", status, body)
	}
	for i, door := range [][2]string{{"eventbridge", "of states"}, {"codecommit", "the key of the test"}} {
		if status, body := s.post(t, door[0], door[1], statusEvent(&running[i])); status != http.StatusOK || !strings.Contains(body, "taken as a hint") {
			t.Errorf("%s: %d %s", door[0], status, body)
		}
		s.are(t, dispatch.StateSucceeded, i+1)
	}
	// One of an execution that nobody knows here, and one that is nonsense.
	for _, text := range []string{strings.ReplaceAll(string(statusEvent(&running[0])), running[0].ID, "unknown"), `{"id":"x","source":"aws.states","detail":7}`} {
		if status, body := s.post(t, "eventbridge", "of states", []byte(text)); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
}

// What a queue or a file holds may be in SNS's envelope. Over HTTP it may not be
// within another one, which nobody has signed.
func TestMessagesOfSNSAreUnwrapped(t *testing.T) {
	cfg := load(t, t.TempDir(), codeCommitSettings, "{}")
	envelope := fmt.Appendf(nil, `{"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-2:123456789012:t", "Message": %q}`, codeCommitEvent(t, "reference-updated.json"))
	messages, err := app.CodeCommitMessages(cfg, "codecommit", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{envelope, codeCommitEvent(t, "reference-updated.json")} {
		evs, err := messages.DecodeMessage(text)
		if err != nil || len(evs) != 1 || evs[0].DeliveryID != "d9889834-9eb8-5fd3-b618-fb7e3ca40284" || evs[0].Repository.CloneURL == "" {
			t.Errorf("%+v, %v", evs, err)
		}
	}
	events, err := app.CodeCommitDecoder(cfg, "codecommit", nil)
	if err != nil {
		t.Fatal(err)
	}
	if evs, err := events.DecodeMessage(envelope); err == nil {
		t.Errorf("an envelope is taken where there should be none: %+v", evs)
	}
}
