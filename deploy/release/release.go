// Package release brings a new definition of a state machine into service. It
// publishes a version, lets an alias start a part of its executions with it, watches
// them and alarms, and then moves the alias over, or back.
//
// Executions that run stay on the version they started with. Whoever starts
// executions by the alias is moved; who starts them by the state machine's own ARN
// gets the new definition at once.
package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// StepFunctions is what a release asks of Step Functions: AWS's, or the embedded
// engine's.
type StepFunctions interface {
	UpdateStateMachine(context.Context, *sfn.UpdateStateMachineInput, ...func(*sfn.Options)) (*sfn.UpdateStateMachineOutput, error)
	PublishStateMachineVersion(context.Context, *sfn.PublishStateMachineVersionInput, ...func(*sfn.Options)) (*sfn.PublishStateMachineVersionOutput, error)
	DescribeStateMachineAlias(context.Context, *sfn.DescribeStateMachineAliasInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineAliasOutput, error)
	CreateStateMachineAlias(context.Context, *sfn.CreateStateMachineAliasInput, ...func(*sfn.Options)) (*sfn.CreateStateMachineAliasOutput, error)
	UpdateStateMachineAlias(context.Context, *sfn.UpdateStateMachineAliasInput, ...func(*sfn.Options)) (*sfn.UpdateStateMachineAliasOutput, error)
	ListStateMachineAliases(context.Context, *sfn.ListStateMachineAliasesInput, ...func(*sfn.Options)) (*sfn.ListStateMachineAliasesOutput, error)
	ListStateMachineVersions(context.Context, *sfn.ListStateMachineVersionsInput, ...func(*sfn.Options)) (*sfn.ListStateMachineVersionsOutput, error)
	DeleteStateMachineVersion(context.Context, *sfn.DeleteStateMachineVersionInput, ...func(*sfn.Options)) (*sfn.DeleteStateMachineVersionOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
}

// Alarms is CloudWatch, as far as it is read.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

var (
	_ StepFunctions = (*sfn.Client)(nil)
	_ Alarms        = (*cloudwatch.Client)(nil)
)

// Config is what an operator sets.
type Config struct {
	// StateMachine is the ARN of the state machine, without a version or alias.
	StateMachine string
	// Alias is the name of the alias that starts executions. It is made where it is
	// missing.
	Alias string
	// Definition is the new one, as JSON.
	Definition string
	// Weight is the percentage of executions that the new version gets at first, from
	// 1 to 99.
	Weight int
	// Watch is how long it is watched before it gets all, and Look the time between
	// two looks.
	Watch, Look time.Duration
	// Alarms are names of CloudWatch alarms that take it back. One that is on before
	// anything is moved is not watched: it would take back what repairs it.
	Alarms []string
	// MaxFailed is the part, from 0 to 1, of the new version's executions that may
	// fail or time out. With fewer than MinEnded that have ended it is not judged, and
	// where that is so at the end of the watch it is taken back.
	MaxFailed float64
	MinEnded  int
	// Keep is how many versions are kept that nothing refers to; 0 keeps all.
	Keep int
	// Referred are ARNs of versions that are never deleted.
	Referred []string
	// Seen is told what each look has seen; may be nil.
	Seen func(Seen)
}

// What a release came to.
const (
	Created   = "created"   // the alias was made
	Unchanged = "unchanged" // the alias leads to this definition already
	Promoted  = "promoted"
)

// Result is what a release that succeeded came to.
type Result struct {
	Outcome string `json:"outcome"`
	// Version and Before are ARNs: what the alias leads to, and has led to.
	Version string `json:"version"`
	Before  string `json:"before,omitempty"`
	// Ignored are alarms that were on before.
	Ignored []string `json:"ignored_alarms,omitempty"`
	// Deleted are ARNs of versions.
	Deleted []string `json:"deleted,omitempty"`
}

// RolledBackError says that the alias leads to what it led to before, and why.
type RolledBackError struct{ Version, Before, Why string }

// Error implements error.
func (e *RolledBackError) Error() string {
	return fmt.Sprintf("version %s was taken back for version %s: %s", number(e.Version), number(e.Before), e.Why)
}

// ErrMoved is returned where somebody else has moved the alias meanwhile, which is
// left as it is.
var ErrMoved = errors.New("somebody else has moved the alias")

// number is a version's, of its ARN.
func number(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

func (c *Config) check() error {
	switch {
	case strings.Count(c.StateMachine, ":") != 6:
		return fmt.Errorf("%q is not the ARN of a state machine without a version or alias", c.StateMachine)
	case c.Weight < 1 || c.Weight > 99:
		return fmt.Errorf("a weight of %d is not between 1 and 99 percent", c.Weight)
	case c.MaxFailed < 0 || c.MaxFailed > 1:
		return fmt.Errorf("%g is not a part from 0 to 1 of the executions", c.MaxFailed)
	case c.Look <= 0 || c.Watch < 0 || c.MinEnded < 0 || c.Keep < 0 || c.Alias == "":
		return errors.New("an alias is needed, time between looks, and nothing below zero")
	}
	return nil
}

// release is one that is under way.
type release struct {
	Config
	engine StepFunctions
	alarms Alarms
	alias  string // its ARN
}

// Run makes a release. alarms may be nil where the config names none. When ctx ends
// while the new version has a part of the executions, it is taken back.
func Run(ctx context.Context, engine StepFunctions, alarms Alarms, cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &release{Config: cfg, engine: engine, alarms: alarms, alias: cfg.StateMachine + ":" + cfg.Alias}
	ignored, err := r.alarmsBefore(ctx)
	if err != nil {
		return nil, err
	}
	version, err := r.publish(ctx)
	if err != nil {
		return nil, err
	}
	result := &Result{Outcome: Promoted, Version: version, Ignored: ignored}
	routes, err := r.routes(ctx)
	var missing *types.ResourceNotFound
	switch {
	case errors.As(err, &missing):
		result.Outcome = Created
		if _, err := engine.CreateStateMachineAlias(ctx, &sfn.CreateStateMachineAliasInput{Name: &cfg.Alias, RoutingConfiguration: all(version)}); err != nil {
			return nil, fmt.Errorf("create the alias %s: %w", cfg.Alias, err)
		}
	case err != nil:
		return nil, err
	case len(routes) == 1 && *routes[0].StateMachineVersionArn == version:
		result.Outcome = Unchanged
	default:
		result.Before = liveBeside(routes, version)
		if err := r.shift(ctx, version, result.Before, ignored); err != nil {
			return nil, err
		}
	}
	if cfg.Keep > 0 {
		if result.Deleted, err = r.prune(ctx, result.Before); err != nil {
			return result, fmt.Errorf("the alias leads to version %s, but old versions could not be deleted: %w", number(version), err)
		}
	}
	return result, nil
}

// publish makes a version of just this definition; where it has one already, that.
func (r *release) publish(ctx context.Context) (version string, err error) {
	updated, err := r.engine.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: &r.StateMachine, Definition: &r.Definition})
	if err != nil {
		return "", fmt.Errorf("update %s: %w", r.StateMachine, err)
	}
	published, err := r.engine.PublishStateMachineVersion(ctx, &sfn.PublishStateMachineVersionInput{StateMachineArn: &r.StateMachine, RevisionId: updated.RevisionId})
	if err != nil {
		return "", fmt.Errorf("publish a version of %s: %w", r.StateMachine, err)
	}
	return *published.StateMachineVersionArn, nil
}

