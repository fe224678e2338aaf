package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/config"
	"switchyard/internal/awssecret"
	"switchyard/internal/safetext"
	"switchyard/router"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check a config, or print its JSON Schema"}
	cmd.AddCommand(c.configValidateCommand(), c.configSchemaCommand())
	return cmd
}

func (c *cli) configValidateCommand() *cobra.Command {
	var path string
	var offline, resolve, asJSON bool
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a config and everything it refers to",
		Long: "Checks a config as serve would, and reports all errors with their place in the\n" +
			"file. For a valid one it shows what each route's environment template makes of a\n" +
			"branch or tag. Secrets in AWS are only read with --resolve. --offline leaves out what only the server's machine has: environment\n" +
			"variables, secrets and definition files.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if cmd.Flags().Changed("config") {
					return usagef("the config is named twice, by --config and as an argument")
				}
				path = args[0]
			}
			how := config.WithoutAWSSecrets()
			switch {
			case resolve && offline:
				return usagef("--resolve asks AWS, and --offline nobody; give one of them")
			case resolve:
				how = fromAWS(cmd.Context(), awssecret.New())
			case offline:
				how = config.Offline()
			}
			cfg, err := c.loadConfig(path, how)
			if asJSON {
				return c.reportConfig(path, cfg, err)
			}
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings() {
				fmt.Fprintf(c.stderr, "%s: %s %s\n", safetext.Line(path), c.errOut.warn("warning:"), safetext.Line(w))
			}
			engine := "embedded"
			if cfg.Engine.AWS != nil {
				engine = "aws"
			}
			var b strings.Builder
			fmt.Fprintf(&b, "%s: %s: %s, engine %s, %s, %s\n", safetext.Line(path), c.out.good("valid"),
				count(len(cfg.Sources), "source"), engine, count(len(cfg.StateMachines), "state machine"), count(len(cfg.Routes), "route"))
			for _, s := range cfg.Samples() {
				fmt.Fprintf(&b, "  %s\n", safetext.Line(sampleLine(s)))
			}
			_, err = io.WriteString(c.stdout, b.String())
			return err
		},
	}
	c.configFlag(cmd, &path)
	cmd.Flags().BoolVar(&offline, "offline", false, "check without variables, secrets and definition files")
	cmd.Flags().BoolVar(&resolve, "resolve", false, "read the secrets that are kept in AWS too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the findings as JSON")
	return cmd
}

// sampleLine says what a route's environment template makes of a branch or tag.
func sampleLine(s router.Sample) string {
	ref := "branch " + strconv.Quote(s.Branch)
	if s.Tag != "" {
		ref = "tag " + strconv.Quote(s.Tag)
	}
	return fmt.Sprintf("route %s: %s deploys to environment %s", s.Route, ref, s.Environment)
}

// fromAWS has secrets read what a config keeps in AWS.
func fromAWS(ctx context.Context, secrets *awssecret.Resolver) config.Option {
	return config.WithAWSSecrets(func(s awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
		return secrets.Resolve(ctx, s, wanted)
	})
}

// loadConfig reads the config with the command's environment. how says what
// becomes of its secrets: see [fromAWS], [config.WithoutAWSSecrets] and
// [config.Offline].
func (c *cli) loadConfig(path string, how config.Option) (*config.Config, error) {
	cfg, err := config.Load(path, config.WithEnv(c.env), how)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; name the file with --config", err)
	}
	return cfg, err
}

// reportConfig writes what `config validate --json` promises.
func (c *cli) reportConfig(path string, cfg *config.Config, err error) error {
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line,omitempty"`
		Column  int    `json:"column,omitempty"`
		Path    string `json:"path,omitempty"`
		Message string `json:"message"`
	}
	report := struct {
		Valid    bool      `json:"valid"`
		Errors   []problem `json:"errors"`
		Warnings []string  `json:"warnings"`
		// Environments show what the routes' templates make of a sample.
		Environments []router.Sample `json:"environments"`
	}{err == nil, []problem{}, []string{}, []router.Sample{}}
	var wrong config.Errors
	switch {
	case errors.As(err, &wrong):
		for _, e := range wrong {
			report.Errors = append(report.Errors, problem(*e))
		}
	case err != nil:
		report.Errors = append(report.Errors, problem{File: path, Message: err.Error()})
	default:
		report.Warnings = append(report.Warnings, cfg.Warnings()...)
		report.Environments = append(report.Environments, cfg.Samples()...)
	}
	if err := writeJSON(c.stdout, report); err != nil {
		return err
	}
	if !report.Valid {
		return silentError{}
	}
	return nil
}

func (c *cli) configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the config's JSON Schema, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(text)
			return err
		},
	}
}

// count writes "1 route", "2 routes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
