package app

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"golang.org/x/time/rate"

	"switchyard/config"
	githost "switchyard/githost/codecommit"
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
	return githost.New(context.Background(), githost.Config{Source: name, Settings: settings, Endpoint: endpoint},
		githost.WithPace(a.pace(settings.Region, cfg.Sources[name].Account)))
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
