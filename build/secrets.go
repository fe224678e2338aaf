//go:build unix

package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Secret says where the value of a secret of a project comes from: one of
// Value, File and Command.
type Secret struct {
	// Key is the setting by which errors name the secret. Default:
	// engine.embedded.projects.<project>.secrets.<name>. Secrets with the same
	// key are the same secret, and share what a command has printed.
	Key string
	// Value is the secret itself.
	Value string
	// File is read anew for each build. Line breaks at its end are cut.
	File string
	// Command is a program and its arguments, run outside of any build when
	// one needs the secret. What it prints is the secret, without line breaks
	// at the end. Besides PATH, HOME, LANG, LC_ALL and TZ it gets Env only.
	Command []string
	Env     map[string]string
	// Timeout is for the command. Default: 30 seconds.
	Timeout time.Duration
	// Cache is for how long what the command has printed serves other builds
	// too. Default: 1 minute; negative: not at all.
	Cache time.Duration
	// Variable is the environment variable in which every build of the project
	// gets the secret. Without one, only a build whose buildspec or input asks
	// for the secret by its name gets it.
	Variable string
}

// fillSecrets checks the secrets of a project.
func (p *Project) fillSecrets(project string) error {
	filled := make(map[string]Secret, len(p.Secrets))
	variables := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		s := p.Secrets[name]
		if s.Key == "" {
			s.Key = secretKey(project, name)
		}
		sources := 0
		for _, given := range []bool{s.Value != "", s.File != "", len(s.Command) > 0} {
			if given {
				sources++
			}
		}
		switch {
		case sources != 1:
			return fmt.Errorf("%s: one of value, file and command is required", s.Key)
		case len(s.Command) > 0 && s.Command[0] == "":
			return fmt.Errorf("%s: the command's name is empty", s.Key)
		case s.Timeout < 0:
			return fmt.Errorf("%s: the timeout must not be negative", s.Key)
		}
		if s.Timeout == 0 {
			s.Timeout = 30 * time.Second
		}
		if s.Cache == 0 {
			s.Cache = time.Minute
		}
		if v := s.Variable; v != "" {
			if err := checkVariable(v, s.Value); err != nil {
				return fmt.Errorf("%s: %w", s.Key, err)
			}
			if strings.HasPrefix(v, "CODEBUILD_") {
				return fmt.Errorf("%s: names of variables that begin with CODEBUILD_ are reserved", s.Key)
			}
			if other, ok := variables[v]; ok {
				return fmt.Errorf("%s: the variable %s is that of %s too", s.Key, v, other)
			}
			if _, ok := p.Env[v]; ok {
				return fmt.Errorf("%s: the variable %s stands in the project's environment too", s.Key, v)
			}
			variables[v] = s.Key
		}
		filled[name] = s
	}
	p.Secrets = filled
	return nil
}

// secretKey is the setting of a project's secret.
func secretKey(project, name string) string {
	if !plainKey.MatchString(name) {
		return fmt.Sprintf("engine.embedded.projects.%s.secrets[%q]", project, name)
	}
	return fmt.Sprintf("engine.embedded.projects.%s.secrets.%s", project, name)
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// secretStore is what one build may have of its project's secrets.
type secretStore struct {
	project string
	secrets map[string]Secret
	// none says why the build gets no secrets at all; "" when it does.
	none string
	read func(context.Context, Secret) (string, error)
}

// secretsOf is the one place that decides which secrets a build may have.
func (h *Handler) secretsOf(r *request) secretStore {
	if r.noSecrets != "" {
		return secretStore{project: r.project, none: r.noSecrets}
	}
	secrets := h.cfg.Projects[r.project].Secrets
	if renewed := h.renewed.Load(); renewed != nil {
		secrets = (*renewed)[r.project]
	}
	return secretStore{project: r.project, secrets: secrets, read: h.secrets.read}
}

// PrepareSecrets checks other secrets for the projects, by project and name. The
// function that it returns has all builds that begin afterwards use them.
func (h *Handler) PrepareSecrets(projects map[string]map[string]Secret) (apply func(), err error) {
	renewed := make(map[string]map[string]Secret, len(projects))
	for name, secrets := range projects {
		p := h.cfg.Projects[name]
		p.Secrets = secrets
		if err := p.fillSecrets(name); err != nil {
			return nil, fmt.Errorf("build: %w", err)
		}
		renewed[name] = p.Secrets
	}
	return func() { h.renewed.Store(&renewed) }, nil
}

// variables are those that every build of the project gets. Their values are
// the names of secrets.
func (s *secretStore) variables() []variable {
	var vars []variable
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		if v := s.secrets[name].Variable; v != "" {
			vars = append(vars, variable{Name: v, Value: name, Type: secretsManager})
		}
	}
	return vars
}

