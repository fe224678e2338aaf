//go:build unix

package build

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// prepare puts the build's environment together, and finds its shell. The
// input's variables win over the project's, those over the buildspec's.
func (s *session) prepare(ctx context.Context) error {
	shell := s.h.cfg.Shell
	if s.spec.shell != "" {
		shell = s.spec.shell
	}
	var err error
	if s.shell, err = s.lookShell(shell); err != nil {
		return err
	}
	e := &s.env
	inherited := s.h.cfg.InheritEnv
	if s.h.containers != nil {
		// Programs are where the image has them.
		inherited = slices.DeleteFunc(slices.Clone(inherited), func(name string) bool { return name == "PATH" })
	}
	e.inherit(inherited)
	if !slices.Contains(s.h.cfg.InheritEnv, "HOME") {
		e.set("HOME", filepath.Join(s.dir, "home"))
	}
	e.set("TMPDIR", filepath.Join(s.dir, "tmp"))
	e.set("CI", "true")
	if region := s.h.cfg.Region; region != "" {
		for _, name := range regionVariables {
			e.set(name, region)
		}
	}
	if err := s.setVariables(ctx); err != nil {
		return err
	}
	for _, v := range append(s.codebuildVariables(), nameValue{"PWD", s.src}, nameValue{"SWITCHYARD_EXECUTION", s.t.ExecutionName}) {
		e.set(v.Name, v.Value)
	}
	return nil
}

// setVariables sets the variables of the buildspec and, over them, those of the
// project and the input. What the buildspec or the input takes from a store is a
// secret wherever its value comes from.
func (s *session) setVariables(ctx context.Context) error {
	given := make(map[string]bool)
	for _, v := range s.req.env {
		given[v.Name] = true
	}
	store := s.h.secretsOf(s.req)
	var vars []variable
	var missing []error
	for _, v := range slices.Concat(s.spec.variables, s.spec.secrets) {
		if given[v.Name] || strings.HasPrefix(v.Name, "CODEBUILD_") {
			continue
		}
		if v.Type != plaintext {
			if _, _, err := store.find(v); err != nil {
				missing = append(missing, err)
			}
		}
		vars = append(vars, v)
	}
	if err := errNoSecret(missing); err != nil {
		return err
	}
	stored := make(map[string]variable)
	for _, v := range slices.Concat(s.spec.secrets, s.req.stored) {
		stored[v.Name] = v
	}
	for _, v := range slices.Concat(vars, s.req.env) {
		from, secret := stored[v.Name]
		switch {
		case v.Type == plaintext && !secret:
			s.env.set(v.Name, v.Value)
			continue
		case v.Type != plaintext:
			var err error
			if v.Value, err = s.secretValue(ctx, store, v); err != nil {
				return err
			}
		default:
			s.res.showAsSecret(from)
		}
		s.log.hide(v.Value)
		if len(v.Value) < MinMasked {
			s.log.note("%s is not masked in this log: a secret of fewer than %d bytes is not", v.Name, MinMasked)
		}
		s.secretNames = append(s.secretNames, v.Name)
		s.env.set(v.Name, v.Value)
	}
	return nil
}

// secretValue gives the value of a variable from a store. A build that goes on
// after a restart of this process has the values that it began with, which may
// be other ones by now.
func (s *session) secretValue(ctx context.Context, store secretStore, v variable) (string, error) {
	ref := v.Type + " " + v.Value
	if value, ok := s.secretValues[ref]; ok {
		return value, nil
	}
	value, err := store.value(ctx, v)
	if err == nil {
		err = checkVariable(v.Name, value)
	}
	if err != nil {
		return "", err
	}
	if s.secretValues == nil {
		s.secretValues = make(map[string]string)
	}
	s.secretValues[ref] = value
	return value, nil
}

// exportVariables records the variables that the buildspec exports, as the
// last phase left them. CodeBuild exports neither secrets nor AWS_*.
func (s *session) exportVariables() {
	s.res.ExportedEnvironmentVariables = []nameValue{}
	last := s.savedVariables()
	for _, name := range s.spec.exported {
		value, ok := last[name]
		switch {
		case strings.HasPrefix(name, "AWS_") || slices.Contains(s.secretNames, name):
			s.log.note("%s is not exported: secrets and AWS_ variables never are", name)
		case ok:
			s.res.ExportedEnvironmentVariables = append(s.res.ExportedEnvironmentVariables,
				nameValue{name, strings.ToValidUTF8(s.log.maskText(value), "\uFFFD")})
		}
	}
}
