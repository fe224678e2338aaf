package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"switchyard/cmd/switchyard/demo"
	"switchyard/config"
)

func (c *cli) demoCommand() *cobra.Command {
	var o demo.Options
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch real git pushes become parallel per-commit runs",
		Long: "Makes a bare git repository with a small project, installs the hook, pushes a\n" +
			"few branches and shows what comes of each commit. Needs git and a shell, no\n" +
			"network. It ends by itself.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := exec.LookPath("git"); err != nil {
				return fmt.Errorf("the demo pushes with git, which is not installed: %w", err)
			}
			self, err := program()
			if err != nil {
				return err
			}
			o.Self, o.Out, o.Live, o.Quiet, o.Log = self, c.out, c.out.terminal, asJSON, zap.NewNop()
			if verbose {
				cfg := config.Log{Format: "auto", Level: "info"}
				if o.Log, err = newLogger(c.stderr, cfg); err != nil {
					return err
				}
				o.Live = false
			}
			result, err := demo.Demo(cmd.Context(), o)
			if asJSON && result != nil {
				err = errors.Join(err, writeJSON(c.stdout, result))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "new `folder` for everything; else a temporary one")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the service running afterwards")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the service's log lines")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON and nothing else")
	cmd.MarkFlagsMutuallyExclusive("keep", "json")
	return cmd
}

// program is the path under which this program was started, for a hook to start
// it again: os.Executable would resolve links, which packages replace.
func program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.Abs(path)
}
