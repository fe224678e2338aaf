package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/spf13/cobra"

	"switchyard/asl/definition"
	"switchyard/deploy/release"
	"switchyard/internal/awsaccess"
	"switchyard/internal/safetext"
)

// deployFlags are those of a release of a state machine.
type deployFlags struct {
	release.Config
	definition, endpoint, profile, role string
	substitutions                       []string
	pinned, asJSON                      bool
}

func (c *cli) deployCommand() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy ARN --definition FILE",
		Short: "Bring a new definition of a state machine into service, step by step",
		Long: "Publishes a version of the state machine, lets its alias start a part of the\n" +
			"executions with it, watches those and alarms, and then moves the alias over. Where\n" +
			"too many fail or an alarm goes off, all go to the version before, and the command\n" +
			"fails. Executions that run stay on their version.\n\n" +
			"Start executions by the alias: state_machines.<name>.arn takes one. The credentials\n" +
			"are those of the AWS command line; --endpoint-url names an embedded engine.",
		Example: "  switchyard deploy arn:aws:states:eu-west-1:123456789012:stateMachine:deploy \\\n" +
			"    --definition deploy.asl.json --weight 10 --watch 15m --alarm deploy-errors",
		Args: oneArg("the state machine's ARN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.StateMachine = args[0]
			return c.deploy(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.definition, "definition", "d", "", "`file` with the new definition, JSON or YAML; - is standard input")
	flags.StringVar(&f.Alias, "alias", "live", "`name` of the alias that executions are started by; made if it is missing")
	flags.IntVar(&f.Weight, "weight", 10, "`percent` of the executions that the new version gets at first")
	flags.DurationVar(&f.Watch, "watch", 10*time.Minute, "how long it is watched before it gets all")
	flags.DurationVar(&f.Look, "look", 15*time.Second, "time between two looks")
	flags.StringArrayVar(&f.Alarms, "alarm", nil, "`name` of a CloudWatch alarm that takes it back; may be repeated")
	flags.Float64Var(&f.MaxFailed, "max-failed", 0, "the `part`, from 0 to 1, of the new version's executions that may fail")
	flags.IntVar(&f.MinEnded, "min-executions", 0, "how many of its executions must have ended; with fewer it is taken back")
	flags.IntVar(&f.Keep, "keep", 0, "delete old versions that nothing refers to, but this many; 0 keeps all")
	flags.StringArrayVar(&f.Referred, "protect", nil, "`ARN` of a version that is not deleted; may be repeated")
	flags.BoolVar(&f.pinned, "require-pinned", false, "refuse a definition with Lambda functions that have no version or alias")
	flags.StringVar(&f.endpoint, "endpoint-url", "", "`URL` of Step Functions, such as an embedded engine's")
	flags.StringVar(&f.profile, "profile", "", "`profile` of the AWS config")
	flags.StringVar(&f.role, "role", "", "`ARN` of a role to assume")
	flags.BoolVar(&f.asJSON, "json", false, "write JSON")
	substituteFlag(cmd, &f.substitutions)
	return cmd
}

func (c *cli) deploy(ctx context.Context, f *deployFlags) error {
	if f.definition == "" {
		return usagef("--definition is missing")
	}
	place, err := arn.Parse(f.StateMachine)
	if err != nil {
		return usagef("%q is not the ARN of a state machine", f.StateMachine)
	}
	d, err := c.releasedDefinition(f)
	if err != nil {
		return err
	}
	f.Definition = d.JSON
	access, err := awsaccess.Load(ctx, awsaccess.Settings{Region: place.Region, Profile: f.profile, Role: f.role})
	if err != nil {
		return err
	}
	access.Retryer = func() aws.Retryer { return retry.NewStandard() }
	engine := sfn.NewFromConfig(access, func(o *sfn.Options) {
		if f.endpoint != "" {
			o.BaseEndpoint = &f.endpoint
		}
	})
	f.Seen = func(s release.Seen) {
		fmt.Fprintf(c.stderr, "%s: %d of its executions have ended, %d of them failed\n", s.Since.Round(time.Second), s.Ended, s.Failed)
	}
	result, err := release.Run(ctx, engine, cloudwatch.NewFromConfig(access), f.Config)
	if result != nil {
		if wrote := c.showRelease(f, result); wrote != nil {
			return wrote
		}
	}
	return err
}

// releasedDefinition reads the new definition, and shows what is wrong with it.
func (c *cli) releasedDefinition(f *deployFlags) (*definition.Definition, error) {
	values, err := substitutionsOf(f.substitutions)
	if err != nil {
		return nil, err
	}
	d, err := c.readDefinition(f.definition, values)
	if err != nil {
		return nil, err
	}
	showFindings(c.stderr, f.definition, d)
	if d.Failed() {
		return nil, silentError{}
	}
	loose, err := release.Unpinned(d.JSON)
	if err != nil || len(loose) == 0 {
		return d, err
	}
	text := fmt.Sprintf("functions without a version or alias, whose new code executions that run would get: %s", strings.Join(loose, ", "))
	if f.pinned {
		return nil, fmt.Errorf("%s: %s", f.definition, text)
	}
	fmt.Fprintf(c.stderr, "%s %s\n", c.errOut.warn("warning:"), safetext.Block(text))
	return d, nil
}

func (c *cli) showRelease(f *deployFlags, result *release.Result) error {
	if f.asJSON {
		return writeJSON(c.stdout, result)
	}
	said := map[string]string{
		release.Created:   "made the alias %s, which leads to %s\n",
		release.Unchanged: "the alias %s leads to this definition already, %s\n",
		release.Promoted:  "the alias %s leads to %s\n",
	}[result.Outcome]
	fmt.Fprintf(c.stdout, said, safetext.Block(f.Alias), safetext.Block(result.Version))
	for _, name := range result.Ignored {
		fmt.Fprintf(c.stdout, "not watched, as it was on before: alarm %s\n", safetext.Block(name))
	}
	for _, version := range result.Deleted {
		fmt.Fprintf(c.stdout, "deleted %s\n", safetext.Block(version))
	}
	return nil
}
