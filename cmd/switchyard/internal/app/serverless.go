package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"switchyard/audit"
	"switchyard/config"
	"switchyard/deploy/lambda"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awsaccess"
	"switchyard/internal/event"
	"switchyard/router"
	"switchyard/webhook"
)

// NewFunction builds the Lambda function that serves a config with a serverless
// section. What it does is counted in metrics. It calls nobody.
func NewFunction(ctx context.Context, cfg *config.Config, metrics *lambda.Metrics, log *zap.Logger) (*lambda.Function, error) {
	if cfg.Serverless == nil {
		return nil, fmt.Errorf("%s: serverless.queue is missing: it is where deliveries wait", cfg.File())
	}
	access, ok := cfg.AWSAccess()
	if !ok {
		return nil, fmt.Errorf("%s: a Lambda function needs engine: aws", cfg.File())
	}
	dial, err := stepfn.Dial(ctx, access)
	if err != nil {
		return nil, err
	}
	engine, err := stepfn.New(dial, stepfn.Config{StateMachines: stateMachines(cfg)})
	if err != nil {
		return nil, err
	}
	routes, err := router.New(cfg.RouterConfig())
	if err != nil {
		return nil, err
	}
	f := &lambda.Function{Metrics: metrics, Log: log}
	own, err := awsaccess.Load(ctx, awsaccess.Settings{Region: cfg.Engine.AWS.Region})
	if err != nil {
		return nil, err
	}
	objects := s3.NewFromConfig(own, func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	store := &lambda.Store{Queue: sqs.NewFromConfig(own), URL: cfg.Serverless.Queue}
	if cfg.Serverless.Bucket != "" {
		store.Objects, store.Bucket = objects, cfg.Serverless.Bucket
	}
	if f.Changes, err = newReporter(cfg, engine, routes, log); err != nil {
		return nil, err
	}
	known := &hosts{apis: &apis{}}
	apply, err := known.prepare(cfg)
	if err != nil {
		return nil, err
	}
	apply()
	if f.Queue, err = newConsumer(cfg, store, engine, known, routes, log); err != nil {
		return nil, err
	}
	if store.Objects != nil {
		f.Audit = newScheduledAudit(cfg, known, &lambda.Ledger{Sink: &lambda.Sink{Store: store, Planner: routes, Metrics: metrics}, Engine: engine}, routes, metrics, log)
	}
	f.Queue.Changes, f.Queue.Metrics, f.Changes.Metrics = f.Changes, metrics, metrics
	// Status changes reach the function by themselves, not through the doors.
	all, err := sources(cfg, nil)
	if err != nil {
		return nil, err
	}
	if f.HTTP, err = webhook.New(&lambda.Sink{Store: store, Planner: routes, Metrics: metrics}, all, cfg.WebhookConfig(), webhook.WithLogger(log)); err != nil {
		return nil, err
	}
	f.Pipeline = &lambda.Pipeline{Jobs: codepipeline.NewFromConfig(own), Objects: objects, Starter: engine, Metrics: metrics, Log: log.Named("pipeline")}
	return f, nil
}

// stateMachines are those of a config with engine aws.
func stateMachines(cfg *config.Config) map[string]stepfn.Machine {
	machines := map[string]stepfn.Machine{}
	for name, m := range cfg.StateMachines {
		machines[name] = stepfn.Machine{ARN: m.ARN, Role: m.Role, ExternalID: m.ExternalID}
	}
	return machines
}

func newConsumer(cfg *config.Config, store *lambda.Store, engine *stepfn.Client, known *hosts, routes *router.Router, log *zap.Logger) (*lambda.Consumer, error) {
	decoders := map[string]webhook.Decoder{}
	var err error
	for name, s := range cfg.Sources {
		if s.Provider != "codecommit" {
			continue
		}
		if decoders[name], err = CodeCommitMessages(cfg, name, nil); err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
	}
	return &lambda.Consumer{
		Store: store, Engine: engine, Planner: routes, Host: known, Log: log.Named("queue"),
		Commands: &lambda.Commands{Commander: known, Engine: engine, StateMachines: slices.Sorted(maps.Keys(cfg.StateMachines))},
		Decode:   func(body string) ([]event.Event, error) { return decodeAny(decoders, []byte(body)) },
		Ignored: func(err error) bool {
			var ignored *webhook.Ignored
			return errors.As(err, &ignored)
		},
	}, nil
}

// newScheduledAudit audits the repositories that the config names.
func newScheduledAudit(cfg *config.Config, known *hosts, ledger *lambda.Ledger, routes *router.Router, metrics *lambda.Metrics, log *zap.Logger) func(context.Context) error {
	repositories := func(context.Context) ([]audit.Repository, error) {
		var all []audit.Repository
		for _, source := range slices.Sorted(maps.Keys(cfg.Sources)) {
			all = append(all, auditedOf(cfg, source, known.of(source), nil)...)
		}
		// Without access there is nothing to do, every time.
		return slices.DeleteFunc(all, func(r audit.Repository) bool { return r.Unable != nil }), nil
	}
	rules := func() (audit.Planner, audit.Config) { return routes, cfg.AuditConfig() }
	a := &lambda.Auditor{
		Auditor: audit.New(ledger, repositories, rules, audit.WithThrottled(throttled), audit.WithRefusals(refuses)), Heal: cfg.Audit.Heal, Metrics: metrics, Log: log.Named("audit"),
	}
	return a.Run
}

// decodeAny has each source look at a message that came to all of them. It is the
// first one's that takes it.
func decodeAny(decoders map[string]webhook.Decoder, body []byte) ([]event.Event, error) {
	err := errors.New("the message holds no delivery, and no source with provider: codecommit is configured to read it")
	for _, name := range slices.Sorted(maps.Keys(decoders)) {
		evs, problem := decoders[name].DecodeMessage(body)
		if problem == nil {
			for i := range evs {
				evs[i].Source = name
			}
			return evs, nil
		}
		err = problem
	}
	return nil, err
}

func newReporter(cfg *config.Config, engine *stepfn.Client, routes *router.Router, log *zap.Logger) (*lambda.Reporter, error) {
	r := &lambda.Reporter{Engine: engine, Decode: stepfn.DecodeStatusChange, RouteOf: routes.RouteOf, Link: stepfn.ConsoleLink, Log: log.Named("status"), Posters: map[string]lambda.Poster{}}
	all, err := posters(cfg, &apis{})
	if err != nil {
		return nil, err
	}
	for name, p := range all {
		if p != nil {
			r.Posters[name] = p
		}
	}
	return r, nil
}
