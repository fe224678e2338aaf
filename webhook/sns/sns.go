// Package sns is the door for topics of SNS that are subscribed over HTTPS.
//
// What SNS posts is signed, and nothing of it is acted on before the signature is
// verified: the signing certificate is fetched from SNS alone, over TLS, and its
// chain checked. Only the topics that the config lists are taken, and only their
// subscriptions confirmed. Raw message delivery has no signature and is refused.
//
// The facts are from the SNS developer guide, "Verifying the signatures of Amazon
// SNS messages" and "Fanout to HTTP/HTTPS endpoints".
package sns

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // signature version 1, which topics have by default
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// The headers of a delivery.
const (
	HeaderType  = "X-Amz-Sns-Message-Type"
	headerTopic = "X-Amz-Sns-Topic-Arn"
	headerRaw   = "X-Amz-Sns-Rawdelivery"
)

const (
	defaultMaxAge = time.Hour
	// maxEnvelope is far above what SNS sends, whose messages have 256 KiB. What is
	// larger is not read: nobody has signed it yet, and reading takes memory.
	maxEnvelope = 1 << 20
	// clocks is by how much two clocks may differ.
	clocks = 5 * time.Minute
)

// Config is what an operator sets.
type Config struct {
	// Topics are the ARNs of the topics that are taken, at least one.
	Topics []string
	// MaxAge is how old a message may be, against repeating what was recorded
	// long ago. Default: one hour, for which SNS tries again at most.
	MaxAge time.Duration
}

// Option replaces what wiring or a test supplies.
type Option func(*options)

type options struct {
	transport http.RoundTripper
	roots     *x509.CertPool
	now       func() time.Time
}

// WithTransport sets how SNS is reached.
func WithTransport(t http.RoundTripper) Option { return func(o *options) { o.transport = t } }

// WithRoots sets the authorities that certify SNS's signing certificates,
// instead of the system's.
func WithRoots(roots *x509.CertPool) Option { return func(o *options) { o.roots = roots } }

// WithClock sets the clock.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Source takes what SNS posts.
type Source struct {
	cfg          Config
	decoder      webhook.Decoder
	opener       opener
	client       *http.Client
	certificates *certificates
	now          func() time.Time
}

var (
	_ webhook.Source     = (*Source)(nil)
	_ webhook.Prechecker = (*Source)(nil)
	_ webhook.Several    = (*Source)(nil)
)