func (r *release) routes(ctx context.Context) ([]types.RoutingConfigurationListItem, error) {
	out, err := r.engine.DescribeStateMachineAlias(ctx, &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: &r.alias})
	if err != nil {
		return nil, fmt.Errorf("describe the alias %s: %w", r.Alias, err)
	}
	return out.RoutingConfiguration, nil
}

// liveBeside is the version that an alias leads to beside another: of two that a
// release broken off has left, the one with more.
func liveBeside(routes []types.RoutingConfigurationListItem, version string) string {
	live, most := version, int32(-1)
	for _, route := range routes {
		if *route.StateMachineVersionArn != version && route.Weight > most {
			live, most = *route.StateMachineVersionArn, route.Weight
		}
	}
	return live
}

// all gives a version all executions.
func all(version string) []types.RoutingConfigurationListItem {
	return []types.RoutingConfigurationListItem{{StateMachineVersionArn: &version, Weight: 100}}
}

// shift gives version a part of the executions, watches it, and gives it the rest.
func (r *release) shift(ctx context.Context, version, live string, ignored []string) error {
	begun := time.Now()
	split := append(all(live), all(version)...)
	split[0].Weight, split[1].Weight = int32(100-r.Weight), int32(r.Weight) //nolint:gosec // checked to be a percentage
	if err := r.move(ctx, split); err != nil {
		return r.unmoved(ctx, version, live, err, split)
	}
	why := r.watch(ctx, version, begun, ignored)
	if why == "" {
		now, err := r.routes(ctx)
		if err == nil && !same(now, split) {
			return fmt.Errorf("%w %s", ErrMoved, r.Alias)
		}
		if err == nil {
			err = r.move(ctx, all(version))
		}
		if err == nil {
			return nil
		}
		why = err.Error()
	}
	return r.back(ctx, version, live, why, split)
}

// unmoved returns the error of the first move. Where the alias was moved nevertheless,
// and only the answer was lost, it takes the version back.
func (r *release) unmoved(ctx context.Context, version, live string, failed error, split []types.RoutingConfigurationListItem) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	now, err := r.routes(ctx)
	if err != nil {
		return fmt.Errorf("%w; whether it was moved nevertheless could not be seen: %w", failed, err)
	}
	if !same(now, split) {
		return failed
	}
	return r.back(ctx, version, live, failed.Error(), split)
}

// lasting is a context for putting things right, also when ctx has ended.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// back takes a version back, also when ctx has ended.
func (r *release) back(ctx context.Context, version, live, why string, split []types.RoutingConfigurationListItem) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	now, err := r.routes(ctx)
	if err == nil && !same(now, split) && !same(now, all(version)) {
		return fmt.Errorf("%w %s; version %s was to be taken back: %s", ErrMoved, r.Alias, number(version), why)
	}
	if err := r.move(ctx, all(live)); err != nil {
		return fmt.Errorf("version %s could not be taken back (%s): %w", number(version), why, err)
	}
	return &RolledBackError{Version: version, Before: live, Why: why}
}

func (r *release) move(ctx context.Context, to []types.RoutingConfigurationListItem) error {
	if _, err := r.engine.UpdateStateMachineAlias(ctx, &sfn.UpdateStateMachineAliasInput{StateMachineAliasArn: &r.alias, RoutingConfiguration: to}); err != nil {
		return fmt.Errorf("move the alias %s: %w", r.Alias, err)
	}
	return nil
}

// same tells whether two lists of routes are, in any order.
func same(a, b []types.RoutingConfigurationListItem) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x types.RoutingConfigurationListItem) bool {
		return !slices.ContainsFunc(b, func(y types.RoutingConfigurationListItem) bool {
			return x.Weight == y.Weight && aws.ToString(x.StateMachineVersionArn) == aws.ToString(y.StateMachineVersionArn)
		})
	})
}
