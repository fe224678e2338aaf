package app

import (
	"encoding/json"
	"fmt"

	"switchyard/config"
	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/codecommit"
	"switchyard/webhook/eventbridge"
)

// codeCommitSource builds what answers at a codecommit source's path.
func codeCommitSource(cfg *config.Config, name string, s *config.Source, hint func(text []byte)) (webhook.Source, error) {
	decoder, err := CodeCommitDecoder(cfg, name, hint)
	if err != nil {
		return nil, err
	}
	return eventbridge.New(decoder, s.EventBridge.Door())
}

// CodeCommitDecoder builds what reads the events of a codecommit source, through
// whichever of its doors they come. Events about executions go to hint, which
// may be nil.
func CodeCommitDecoder(cfg *config.Config, name string, hint func(text []byte)) (webhook.Decoder, error) {
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
	return hinting{next: placed, hint: hint}, nil
}

// hinting takes out Step Functions' events about executions: they are no
// deliveries, and what they tell would be found out without them too.
type hinting struct {
	next webhook.Decoder // nil where nothing else is expected
	hint func(text []byte)
}

// DecodeMessage implements [webhook.Decoder].
func (d hinting) DecodeMessage(text []byte) ([]event.Event, error) {
	var e struct {
		ID         string `json:"id"`
		DetailType string `json:"detail-type"`
		Source     string `json:"source"`
	}
	err := json.Unmarshal(text, &e)
	told := []event.Event{{DeliveryID: e.ID}}
	switch {
	case err == nil && e.Source == "aws.states":
		if d.hint != nil {
			d.hint(text)
		}
		return told, &webhook.Ignored{Reason: "an event about an execution: taken as a hint of its status"}
	case d.next != nil:
		return d.next.DecodeMessage(text)
	case err != nil:
		return nil, fmt.Errorf("event: %w", err)
	}
	return told, &webhook.Ignored{Reason: "only events of Step Functions are taken here; those of CodeCommit go to a source with provider codecommit"}
}
