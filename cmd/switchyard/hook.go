package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"switchyard/webhook/git/hook"
)

// retryVariable says how long a hook that could not deliver goes on trying in
// the background, 0 for not at all. It is no flag: git calls the hook.
const (
	retryVariable = "SWITCHYARD_HOOK_RETRY"
	retryDefault  = 10 * time.Minute
)

func (c *cli) hookCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "hook", Short: "Report the pushes to a plain git server"}
	cmd.AddCommand(c.hookInstallCommand(), c.hookPostReceiveCommand(), c.hookFlushCommand())
	return cmd
}

func (c *cli) hookPostReceiveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "post-receive",
		Short: "Be a repository's post-receive hook: git's lines on standard input",
		Long: "Finds every commit that a push brought, writes it to a spool in the repository\n" +
			"and sends it. What cannot be sent now is sent later, in order. Settings are in\n" +
			"the repository's git configuration; hook install writes them.\n\n" +
			retryVariable + " is how long it goes on trying in the background, 10m if unset, 0\n" +
			"for not at all; what waits goes out with the next push.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := hook.Load(cmd.Context(), "")
			if err != nil {
				return usageOr(err)
			}
			if cfg.Background, err = c.background(); err != nil {
				return err
			}
			h, err := hook.New(cfg)
			if err != nil {
				return usageOr(err)
			}
			return usageOr(h.Run(cmd.Context(), c.stdin, c.stderr))
		},
	}
}

// background is the command that goes on trying, nil for none.
func (c *cli) background() ([]string, error) {
	retry := retryDefault
	if text, _ := c.env(retryVariable); text != "" {
		var err error
		if retry, err = time.ParseDuration(text); err != nil {
			return nil, usagef("%s: %q is no duration; write it like 10m, or 0", retryVariable, text)
		}
	}
	if retry <= 0 {
		return nil, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{program, "hook", "flush", "--wait", retry.String()}, nil
}

func (c *cli) hookFlushCommand() *cobra.Command {
	var failed bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "flush [REPOSITORY]",
		Short: "Send what waits in a repository's spool",
		Long:  "Sends the deliveries that could not be sent before. REPOSITORY is a folder;\nwithout it, it is the repository that the current folder is in.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := openHook(cmd.Context(), args)
			if err != nil {
				return err
			}
			return usageOr(h.Flush(cmd.Context(), c.stdout, failed, wait))
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "send what was refused before, too")
	cmd.Flags().DurationVar(&wait, "wait", 0, "go on trying for this `long` while Switchyard cannot be reached")
	return cmd
}

func openHook(ctx context.Context, args []string) (*hook.Hook, error) {
	cfg, err := loadHook(ctx, args)
	if err != nil {
		return nil, err
	}
	h, err := hook.New(cfg)
	return h, usageOr(err)
}

func loadHook(ctx context.Context, args []string) (hook.Config, error) {
	dir := ""
	if len(args) == 1 {
		var err error
		if dir, err = filepath.Abs(args[0]); err != nil {
			return hook.Config{}, fmt.Errorf("repository %s: %w", args[0], err)
		}
	}
	cfg, err := hook.Load(ctx, dir)
	return cfg, usageOr(err)
}

func (c *cli) hookInstallCommand() *cobra.Command {
	var set hook.Config
	cmd := &cobra.Command{
		Use:   "install [REPOSITORY]",
		Short: "Make a repository report its pushes",
		Long: "Installs the post-receive hook and writes its settings to the repository's git\n" +
			"configuration. The secret stays in its file: the hook reads it with each push.",
		Example: "  switchyard hook install --url https://switchyard.example.com/webhooks/git \\\n" +
			"    --secret-file /etc/switchyard/git-hook /srv/git/acme/api.git",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadHook(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := overlay(&cfg, set); err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			if err := hook.Install(cmd.Context(), cfg, program); err != nil {
				return usageOr(err)
			}
			fmt.Fprintf(c.stdout, "%s reports its pushes to %s\n", cfg.GitDir, cfg.URL)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&set.URL, "url", "", "where deliveries go: `https://HOST/webhooks/NAME`")
	f.StringVar(&set.SecretFile, "secret-file", "", "`file` with the source's secret")
	f.StringVar(&set.Repository, "name", "", "repository `name` that routes match, such as acme/api")
	f.StringVar(&set.CloneURL, "clone-url", "", "`URL` or path that builds fetch from")
	f.StringVar(&set.HTMLURL, "html-url", "", "`URL` of the repository's page")
	f.DurationVar(&set.Timeout, "timeout", 0, "how `long` one attempt to send may take")
	return cmd
}

// overlay puts the flags that were given over the repository's settings.
func overlay(cfg *hook.Config, set hook.Config) error {
	if set.SecretFile != "" {
		file, err := filepath.Abs(set.SecretFile)
		if err != nil {
			return fmt.Errorf("secret file %s: %w", set.SecretFile, err)
		}
		cfg.SecretFile = file
	}
	for _, s := range []struct {
		to   *string
		from string
	}{
		{&cfg.URL, set.URL}, {&cfg.Repository, set.Repository}, {&cfg.CloneURL, set.CloneURL}, {&cfg.HTMLURL, set.HTMLURL},
	} {
		if s.from != "" {
			*s.to = s.from
		}
	}
	if set.Timeout != 0 {
		cfg.Timeout = set.Timeout
	}
	return nil
}

// usageOr marks what the caller can repair as an error of usage.
func usageOr(err error) error {
	if errors.Is(err, hook.ErrUsage) {
		return usagef("%v", err)
	}
	return err
}
