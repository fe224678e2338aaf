package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/internal/awssecret"
)

func (c *cli) serveCommand() *cobra.Command {
	var path string
	var logs *logOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take webhooks and start an execution for every commit",
		Long: "Runs the service until it is interrupted; then it finishes what it is answering,\n" +
			"and all else goes on at the next start. The config is read again when it\n" +
			"changes and on SIGHUP; one that is wrong is reported, and the current one kept.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// AWS is asked further below: hiding the environment may start the
			// program anew.
			cfg, err := c.loadConfig(path, config.WithoutAWSSecrets())
			if err != nil {
				return err
			}
			log, err := newLogger(c.stderr, logs.over(cfg.Log))
			if err != nil {
				return err
			}
			if c.process != nil {
				if err := c.process.hide(cfg.Variables(), log); err != nil {
					return err
				}
			}
			secrets := awssecret.New()
			secrets.LogTo(log)
			if cfg, err = c.loadConfig(path, fromAWS(cmd.Context(), secrets)); err != nil {
				return err
			}
			for _, w := range cfg.Warnings() {
				log.Warn("the config says what it can hardly mean", zap.String("warning", w))
			}
			app.FollowCgroup(os.DirFS("/"), c.env, log)
			if _, set := c.env("GOGC"); !set {
				tuneCollector()
			}
			service, err := app.New(cmd.Context(), cfg, log, app.WithVersion(buildVersion()), app.WithSecretStats(secrets.Stats))
			if err != nil {
				return err
			}
			watcher, err := config.NewWatcher(cfg, c.reload(service), log, config.WithEnv(c.env), fromAWS(cmd.Context(), secrets))
			if err != nil {
				return errors.Join(err, service.Close())
			}
			watcher.OnWrong(service.CountRefusedConfig)
			g, ctx := errgroup.WithContext(cmd.Context())
			g.Go(func() error { return service.Run(ctx) })
			g.Go(func() error { return watcher.Run(ctx) })
			g.Go(func() error { secrets.Run(ctx, watcher.Reload); return nil })
			g.Go(func() error { onHangup(ctx, watcher.Reload); return nil })
			return g.Wait()
		},
	}
	c.configFlag(cmd, &path)
	logs = logFlags(cmd)
	return cmd
}

// reload applies a changed config, and takes the variables that it was the first
// to name out of the environment.
func (c *cli) reload(service *app.App) func(context.Context, *config.Config) error {
	return func(ctx context.Context, cfg *config.Config) error {
		err := service.Reload(ctx, cfg)
		if c.process != nil {
			c.process.drop(cfg.Variables())
		}
		return err
	}
}

// onHangup calls f for each SIGHUP until ctx ends.
func onHangup(ctx context.Context, f func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			f()
		}
	}
}

func (c *cli) healthCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the service on this machine whether it is ready",
		Long:  "For a container's health check: exit code 0 when /readyz answers 200.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.loadConfig(path, config.Offline())
			if err != nil {
				return err
			}
			return app.Ready(cmd.Context(), localURL(cfg.Server.Listen))
		},
	}
	c.configFlag(cmd, &path)
	return cmd
}
