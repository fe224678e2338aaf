package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awssecret"
)

// engineFlags are those of an engine that runs alone.
type engineFlags struct {
	config, data, listen, mocks, objects string
	hosts                                []string
	keys                                 bool
}

// The defaults of an engine that runs alone without a config.
const (
	engineListen = "127.0.0.1:8083"
	engineData   = "engine-data"
)

func (c *cli) engineCommand() *cobra.Command {
	var f engineFlags
	var logs *logOptions
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "Run the embedded engine alone, as a Step Functions endpoint",
		Long: "Serves the Step Functions API, so that the AWS command line and every SDK work\n" +
			"against it. On the loopback any credentials will do. With --keys requests must be\n" +
			"signed with the access key that \"switchyard engine keys\" prints; a port that other\n" +
			"machines reach needs that.\n\n" +
			"With --config, engine.embedded says what Task states run, as it does for serve:\n" +
			"functions, projects, objects, mocks, and the port. Flags win over it.",
		Example: "  switchyard engine --data /tmp/engine &\n" +
			"  aws stepfunctions list-state-machines --endpoint-url http://127.0.0.1:8083",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.engineSettings(cmd.Context(), &f)
			if err != nil {
				return err
			}
			log, err := newLogger(c.stderr, logs.over(cfg.Log))
			if err != nil {
				return err
			}
			app.FollowCgroup(os.DirFS("/"), c.env, log)
			if err := os.MkdirAll(f.data, 0o700); err != nil {
				return fmt.Errorf("--data: %w", err)
			}
			return app.RunEngine(cmd.Context(), f.data, cfg, log)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "config `file` whose engine.embedded holds")
	cmd.Flags().StringVar(&f.listen, "listen", "", "`host:port` of the API (default "+engineListen+")")
	cmd.Flags().BoolVar(&f.keys, "keys", false, "take only requests signed with the access key in engine.keys in the data folder, made at the first start")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "`name` by which clients call the engine, beside the loopback's and the address it listens on; may be given several times")
	cmd.Flags().StringVar(&f.data, "data", "", "`folder` of the executions and builds (default "+engineData+", or the config's data_dir)")
	cmd.Flags().StringVar(&f.mocks, "mocks", "", "`file` in the format of MockConfigFile.json, for executions started with #TestCase")
	cmd.Flags().StringVar(&f.objects, "objects", "", "`folder` that stands for S3, as BUCKET/KEY: what distributed Maps read and write")
	logs = logFlags(cmd)
	cmd.AddCommand(c.engineKeysCommand())
	return cmd
}

// engineSettings is the config of an engine that runs alone: that of a file, and
// over it what the flags say. It fills in the data folder.
func (c *cli) engineSettings(ctx context.Context, f *engineFlags) (*config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = c.loadConfig(f.config, fromAWS(ctx, awssecret.New())); err != nil {
			return nil, err
		}
		if cfg.Engine.Embedded == nil {
			return nil, fmt.Errorf("%s: engine is aws; the settings of this engine stand under engine.embedded", f.config)
		}
		f.data = cmp.Or(f.data, cfg.Resolve(cfg.DataDir))
	}
	f.data = cmp.Or(f.data, engineData)
	port := cfg.Engine.Embedded
	port.Listen = cmp.Or(f.listen, port.Listen, engineListen)
	port.Hosts = append(port.Hosts, f.hosts...)
	switch {
	case f.keys:
		port.Auth = config.AuthKeys
	case port.Auth == "" && len(port.Keys) == 0:
		port.Auth = config.AuthNone
	}
	// What flags name is relative to here, not to the config's folder.
	var errs [2]error
	if f.mocks != "" {
		port.Mocks, errs[0] = filepath.Abs(f.mocks)
	}
	if f.objects != "" {
		port.Objects, errs[1] = filepath.Abs(f.objects)
	}
	return cfg, errors.Join(errs[:]...)
}

func (c *cli) engineKeysCommand() *cobra.Command {
	var path, dir string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Print the access key of the engine's port, for a shell",
		Long: "Prints what the AWS command line and SDKs need to call the engine's port, as\n" +
			"commands for a shell. Only who may read the service's data folder, or the secrets\n" +
			"of its config, can do that.",
		Example: "  eval \"$(switchyard engine keys)\"\n" +
			"  aws stepfunctions list-state-machines",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.engineConfig(cmd.Context(), path, dir)
			if err != nil {
				return err
			}
			if dir == "" {
				dir = cfg.Resolve(cfg.DataDir)
			}
			key, err := app.EngineKey(cfg, dir)
			if err != nil {
				return err
			}
			settings := [][2]string{
				{"AWS_ACCESS_KEY_ID", key.ID}, {"AWS_SECRET_ACCESS_KEY", key.Secret},
				{"AWS_REGION", stepfn.EmbeddedRegion}, {"AWS_DEFAULT_REGION", stepfn.EmbeddedRegion},
			}
			if listen := cfg.Engine.Embedded.Listen; listen != "" {
				settings = append(settings, [2]string{"AWS_ENDPOINT_URL_SFN", localURL(listen)})
			}
			var b strings.Builder
			for _, s := range settings {
				fmt.Fprintf(&b, "export %s='%s'\n", s[0], strings.ReplaceAll(s[1], "'", `'\''`))
			}
			b.WriteString("unset AWS_SESSION_TOKEN\n")
			_, err = fmt.Fprint(c.stdout, b.String())
			return err
		},
	}
	c.configFlag(cmd, &path)
	cmd.Flags().StringVar(&dir, "data", "", "data `folder` of an engine that runs alone, instead of a config")
	return cmd
}

// engineConfig is the config of the engine whose data are in dir or, without
// dir, of the service. Its secrets are read only where the access key is one.
func (c *cli) engineConfig(ctx context.Context, path, dir string) (*config.Config, error) {
	if dir != "" {
		return config.Default(), nil
	}
	cfg, err := c.loadConfig(path, config.Offline())
	if err == nil && cfg.Engine.Embedded != nil && len(cfg.Engine.Embedded.Keys) > 0 {
		cfg, err = c.loadConfig(path, fromAWS(ctx, awssecret.New()))
	}
	switch {
	case err != nil:
		return nil, err
	case cfg.Engine.Embedded == nil:
		return nil, fmt.Errorf("%s: engine is aws, which takes the credentials of your AWS account", path)
	case cfg.Engine.Embedded.Auth == config.AuthNone:
		return nil, fmt.Errorf("%s: engine.embedded.auth is none: the port takes any access key", path)
	}
	return cfg, nil
}
