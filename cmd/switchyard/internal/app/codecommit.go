package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/time/rate"

	"switchyard/config"
	statuscodecommit "switchyard/dispatch/status/codecommit"
	"switchyard/dispatch/stepfn"
	githost "switchyard/githost/codecommit"
	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/codecommit"
	"switchyard/webhook/eventbridge"
	"switchyard/webhook/sns"
)

// codeCommitSource builds what answers at a codecommit source's path; nil where
// all it has is a queue.
func codeCommitSource(cfg *config.Config, name string, told func(text []byte) error) (webhook.Source, error) {
	s := cfg.Sources[name]
	decoder, err := CodeCommitDecoder(cfg, name, told)
	if err != nil {
		return nil, err
	}
	if s.SNS == nil && s.EventBridge == nil {
		return nil, nil
	}
	var d doors
	if s.SNS != nil {
		if d.sns, err = sns.New(decoder, s.SNS.Door()); err != nil {
			return nil, err
		}
	}
	if s.EventBridge != nil {
		if d.eventBridge, err = eventbridge.New(decoder, s.EventBridge.Door()); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// doors are those of a codecommit source that are at its path; nil where it has
// none. A delivery is SNS's if its header says so, and must be proved to be.
type doors struct {
	sns         *sns.Source
	eventBridge *eventbridge.Source
}

var (
	_ webhook.Prechecker = doors{}
	_ webhook.Several    = doors{}
)

type door interface {
	webhook.Source
	webhook.Prechecker
	webhook.Several
}

func (d doors) of(h http.Header) (door, error) {
	fromSNS := h.Get(sns.HeaderType) != ""
	switch {
	case fromSNS && d.sns != nil:
		return d.sns, nil
	case fromSNS:
		return nil, fmt.Errorf("%w: messages of SNS are not taken here; list the topic under this source's sns.topics", webhook.ErrSignatureMissing)
	case d.eventBridge != nil:
		return d.eventBridge, nil
	}
	return nil, fmt.Errorf("%w: header %s is not there, and nothing but messages of SNS is taken here", webhook.ErrSignatureMissing, sns.HeaderType)
}

// Precheck implements [webhook.Prechecker].
func (d doors) Precheck(h http.Header) error {
	of, err := d.of(h)
	if err != nil {
		return err
	}
	return of.Precheck(h)
}

// Verify implements [webhook.Source].
func (d doors) Verify(h http.Header, body []byte) error {
	of, err := d.of(h)
	if err != nil {
		return err
	}
	return of.Verify(h, body)
}

// Decode implements [webhook.Source].
func (d doors) Decode(h http.Header, body []byte) (event.Event, error) {
	return webhook.Only(d.DecodeAll(h, body))
}

// DecodeAll implements [webhook.Several].
func (d doors) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	of, err := d.of(h)
	if err != nil {
		return nil, err
	}
	return of.DecodeAll(h, body)
}

// CodeCommitDecoder builds what reads the events of a codecommit source, through
// whichever of its doors they come. Events of and about executions go to told,
// which may be nil and whose errors are those of [webhook.Decoder].
func CodeCommitDecoder(cfg *config.Config, name string, told func(text []byte) error) (webhook.Decoder, error) {
	c, ok := cfg.CodeCommit(name)
	if !ok {
		return nil, fmt.Errorf("the config has no source %s with provider: codecommit, whose region and account say which events are its own", name)
	}
	d, err := codecommit.New(c)
	if err != nil {
		return nil, err
	}
	placed, err := webhook.DecoderFrom(d, cfg.Origin(name))
	if err != nil {
		return nil, err
	}
	return engineEvents{next: placed, told: told}, nil
}

// CodeCommitMessages is [CodeCommitDecoder] for messages that come by a
// queue or a file: it takes them out of SNS's envelope, whose signature it does not
// look at.
func CodeCommitMessages(cfg *config.Config, name string, told func(text []byte) error) (webhook.Decoder, error) {
	d, err := CodeCommitDecoder(cfg, name, told)
	if err != nil {
		return nil, err
	}
	return sns.Unwrap(d)
}

// engineEvents takes out what is no delivery: Step Functions' events about
// executions, which tell what would be found out without them too, and what state
// machines ask people.
type engineEvents struct {
	next webhook.Decoder // nil where nothing else is expected
	told func(text []byte) error
}

// DecodeMessage implements [webhook.Decoder].
func (d engineEvents) DecodeMessage(text []byte) ([]event.Event, error) {
	var e struct {
		ID         string `json:"id"`
		DetailType string `json:"detail-type"`
		Source     string `json:"source"`
	}
	err := json.Unmarshal(text, &e)
	known := []event.Event{{DeliveryID: e.ID}}
	switch {
	case err == nil && e.Source == "aws.states":
		if d.told != nil {
			_ = d.told(text) // polling finds it too
		}
		return known, &webhook.Ignored{Reason: "an event about an execution: taken as a hint of its status"}
	case err == nil && e.Source == stepfn.ApprovalSource:
		if d.told == nil {
			return known, &webhook.Ignored{Reason: "a state machine asks for approval: that needs a server that keeps a journal"}
		}
		if err := d.told(text); err != nil {
			return known, err
		}
		return known, &webhook.Ignored{Reason: "a state machine asks for approval: recorded"}
	case d.next != nil:
		return d.next.DecodeMessage(text)
	case err != nil:
		return nil, fmt.Errorf("event: %w", err)
	}
	return known, &webhook.Ignored{Reason: "only events of Step Functions are taken here; those of CodeCommit go to a source with provider codecommit"}
}

// codeCommitAPI makes clients of CodeCommit's API. Those of one account and region
// share a pace, whatever they ask for, and keep it when the config changes. It
// is safe for concurrent use.
type codeCommitAPI struct {
	mu    sync.Mutex
	paces map[[2]string]*rate.Limiter
}

// client returns a client for a source; nil if its provider is another.
func (a *codeCommitAPI) client(cfg *config.Config, name string) (*githost.Client, error) {
	settings, endpoint, ok := cfg.CodeCommitAccess(name)
	if !ok {
		return nil, nil
	}
	// Nothing is called: files and environment are read.
	return githost.New(context.Background(), githost.Config{Source: name, Settings: settings, Endpoint: endpoint, CloneBase: cfg.Origin(name).Base},
		githost.WithPace(a.pace(settings.Region, cfg.Sources[name].Account)))
}

// poster returns what comments on executions at a source.
func (a *codeCommitAPI) poster(cfg *config.Config, name string, c statuscodecommit.Config) (*statuscodecommit.Poster, error) {
	host, err := a.client(cfg, name)
	if err != nil {
		return nil, err
	}
	return statuscodecommit.New(host, c)
}

func (a *codeCommitAPI) pace(region, account string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := [2]string{region, account}
	if a.paces[key] == nil {
		if a.paces == nil {
			a.paces = map[[2]string]*rate.Limiter{}
		}
		a.paces[key] = rate.NewLimiter(githost.DefaultRate, githost.DefaultBurst)
	}
	return a.paces[key]
}
