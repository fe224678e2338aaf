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
			background, err := c.background()
			if err != nil {
				// No reason to lose a push.
				fmt.Fprintf(c.stderr, "switchyard: %v\n", err)
			}
			return usageOr(hook.Receive(cmd.Context(), c.stdin, c.stderr, background))
		},
	}
}

// background is the command that goes on trying, nil for none. With an error
// that does not keep it from trying, it is both.
func (c *cli) background() (command []string, wrong error) {
	retry := retryDefault
	if text, _ := c.env(retryVariable); text != "" {
		set, err := time.ParseDuration(text)
		if err != nil {
			wrong = fmt.Errorf("%s: %q is not a valid duration and counts as unset; write it like 10m, or 0", retryVariable, text)
		} else {
			retry = set
		}
	}
	if retry <= 0 {
		return nil, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("no attempts in the background: find this program: %w", err)
	}
	return []string{program, "hook", "flush", "--wait", retry.String()}, wrong
}

func (c *cli) hookFlushCommand() *cobra.Command {
	var failed bool
	var wait time.Duration
	var all string
	cmd := &cobra.Command{
		Use:   "flush [REPOSITORY]",
		Short: "Report what Switchyard has not heard of a repository",
		Long: "Compares the repository's branches and tags with what has been reported, and\n" +
			"reports what is missing: pushes whose hook was killed or could not run. Then it\n" +
			"sends what waits in the spool. REPOSITORY is a folder; without it, it is the\n" +
			"repository that the current folder is in.",
		Example: "  switchyard hook flush /srv/git/acme/api.git\n" +
			"  switchyard hook flush --all /srv/git",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all != "" {
				if len(args) > 0 {
					return usagef("give either a repository or --all FOLDER, not both")
				}
				return c.flushAll(cmd.Context(), all, failed, wait)
			}
			h, err := openHook(cmd.Context(), args)
			if err != nil {
				return err
			}
			return usageOr(h.Flush(cmd.Context(), c.stdout, failed, wait))
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "send what was refused before, too")
	cmd.Flags().DurationVar(&wait, "wait", 0, "go on trying for this `long` while Switchyard cannot be reached")
	cmd.Flags().StringVar(&all, "all", "", "flush every repository below this `folder` that has the hook")
	return cmd
}

// flushAll goes on after a repository that fails.
func (c *cli) flushAll(ctx context.Context, dir string, failed bool, wait time.Duration) error {
	paths, err := hook.FindInstalled(dir)
	if err != nil {
		return usagef("%v", err)
	}
	var errs []error
	for _, path := range paths {
		h, err := hook.At(ctx, path)
		if err == nil {
			if err = h.Flush(ctx, c.stdout, failed, wait); err != nil {
				err = fmt.Errorf("repository %s: %w", path, err)
			}
		}
		errs = append(errs, err)
	}
	if len(paths) == 0 {
		fmt.Fprintf(c.stderr, "no repository below %s has the hook\n", dir)
	}
	return errors.Join(errs...)
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
	var timer bool
	cmd := &cobra.Command{
		Use:   "install [REPOSITORY]",
		Short: "Make a repository report its pushes",
		Long: "Installs the post-receive hook and writes its settings to the repository's git\n" +
			"configuration. The secret stays in its file: the hook reads it with each push.\n\n" +
			"A push whose hook is killed, or that finds Switchyard down for long, is reported\n" +
			"with the next push. A timer that runs hook flush does not wait for one; --timer\n" +
			"prints how to set it up.",
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
			done, err := hook.Install(cmd.Context(), cfg, program)
			if err != nil {
				return usageOr(err)
			}
			fmt.Fprintf(c.stdout, "%s reports its pushes to %s\n", cfg.GitDir, cfg.URL)
			if done.Known > 0 {
				fmt.Fprintf(c.stdout, "branches and tags that were there before and count as reported: %d\n", done.Known)
			}
			if done.Unreported > 0 {
				fmt.Fprintf(c.stdout, "branches and tags that have moved without being reported: %d; the next push reports them, or: switchyard hook flush\n", done.Unreported)
			}
			if timer {
				fmt.Fprintf(c.stdout, "\n%s", hook.Timer(program, filepath.Dir(cfg.GitDir)))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&set.URL, "url", "", "where deliveries go: `https://HOST/webhooks/NAME`")
	f.StringVar(&set.SecretFile, "secret-file", "", "`file` with the source's secret")
	f.StringVar(&set.Repository, "name", "", "repository `name` that routes match, such as acme/api")
	f.StringVar(&set.CloneURL, "clone-url", "", "`URL` or path that builds fetch from")
	f.StringVar(&set.HTMLURL, "html-url", "", "`URL` of the repository's page")
	f.BoolVar(&timer, "timer", false, "print how to have missed pushes reported every five minutes")
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