// find gives the secret that a variable refers to, and the key of it when only
// a part of a JSON text is meant. The error says what to configure.
func (s *secretStore) find(v variable) (secret Secret, jsonKey string, err error) {
	if s.none != "" {
		return Secret{}, "", fmt.Errorf("%s, and %s asks for %s %s", s.none, v.Name, storeName(v.Type), v.Value)
	}
	if secret, ok := s.secrets[v.Value]; ok {
		return secret, "", nil
	}
	ref, err := parseReference(v)
	if err != nil {
		return Secret{}, "", err
	}
	for _, name := range ref.names {
		secret, ok := s.secrets[name]
		if !ok {
			continue
		}
		if ref.version != "" {
			return Secret{}, "", fmt.Errorf("%s %s: a secret has one version here, and this asks for %s; add %s to the configuration for it",
				storeName(v.Type), v.Value, ref.version, secretKey(s.project, v.Value))
		}
		return secret, ref.jsonKey, nil
	}
	return Secret{}, "", &missingSecretError{v: v, key: secretKey(s.project, ref.names[len(ref.names)-1])}
}

// missingSecretError is a reference to a secret that the project does not have.
type missingSecretError struct {
	v   variable
	key string
}

func (e *missingSecretError) Error() string {
	return fmt.Sprintf("%s needs %s %s: add %s to the configuration", e.v.Name, storeName(e.v.Type), e.v.Value, e.key)
}

// value gives the value of a variable from a store.
func (s *secretStore) value(ctx context.Context, v variable) (string, error) {
	secret, jsonKey, err := s.find(v)
	if err != nil {
		return "", err
	}
	value, err := s.read(ctx, secret)
	if err != nil || jsonKey == "" {
		return value, err
	}
	// Neither the text nor what is wrong with it may be shown.
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &fields) != nil || fields == nil {
		return "", fmt.Errorf("%s: its value is not a JSON object, and %s asks for the key %q of one", secret.Key, v.Name, jsonKey)
	}
	raw, ok := fields[jsonKey]
	if !ok {
		return "", fmt.Errorf("%s: the JSON has no key %q, which %s asks for", secret.Key, jsonKey, v.Name)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && !bytes.Equal(raw, []byte("null")) {
		return text, nil
	}
	return string(raw), nil
}

// reference is what names a secret in CodeBuild's notation.
type reference struct {
	// names are those under which the secret may be configured, the plainest
	// last.
	names   []string
	jsonKey string
	// version is a version's stage or ID other than the current one.
	version string
}

// randomEnd is what Secrets Manager puts behind a name in an ARN.
var randomEnd = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// parseReference reads, for Secrets Manager,
// <secret-id>:<json-key>:<version-stage>:<version-id>, whose secret-id is a name
// or an ARN, and for the Parameter Store a name or an ARN, either with :<version
// or label>. See "env/secrets-manager" and "env/parameter-store" in the CodeBuild
// user guide.
func parseReference(v variable) (reference, error) {
	bad := func(why string) (reference, error) {
		return reference{}, fmt.Errorf("%s: %s reference %q %s", v.Name, storeName(v.Type), v.Value, why)
	}
	fields := strings.Split(v.Value, ":")
	arn := fields[0] == "arn"
	id := 1
	if arn {
		id = 7
		if v.Type == parameterStore {
			id = 6
		}
		if len(fields) < id {
			return bad("is not a whole ARN")
		}
	}
	rest := fields[id:]
	name := fields[id-1]
	ref := reference{}
	if arn {
		ref.names = append(ref.names, strings.Join(fields[:id], ":"))
	}
	if v.Type == parameterStore {
		if len(rest) > 1 {
			return bad("has more than a name and a version")
		}
		ref.version = strings.Join(rest, "")
		if path, ok := strings.CutPrefix(name, "parameter/"); arn && ok {
			// The ARN of the parameter /a/b ends in parameter/a/b, that of c
			// in parameter/c.
			if ref.names = append(ref.names, path, "/"+path); !strings.Contains(path, "/") {
				ref.names = append(ref.names, path)
			}
			name = ""
		} else if arn {
			return bad("is not the ARN of a parameter")
		}
	} else {
		if arn && fields[5] != "secret" {
			return bad("is not the ARN of a secret")
		}
		if len(rest) > 3 {
			return bad("has more than secret-id:json-key:version-stage:version-id")
		}
		rest = append(rest, "", "", "")
		ref.jsonKey = rest[0]
		if rest[1] != "AWSCURRENT" {
			ref.version = rest[1]
		}
		if rest[2] != "" {
			ref.version = rest[2]
		}
		if arn {
			if end := randomEnd.FindString(name); end != "" && end != name {
				ref.names = append(ref.names, strings.TrimSuffix(ref.names[0], end), name)
				name = strings.TrimSuffix(name, end)
			}
		}
	}
	if name != "" {
		ref.names = append(ref.names, name)
	}
	if len(ref.names) == 0 || ref.names[len(ref.names)-1] == "" {
		return bad("names nothing")
	}
	return ref, nil
}

// errNoSecret joins what is missing of a build's secrets.
func errNoSecret(missing []error) error {
	texts := make([]string, len(missing))
	for i, err := range missing {
		texts[i] = err.Error()
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}
