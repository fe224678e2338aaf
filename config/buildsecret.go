package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"switchyard/build"
)

// BuildSecret is where a secret of local builds comes from. In the file it is a
// text alone, as every other secret, or a mapping.
type BuildSecret struct {
	Value       Secret            `json:"value,omitzero" jsonschema:"The secret as a text with ${NAME}, read when the service starts."`
	File        string            `json:"file,omitzero" jsonschema:"File that holds it, read anew for each build. Relative to this file's folder."`
	Command     Strings           `json:"command,omitzero" jsonschema:"Program and arguments that print it, run outside of the build when one needs it. No shell. Arguments can be seen by other users of the machine: what is secret belongs into environment."`
	Environment map[string]Secret `json:"environment,omitzero" jsonschema:"Environment variables of the command, beside PATH, HOME, LANG, LC_ALL and TZ."`
	Timeout     Duration          `json:"timeout,omitzero" jsonschema:"How long the command may take. Default: 30s."`
	Cache       Duration          `json:"cache,omitzero" jsonschema:"For how long what the command printed serves other builds too. 0s: not at all. Default: 1m."`
	Shared      string            `json:"shared,omitzero" jsonschema:"Name of a secret under engine.embedded.secrets, which this project may have."`
	Variable    string            `json:"variable,omitzero" jsonschema:"Environment variable in which every build of the project gets it. Left out, only a build that asks for it by name does."`
}

// The defaults of a secret's command.
const (
	secretTimeout = Duration(30 * time.Second)
	secretCache   = Duration(time.Minute)
)

// buildSecretSettings is BuildSecret without its own way of being decoded.
type buildSecretSettings BuildSecret

func (s *BuildSecret) decodeNode(d *decoder, n ast.Node, path string) {
	s.Timeout, s.Cache = secretTimeout, secretCache
	text, ok := d.scalar(n)
	if !ok {
		d.mapping(n, (*buildSecretSettings)(s), path)
		if m, ok := n.(*ast.MappingNode); ok {
			for _, v := range m.Values {
				if text, _ := d.scalar(v.Value); v.Key.GetToken().Value == "value" && strings.HasPrefix(text, "file:") {
					d.failValue(path+".value", "write file: PATH instead: a file is read anew for each build")
				}
			}
		}
		return
	}
	if strings.HasPrefix(text, "file:") {
		if text, ok = d.text(n, path); ok {
			s.File = strings.TrimPrefix(text, "file:")
		}
		return
	}
	s.Value.decodeNode(d, n, path)
}

const sharedSecrets = "engine.embedded.secrets"

// checkBuildSecrets checks where the secrets of builds come from. No command is
// run for it.
func (d *decoder) checkBuildSecrets(c *Config) {
	e := c.Engine.Embedded
	if e == nil {
		return
	}
	for _, name := range sorted(e.Secrets) {
		s, at := e.Secrets[name], join(sharedSecrets, name)
		d.checkBuildSecret(c, s, name, at)
		for key, set := range map[string]bool{"variable": s.Variable != "", "shared": s.Shared != ""} {
			if set {
				d.failValue(at+"."+key, "stands with the secrets of a project: {shared: %s, variable: NAME}", name)
			}
		}
	}
	for _, project := range sorted(e.Projects) {
		at := join("engine.embedded.projects", project) + ".secrets"
		p, variables := e.Projects[project], map[string]string{}
		for _, name := range sorted(p.Secrets) {
			s, at := p.Secrets[name], join(at, name)
			d.checkBuildSecret(c, s, name, at)
			if _, ok := e.Secrets[s.Shared]; !ok && s.Shared != "" && !d.unresolved[at+".shared"] {
				d.failValue(at+".shared", "%s", unknownName(sharedSecrets, s.Shared, sorted(e.Secrets)))
			}
			if s.Variable != "" && !d.unresolved[at+".variable"] {
				d.checkSecretVariable(at+".variable", s.Variable, p, variables[s.Variable])
				variables[s.Variable] = at
			}
		}
	}
}

