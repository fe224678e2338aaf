package sns

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/sieve"
)

// The types of envelopes.
const (
	notification = "Notification"
	subscription = "SubscriptionConfirmation"
	unsubscribed = "UnsubscribeConfirmation"
)

// envelope is what SNS wraps a message in.
type envelope struct {
	Type             string  `json:"Type"`
	MessageID        string  `json:"MessageId"`
	Token            string  `json:"Token"`
	TopicARN         string  `json:"TopicArn"`
	Subject          *string `json:"Subject"`
	Message          string  `json:"Message"`
	SubscribeURL     string  `json:"SubscribeURL"`
	Timestamp        string  `json:"Timestamp"`
	SignatureVersion string  `json:"SignatureVersion"`
	Signature        string  `json:"Signature"`
	SigningCertURL   string  `json:"SigningCertURL"`
}

var envelopeFields = sieve.Fields{
	"Type": nil, "MessageId": nil, "Token": nil, "TopicArn": nil, "Subject": nil, "Message": nil, "SubscribeURL": nil,
	"Timestamp": nil, "SignatureVersion": nil, "Signature": nil, "SigningCertURL": nil,
}

// opener reads envelopes.
type opener struct{ kept *sieve.Sieve }

func newOpener() (opener, error) {
	kept, err := sieve.New(envelopeFields)
	return opener{kept}, err
}

func (o opener) open(body []byte) (*envelope, error) {
	sifted, err := o.kept.Sift(make([]byte, 0, len(body)), body)
	if err != nil {
		return nil, err
	}
	e := new(envelope)
	if err := json.Unmarshal(sifted, e); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("%s: a JSON %s, where %s should be", wrong.Field, wrong.Value, wrong.Type.Kind())
		}
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}

// text is what is signed: the names and values of some members, in the order of
// their bytes.
func (e *envelope) text() []byte {
	members := [][2]string{{"Message", e.Message}, {"MessageId", e.MessageID}}
	if e.Type == notification {
		if e.Subject != nil {
			members = append(members, [2]string{"Subject", *e.Subject})
		}
		members = append(members, [2]string{"Timestamp", e.Timestamp})
	} else {
		members = append(members, [2]string{"SubscribeURL", e.SubscribeURL}, [2]string{"Timestamp", e.Timestamp}, [2]string{"Token", e.Token})
	}
	members = append(members, [2]string{"TopicArn", e.TopicARN}, [2]string{"Type", e.Type})
	var b strings.Builder
	for _, m := range members {
		b.WriteString(m[0] + "\n" + m[1] + "\n")
	}
	return []byte(b.String())
}

var topicARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,32}):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)

// ValidTopic reports whether the text is the ARN of a topic whose messages can
// be verified.
func ValidTopic(arn string) bool { return topicARN.MatchString(arn) }

// hostOf is the host of SNS in a topic's region.
func hostOf(topic string) string {
	m := topicARN.FindStringSubmatch(topic)
	if m == nil {
		return ""
	}
	host := "sns." + m[2] + ".amazonaws.com"
	if m[1] == "aws-cn" {
		host += ".cn"
	}
	return host
}

// Unwrap returns a decoder that also takes messages in their envelopes, as a
// queue that is subscribed to a topic gets them. It verifies no signature: it is
// for messages whose way here is guarded otherwise.
func Unwrap(next webhook.Decoder) (webhook.Decoder, error) {
	o, err := newOpener()
	return unwrapping{o, next}, err
}

type unwrapping struct {
	opener opener
	next   webhook.Decoder
}

// DecodeMessage implements [webhook.Decoder].
func (u unwrapping) DecodeMessage(text []byte) ([]event.Event, error) {
	e, err := u.opener.open(text)
	if err != nil || e.Type == "" || e.TopicARN == "" {
		return u.next.DecodeMessage(text) // which says what is wrong with it
	}
	if e.Type != notification {
		return []event.Event{{DeliveryID: e.MessageID}}, &webhook.Ignored{Reason: fmt.Sprintf("SNS message of type %s: not a notification", shown(e.Type))}
	}
	return u.next.DecodeMessage([]byte(e.Message))
}

func shown(s string) string { return `"` + safetext.Cut(safetext.Line(s), 120) + `"` }
