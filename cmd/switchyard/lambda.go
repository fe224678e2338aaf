package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	function "switchyard/deploy/lambda"
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
			cfg, err := c.loadConfig(path, false)
			if err != nil {
				return err
			}
			log, err := newLogger(c.stderr, logs.over(cfg.Log))
			if err != nil {
				return err
			}
			name, _ := c.env("AWS_LAMBDA_FUNCTION_NAME")
			f, err := app.NewFunction(cmd.Context(), cfg, function.NewMetrics(c.stdout, name, time.Now), log)
			if err != nil {
				return err
			}
			lambda.StartWithOptions(f, lambda.WithContext(cmd.Context()))
			return nil
		},
	}
	c.configFlag(cmd, &path)
	logs = logFlags(cmd)
	return cmd
}