// New returns a source of the messages that decoder reads.
func New(decoder webhook.Decoder, cfg Config, opts ...Option) (*Source, error) {
	if decoder == nil {
		return nil, errors.New("sns: no decoder")
	}
	if len(cfg.Topics) == 0 {
		return nil, errors.New("sns: no topics: anybody could subscribe this service to theirs")
	}
	for i, topic := range cfg.Topics {
		if !ValidTopic(topic) {
			return nil, fmt.Errorf("sns: topics[%d]: %q is not the ARN of a topic", i, topic)
		}
	}
	if cfg.MaxAge < 0 {
		return nil, errors.New("sns: max_age must not be negative")
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	cfg.Topics = slices.Clone(cfg.Topics)
	o := options{transport: http.DefaultTransport, now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	opened, err := newOpener()
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: o.transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Source{cfg: cfg, decoder: decoder, opener: opened, client: client, certificates: newCertificates(client, o.roots, o.now), now: o.now}, nil
}

// Precheck implements [webhook.Prechecker].
func (s *Source) Precheck(h http.Header) error {
	switch kind := h.Get(HeaderType); {
	case kind == "":
		return fmt.Errorf("%w: header %s is not there, so it is not from SNS", webhook.ErrSignatureMissing, HeaderType)
	case h.Get(headerRaw) == "true":
		return fmt.Errorf("%w: raw message delivery has none; set RawMessageDelivery of the subscription to false", webhook.ErrSignatureMissing)
	case kind != notification && kind != subscription && kind != unsubscribed:
		return fmt.Errorf("%w: %s is not a type of SNS message", webhook.ErrSignatureMalformed, shown(kind))
	}
	if topic := h.Get(headerTopic); topic != "" {
		return s.checkTopic(topic)
	}
	return nil
}

func (s *Source) checkTopic(topic string) error {
	if slices.Contains(s.cfg.Topics, topic) {
		return nil
	}
	return &webhook.ForbiddenError{Reason: fmt.Sprintf("topic %s is not under this source's sns.topics", shown(topic))}
}

// Verify implements [webhook.Source].
func (s *Source) Verify(h http.Header, body []byte) error {
	if err := s.Precheck(h); err != nil {
		return err
	}
	if len(body) > maxEnvelope {
		return fmt.Errorf("%w: the body has %d bytes, and messages of SNS have no more than %d", webhook.ErrSignatureMissing, len(body), maxEnvelope)
	}
	e, err := s.opener.open(body)
	if err != nil {
		return fmt.Errorf("%w: the body is not an SNS envelope: %w", webhook.ErrSignatureMissing, err)
	}
	if e.Type != h.Get(HeaderType) {
		return fmt.Errorf("%w: the body is of type %s, and its header says %s", webhook.ErrSignatureMalformed, shown(e.Type), shown(h.Get(HeaderType)))
	}
	if err := s.checkTopic(e.TopicARN); err != nil {
		return err
	}
	if err := s.checkAge(e.Timestamp); err != nil {
		return err
	}
	return s.checkSignature(e)
}

func (s *Source) checkAge(timestamp string) error {
	at, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		return fmt.Errorf("%w: Timestamp: %s is not a time", webhook.ErrSignatureMalformed, shown(timestamp))
	}
	switch age := s.now().Sub(at); {
	case age > s.cfg.MaxAge+clocks:
		return fmt.Errorf("%w: the message is %v old, and at most %v is taken; if SNS tries for longer, set sns.max_age", webhook.ErrSignatureMismatch, age.Round(time.Second), s.cfg.MaxAge)
	case age < -clocks:
		return fmt.Errorf("%w: the message is of %v from now; is this machine's clock right?", webhook.ErrSignatureMismatch, (-age).Round(time.Second))
	}
	return nil
}

func (s *Source) checkSignature(e *envelope) error {
	text := e.text()
	var hash crypto.Hash
	var sum []byte
	switch e.SignatureVersion {
	case "1":
		digest := sha1.Sum(text) //nolint:gosec // as SNS signs
		hash, sum = crypto.SHA1, digest[:]
	case "2":
		digest := sha256.Sum256(text)
		hash, sum = crypto.SHA256, digest[:]
	default:
		return fmt.Errorf("%w: SignatureVersion: %s, expected 1 or 2", webhook.ErrSignatureMalformed, shown(e.SignatureVersion))
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil || len(signature) == 0 {
		return fmt.Errorf("%w: Signature: not in base64", webhook.ErrSignatureMalformed)
	}
	host := hostOf(e.TopicARN)
	if err := checkCertificateURL(e.SigningCertURL, host); err != nil {
		return fmt.Errorf("%w: %w", webhook.ErrSignatureMalformed, err)
	}
	key, err := s.certificates.key(e.SigningCertURL, host)
	if err != nil {
		// It is not known whether the message is genuine. Refused for good, it
		// would be lost.
		return &webhook.UnsureError{Err: err}
	}
	if rsa.VerifyPKCS1v15(key, hash, sum, signature) != nil {
		return fmt.Errorf("%w: it is not SNS's signature of this message", webhook.ErrSignatureMismatch)
	}
	return nil
}

// Decode implements [webhook.Source].
func (s *Source) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(s.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several]. It confirms subscriptions: SNS sends
// the confirmation again if that fails.
func (s *Source) DecodeAll(_ http.Header, body []byte) ([]event.Event, error) {
	e, err := s.opener.open(body)
	if err != nil {
		return nil, err
	}
	told := []event.Event{{DeliveryID: e.MessageID}}
	switch e.Type {
	case notification:
		return s.decoder.DecodeMessage([]byte(e.Message))
	case subscription:
		if err := s.confirm(e); err != nil {
			return told, err
		}
		return told, &webhook.Ignored{Reason: "subscription confirmed: " + e.TopicARN}
	case unsubscribed:
		return told, &webhook.Ignored{Reason: "the subscription was taken away, and nothing comes of it any more: " + e.TopicARN}
	}
	return told, fmt.Errorf("type %s is not one of SNS", shown(e.Type))
}

// confirm confirms a subscription to one of the config's topics.
func (s *Source) confirm(e *envelope) error {
	u, err := url.Parse(e.SubscribeURL)
	if err != nil || u.Scheme != "https" || u.Host != hostOf(e.TopicARN) || u.User != nil || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return fmt.Errorf("SubscribeURL: not on https://%s/", hostOf(e.TopicARN))
	}
	q := u.Query()
	if q.Get("Action") != "ConfirmSubscription" || q.Get("TopicArn") != e.TopicARN || q.Get("Token") != e.Token || e.Token == "" || len(q) != 3 {
		return fmt.Errorf("SubscribeURL: does not confirm a subscription to %s", e.TopicARN)
	}
	if _, _, err := get(s.client, u.String()); err != nil {
		// The URL holds the token.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return &webhook.UnsureError{Err: fmt.Errorf("confirm the subscription to %s: %w", e.TopicARN, err)}
	}
	return nil
}