func (d *decoder) checkSecretVariable(at, name string, p Project, other string) {
	switch _, taken := p.Environment[name]; {
	case !variable.MatchString(name):
		d.failValue(at, "%q is not the name of an environment variable: use letters, digits and _", name)
	case strings.HasPrefix(name, "CODEBUILD_"):
		d.failValue(at, "names that begin with CODEBUILD_ are reserved")
	case taken:
		d.failValue(at, "%s stands in the project's environment too; keep one", name)
	case other != "":
		d.failValue(at, "%s is the variable of %s too", name, other)
	}
}

func (d *decoder) checkBuildSecret(c *Config, s BuildSecret, name, at string) {
	if name == "" {
		d.failValue(at, "the secret's name is empty")
	}
	given := 0
	for key, set := range map[string]bool{"value": !s.Value.IsZero(), "file": s.File != "", "command": len(s.Command) > 0, "shared": s.Shared != ""} {
		if set || d.offline && d.has(at+"."+key) {
			given++
		}
	}
	if given > 1 || given == 0 && !d.offline && !d.failedUnder(at) {
		d.failValue(at, "needs one of value, file, command and shared")
	}
	if len(s.Command) > 0 && s.Command[0] == "" {
		d.failValue(d.item(at+".command", 0), "the program's name is empty")
	}
	for _, key := range []string{"environment", "timeout", "cache"} {
		if len(s.Command) == 0 && given > 0 && d.has(at+"."+key) {
			d.failValue(at+"."+key, "only a command has it")
		}
	}
	for _, name := range sorted(s.Environment) {
		if !variable.MatchString(name) {
			d.failValue(join(at+".environment", name), "is not the name of an environment variable: use letters, digits and _")
		}
	}
	if s.Timeout <= 0 && !d.unresolved[at+".timeout"] {
		d.failValue(at+".timeout", "must be longer than nothing")
	}
	text := s.Value.Reveal()
	if s.File != "" && !d.offline && !d.failedUnder(at) {
		key := at + ".file"
		if !d.has(key) {
			key = at
		}
		// Not a file that the config is made of: it is read for each build.
		data, err := readFile(d.resolve(s.File), maxSecret)
		if text = strings.TrimRight(string(data), "\r\n"); err == nil && text == "" {
			err = errors.New("the secret is empty: the file holds nothing")
		}
		if err != nil {
			d.failValue(key, "read secret: %v", err)
			return
		}
	}
	if text != "" && len(text) < build.MinMasked {
		c.warnings = append(c.warnings, fmt.Sprintf("%s: the secret has fewer than %d bytes, and is not masked in the logs of builds: too much else would be", at, build.MinMasked))
	}
}

// BuildSecrets are the secrets of a project's local builds.
func (c *Config) BuildSecrets(project string) map[string]build.Secret {
	e := c.Engine.Embedded
	secrets := map[string]build.Secret{}
	for name, s := range e.Projects[project].Secrets {
		key, variable := join(join("engine.embedded.projects", project)+".secrets", name), s.Variable
		if s.Shared != "" {
			key, s = join(sharedSecrets, s.Shared), e.Secrets[s.Shared]
		}
		made := build.Secret{
			Key: key, Value: s.Value.Reveal(), Command: append([]string(nil), s.Command...), Env: map[string]string{},
			Timeout: time.Duration(s.Timeout), Cache: time.Duration(s.Cache), Variable: variable,
		}
		if s.File != "" {
			made.File = c.absolute(s.File)
		}
		if len(made.Command) > 0 && strings.Contains(made.Command[0], "/") {
			made.Command[0] = c.absolute(made.Command[0])
		}
		if made.Cache == 0 {
			made.Cache = -1
		}
		for name, value := range s.Environment {
			made.Env[name] = value.Reveal()
		}
		secrets[name] = made
	}
	return secrets
}

// BuildSecretFiles are the files of secrets that are read for each build.
func (c *Config) BuildSecretFiles() []string {
	var files []string
	add := func(secrets map[string]BuildSecret) {
		for _, name := range sorted(secrets) {
			if file := secrets[name].File; file != "" {
				files = append(files, c.absolute(file))
			}
		}
	}
	if e := c.Engine.Embedded; e != nil {
		add(e.Secrets)
		for _, name := range sorted(e.Projects) {
			add(e.Projects[name].Secrets)
		}
	}
	return files
}

// absolute is the whole path of what the config names.
func (c *Config) absolute(path string) string {
	path = c.Resolve(path)
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
