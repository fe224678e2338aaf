package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/deploy/pipelines"
	"switchyard/internal/nearest"
)

func (c *cli) pipelinesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pipelines",
		Short: "The state machines that ship with Switchyard, to look at and to copy",
	}
	cmd.AddCommand(c.pipelinesListCommand(), c.pipelinesShowCommand(), c.pipelinesInitCommand())
	return cmd
}

func (c *cli) pipelinesListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pipelines, and what each does",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := pipelines.All()
			if err != nil {
				return err
			}
			if asJSON {
				type entry struct {
					Name    string   `json:"name"`
					Summary string   `json:"summary"`
					Files   []string `json:"files"`
				}
				var entries []entry
				for _, p := range all {
					entries = append(entries, entry(p))
				}
				return writeJSON(c.stdout, entries)
			}
			var rows [][]string
			for _, p := range all {
				rows = append(rows, []string{p.Name, p.Summary})
			}
			return c.out.table([]string{"pipeline", "what it does"}, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func (c *cli) pipelinesShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME [FILE]",
		Short:   "Print a pipeline's README, or another of its files",
		Example: "  switchyard pipelines show deploy\n  switchyard pipelines show deploy deploy.asl.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usagef("expected a pipeline's name, and perhaps a file's, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := findPipeline(args[0])
			if err != nil {
				return err
			}
			file := "README.md"
			if len(args) == 2 {
				file = args[1]
			}
			if !slices.Contains(p.Files, file) {
				return usagef("pipeline %s has no file %q%s", p.Name, file, instead(file, p.Files))
			}
			text, err := p.File(file)
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(text)
			return err
		},
	}
}

// findPipeline returns the pipeline with this name, or a usage error.
func findPipeline(name string) (pipelines.Pipeline, error) {
	all, err := pipelines.All()
	if err != nil {
		return pipelines.Pipeline{}, err
	}
	var known []string
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return pipelines.Pipeline{}, usagef("no pipeline %q%s", name, instead(name, known))
}

// instead says what somebody may have meant who wrote name.
func instead(name string, known []string) string {
	if near := nearest.Name(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; there are " + strings.Join(known, ", ")
}

// pipelinesInit is a call of pipelines init.
type pipelinesInit struct {
	dir        string
	components string
	force      bool
}

func (c *cli) pipelinesInitCommand() *cobra.Command {
	p := &pipelinesInit{}
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Copy a pipeline into this repository, with its tests and a route",
		Long: "Writes the definition, its tests, its IAM policy, a README and what goes into\n" +
			"switchyard.yaml to a folder of the pipeline's name in --dir. Files that are there and\n" +
			"differ are left alone, and nothing is written then, unless --force is given.\n\n" +
			"With --components the pipelines deploy and services are written for these, each with\n" +
			"the project that builds it, where that has another name: api=shop,web=shop,billing.",
		Example: "  switchyard pipelines init approval\n" +
			"  switchyard pipelines init deploy --components web,api,worker",
		Args: oneArg("the name of a pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.pipelinesInit(args[0], p, cmd.Flags().Changed("components"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.dir, "dir", filepath.FromSlash("deploy/pipelines"), "`folder` for the pipeline's own, relative to the config")
	f.StringVar(&p.components, "components", "", "what deploy and services deploy: `NAME[=PROJECT],…`")
	f.BoolVar(&p.force, "force", false, "overwrite files that are there")
	return cmd
}

func (c *cli) pipelinesInit(name string, call *pipelinesInit, named bool) error {
	p, err := findPipeline(name)
	if err != nil {
		return err
	}
	folder := filepath.Join(call.dir, p.Name)
	var files map[string][]byte
	switch {
	case !named:
		files, err = p.Copy(filepath.ToSlash(folder))
	case !slices.Contains(pipelines.Generated, p.Name):
		return usagef("--components is for %s, and %s has none", strings.Join(pipelines.Generated, " and "), p.Name)
	default:
		var components []pipelines.Component
		if components, err = pipelines.ParseComponents(call.components); err != nil {
			return usagef("--components: %v", err)
		}
		files, err = p.CopyFor(components, filepath.ToSlash(folder))
	}
	if err != nil {
		return err
	}
	if err := writePipeline(folder, files, call.force); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(c.out, filepath.Join(folder, file))
	}
	fmt.Fprintf(c.out, "\nNext: put what %s has into switchyard.yaml, with your repositories, and run\n  switchyard asl test %s\n", filepath.Join(folder, pipelines.Route), folder)
	return nil
}

// writePipeline writes files to a folder, all or, where it would overwrite
// something without force, none.
func writePipeline(folder string, files map[string][]byte, force bool) error {
	var there []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, name)
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("look whether %s is there: %w", path, err)
		case !bytes.Equal(old, files[name]):
			there = append(there, path)
		}
	}
	if len(there) > 0 && !force {
		return fmt.Errorf("nothing was written: %s would be overwritten; move it, choose another --dir, or give --force", strings.Join(there, ", "))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the pipeline's folder: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return fmt.Errorf("write the pipeline: %w", err)
		}
	}
	return nil
}
