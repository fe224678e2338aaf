package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	function "switchyard/deploy/lambda"
	"switchyard/internal/awssecret"
)

func (c *cli) lambdaCommand() *cobra.Command {
	var path string
	var logs *logOptions
	cmd := &cobra.Command{
		Use:   "lambda",
		Short: "Run as an AWS Lambda function: webhooks, queue, statuses, CodePipeline",
		Long: "Serves the events of a Lambda function, by the runtime interface that Lambda names\n" +
			"in AWS_LAMBDA_RUNTIME_API. The function's package holds this program as\n" +
			"bootstrap, which calls itself with this command, and the config, which needs\n" +
			"engine: aws and a serverless section. See docs/aws.md.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if api, _ := c.env("AWS_LAMBDA_RUNTIME_API"); api == "" {
				return usagef("AWS_LAMBDA_RUNTIME_API is not set: this command runs within AWS Lambda, see docs/aws.md")
			}
			secrets := awssecret.New()
			load := func(ctx context.Context) (*config.Config, error) {
				return c.loadConfig(path, fromAWS(ctx, secrets))
			}
			cfg, err := load(cmd.Context())
			if err != nil {
				return err
			}
			log, err := newLogger(c.stderr, logs.over(cfg.Log))
			if err != nil {
				return err
			}
			secrets.LogTo(log)
			name, _ := c.env("AWS_LAMBDA_FUNCTION_NAME")
			metrics := function.NewMetrics(c.stdout, name, time.Now)
			f, err := app.NewFunction(cmd.Context(), cfg, metrics, log)
			if err != nil {
				return err
			}
			again := func(ctx context.Context) (*function.Function, error) {
				cfg, err := load(ctx)
				if err != nil {
					return nil, err
				}
				return app.NewFunction(ctx, cfg, metrics, log)
			}
			lambda.StartWithOptions(app.NewRotatingFunction(f, secrets, again, log), lambda.WithContext(cmd.Context()))
			return nil
		},
	}
	c.configFlag(cmd, &path)
	logs = logFlags(cmd)
	return cmd
}
