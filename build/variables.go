//go:build unix

package build

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// prepare puts the build's environment together, and finds its shell. The
// input's variables win over the project's, those over the buildspec's.
func (s *session) prepare() error {
	shell := s.h.cfg.Shell
	if s.spec.shell != "" {
		shell = s.spec.shell
	}
	var err error
	if s.shell, err = lookShell(shell); err != nil {
		return err
	}
	e := &s.env
	e.inherit(s.h.cfg.InheritEnv)
	if !slices.Contains(s.h.cfg.InheritEnv, "HOME") {
		e.set("HOME", filepath.Join(s.dir, "home"))
	}
	e.set("TMPDIR", filepath.Join(s.dir, "tmp"))
	e.set("CI", "true")
	if err := s.setVariables(); err != nil {
		return err
	}
	for _, v := range []nameValue{
		{"PWD", s.src},
		{"CODEBUILD_BUILD_ID", s.res.ID},
		{"CODEBUILD_BUILD_ARN", s.res.Arn},
		{"CODEBUILD_BUILD_NUMBER", strconv.FormatInt(s.res.BuildNumber, 10)},
		{"CODEBUILD_INITIATOR", s.res.Initiator},
		{"CODEBUILD_LOG_PATH", s.res.Logs.StreamName},
		{"CODEBUILD_SOURCE_VERSION", s.req.sourceVersion},
		{"CODEBUILD_RESOLVED_SOURCE_VERSION", s.res.ResolvedSourceVersion},
		{"CODEBUILD_SOURCE_REPO_URL", redact(s.req.cloneURL)},
		{"CODEBUILD_SRC_DIR", s.src},
		{"CODEBUILD_START_TIME", strconv.FormatInt(s.res.StartTime, 10)},
		{"SWITCHYARD_EXECUTION", s.t.ExecutionName},
	} {
		e.set(v.Name, v.Value)
	}
	return nil
}

// setVariables sets the variables of the buildspec and, over them, those of the
// project and the input. What the buildspec takes from a store is a secret
// wherever its value comes from.
func (s *session) setVariables() error {
	given := make(map[string]string)
	for _, v := range s.req.env {
		given[v.Name] = v.Value
	}
	var missing []string
	for _, v := range s.spec.secrets {
		if _, ok := given[v.Name]; ok || strings.HasPrefix(v.Name, "CODEBUILD_") {
			continue
		}
		if _, ok := s.h.cfg.Secrets[v.Value]; !ok {
			missing = append(missing, fmt.Sprintf("%s (%s %s)", v.Name, storeName(v.Type), v.Value))
		}
	}
	if len(missing) > 0 {
		name, _, _ := strings.Cut(missing[0], " ")
		return fmt.Errorf("this machine has no store for %s: %s", strings.Join(missing, ", "), howToSet(s.req.project, name))
	}
	secrets := slices.Concat(s.spec.secrets, s.req.stored)
	for _, v := range slices.Concat(s.spec.variables, s.spec.secrets, s.req.env) {
		if strings.HasPrefix(v.Name, "CODEBUILD_") {
			continue
		}
		stored := slices.IndexFunc(secrets, func(secret variable) bool { return secret.Name == v.Name })
		if v.Type == plaintext && stored < 0 {
			s.env.set(v.Name, v.Value)
			continue
		}
		value := v.Value
		if v.Type != plaintext {
			secret, ok := s.h.cfg.Secrets[v.Value]
			if !ok {
				continue // set by the project or the input, below
			}
			if err := checkVariable(v.Name, secret); err != nil {
				return err
			}
			value = secret
		}
		s.log.hide(value)
		s.secretNames = append(s.secretNames, v.Name)
		s.env.set(v.Name, value)
		if stored >= 0 {
			s.res.showAsSecret(secrets[stored])
		}
	}
	return nil
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
