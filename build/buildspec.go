//go:build unix

package build

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The phases of a buildspec, in the order they run.
const (
	phaseInstall   = "INSTALL"
	phasePreBuild  = "PRE_BUILD"
	phaseBuild     = "BUILD"
	phasePostBuild = "POST_BUILD"
)

var specPhases = []string{phaseInstall, phasePreBuild, phaseBuild, phasePostBuild}

// buildspec is a build specification as far as it is acted upon; what is read
// and not acted upon is in notes.
type buildspec struct {
	// apart is version 0.1: each command runs in a shell of its own, and
	// nothing but files lasts from one to the next.
	apart     bool
	shell     string // "" for the handler's
	variables []variable
	// secrets are variables whose value refers to a secret of the project.
	secrets   []variable
	exported  []string
	phases    map[string]phaseSpec
	artifacts *artifactSpec
	secondary []artifactSpec
	reports   []artifactSpec
	cache     *cacheSpec // nil for none
	notes     []string
}

type phaseSpec struct {
	commands  []string
	finally   []string
	onFailure onFailure
}

// artifactSpec says which files to keep: artifacts, secondary artifacts and
// reports have the same form.
type artifactSpec struct {
	// id is the identifier of a secondary artifact or report group.
	id           string
	name         string
	files        []string
	exclude      []string
	base         string
	discardPaths bool
}

// onFailure is what a phase asks for when it fails.
type onFailure struct {
	// action is "", ABORT, CONTINUE or RETRY.
	action string
	// retries and match are for RETRY: how often, and for which messages.
	retries int
	match   *regexp.Regexp
}

const (
	failAbort    = "ABORT"
	failContinue = "CONTINUE"
	failRetry    = "RETRY"
)

// retriesByDefault is how often RETRY without a count repeats a build.
const retriesByDefault = 3

// parseOnFailure reads ABORT, CONTINUE, RETRY, RETRY-<count>, RETRY-<regex>
// and RETRY-<count>-<regex>. The regular expression is RE2's.
func parseOnFailure(s string) (onFailure, error) {
	switch s {
	case failAbort, failContinue:
		return onFailure{action: s}, nil
	}
	rest, ok := strings.CutPrefix(s, failRetry)
	if !ok || rest != "" && rest[0] != '-' {
		return onFailure{}, fmt.Errorf("%q is not one of ABORT, CONTINUE, RETRY, RETRY-count, RETRY-regex, RETRY-count-regex", s)
	}
	f := onFailure{action: failRetry, retries: retriesByDefault}
	rest = strings.TrimPrefix(rest, "-")
	count, expr, _ := strings.Cut(rest, "-")
	if n, err := strconv.Atoi(count); err == nil {
		if n < 0 || n > 100 {
			return onFailure{}, fmt.Errorf("the count of %q must be 0 to 100", s)
		}
		f.retries, rest = n, expr
	}
	if rest == "" {
		rest = ".*"
	}
	var err error
	if f.match, err = regexp.Compile(rest); err != nil {
		return onFailure{}, fmt.Errorf("%q: %w", s, err)
	}
	return f, nil
}

// parseBuildspec reads a buildspec. Errors name the file and the line.
func parseBuildspec(name string, text []byte) (*buildspec, error) {
	root, err := parseYAML(name, text)
	if err != nil {
		return nil, err
	}
	s := &buildspec{phases: make(map[string]phaseSpec)}
	err = s.read(root)
	s.notes = root.doc.notes
	return s, err
}

func (s *buildspec) read(root node) error {
	fields, err := root.given()
	if err != nil {
		return err
	}
	// The version first: all else is to be read by its rules.
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == "version" })
	if i < 0 {
		return root.errorf("version is missing; write version: 0.2")
	}
	if err := s.readVersion(fields[i].value); err != nil {
		return err
	}
	for _, f := range fields {
		switch f.key {
		case "version":
		case "env", "environment_variables": // the latter is version 0.1's name
			err = s.readEnv(f.value)
		case "phases":
			err = s.readPhases(f.value)
		case "artifacts":
			err = s.readArtifacts(f.value)
		case "reports":
			err = s.readReports(f.value)
		case "run-as":
			f.value.notef("ignored: a local build runs as the user of Switchyard")
		case "cache":
			err = s.readCache(f.value)
		case "proxy":
			f.value.notef("ignored: a local build has no proxy of its own")
		case "batch":
			// CodeBuild reads it for StartBuildBatch only.
			f.value.notef("ignored: startBuild runs the phases as a single build, as on AWS")
		default:
			f.value.unknown("version, run-as, env, proxy, batch, phases, reports, artifacts, cache")
		}
		if err != nil {
			return err
		}
	}
	if len(s.phases) == 0 {
		return root.errorf("phases is missing or has no phase")
	}
	return nil
}

// readVersion takes 0.1 and 0.2, however the number is written.
func (s *buildspec) readVersion(n node) error {
	text, err := n.text()
	if err != nil {
		return err
	}
	switch v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); {
	case err == nil && v == 0.1:
		s.apart = true
	case err == nil && v == 0.2:
	default:
		return n.errorf("version %q is not one of 0.1, 0.2", text)
	}
	return nil
}

func (s *buildspec) readEnv(n node) error {
	fields, err := n.given()
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch f.key {
		case "shell":
			if s.shell, err = f.value.text(); err == nil && s.shell != "sh" && s.shell != "bash" && s.shell != "/bin/sh" && s.shell != "/bin/bash" {
				err = f.value.errorf("shell %q is not supported, only sh and bash", s.shell)
			}
			s.shell = path.Base(s.shell)
		case "variables", "plaintext": // the latter is version 0.1's name
			var vars []variable
			vars, err = f.value.variables(plaintext)
			s.variables = append(s.variables, vars...)
		case "parameter-store":
			err = s.readSecrets(f.value, parameterStore)
		case "secrets-manager":
			err = s.readSecrets(f.value, secretsManager)
		case "exported-variables":
			var names []string
			names, err = f.value.texts()
			for _, name := range names {
				if !isIdentifier(name) {
					f.value.notef("%q is not the name of a variable, passed over", name)
					continue
				}
				s.exported = append(s.exported, name)
			}
		case "git-credential-helper":
			f.value.notef("ignored: builds get no credentials")
		default:
			f.value.unknown("shell, variables, parameter-store, secrets-manager, exported-variables, git-credential-helper")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *buildspec) readSecrets(n node, kind string) error {
	vars, err := n.variables(kind)
	s.secrets = append(s.secrets, vars...)
	return err
}

func (s *buildspec) readPhases(n node) error {
	fields, err := n.fields()
	if err != nil {
		return err
	}
	for _, f := range fields {
		name := strings.ToUpper(f.key)
		if f.key != strings.ToLower(f.key) || !slices.Contains(specPhases, name) {
			return f.value.errorf("unknown phase; phases are install, pre_build, build, post_build")
		}
		p, err := s.readPhase(f.value)
		if err != nil {
			return err
		}
		s.phases[name] = p
	}
	return nil
}

func (s *buildspec) readPhase(n node) (phaseSpec, error) {
	var p phaseSpec
	fields, err := n.given()
	if err != nil {
		return p, err
	}
	for _, f := range fields {
		switch f.key {
		case "commands":
			p.commands, err = f.value.texts()
		case "finally":
			p.finally, err = f.value.texts()
		case "on-failure":
			var text string
			if text, err = f.value.text(); err != nil {
				break
			}
			var bad error
			if p.onFailure, bad = parseOnFailure(text); bad != nil {
				err = f.value.errorf("%v", bad)
			}
		case "run-as":
			f.value.notef("ignored: a local build runs as the user of Switchyard")
		case "runtime-versions":
			f.value.notef("ignored: a local build uses what this machine has")
		default:
			f.value.unknown("commands, finally, on-failure, run-as, runtime-versions")
		}
		if err != nil {
			return p, err
		}
	}
	for _, c := range slices.Concat(p.commands, p.finally) {
		if strings.IndexByte(c, 0) >= 0 {
			return p, n.errorf("a command has a NUL byte")
		}
	}
	return p, nil
}

func (s *buildspec) readArtifacts(n node) error {
	fields, err := n.given()
	if err != nil {
		return err
	}
	a, rest, err := s.readArtifact(fields)
	if err != nil {
		return err
	}
	for _, f := range rest {
		switch f.key {
		case "secondary-artifacts":
			s.secondary, err = s.readGroups(f.value)
		case "s3-prefix":
			f.value.notef("ignored: artifacts are kept in the data directory")
		default:
			f.value.unknown("files, name, discard-paths, base-directory, exclude-paths, enable-symlinks, s3-prefix, secondary-artifacts")
		}
		if err != nil {
			return err
		}
	}
	// CodeBuild wants files also beside secondary artifacts, and ignores them
	// there unless the project has both.
	if len(a.files) == 0 && s.secondary == nil {
		return n.errorf("files is missing")
	}
	if len(a.files) > 0 {
		s.artifacts = &a
	}
	return nil
}

func (s *buildspec) readCache(n node) error {
	fields, err := n.given()
	if err != nil {
		return err
	}
	var c cacheSpec
	for _, f := range fields {
		switch f.key {
		case "paths":
			c.paths, err = f.value.texts()
		case "action":
			if c.action, err = f.value.text(); err == nil && c.action != "restore" && c.action != "save" {
				err = f.value.errorf("%q is neither restore nor save", c.action)
			}
		case "key":
			c.key, err = f.value.text()
		case "fallback-keys":
			if c.fallbacks, err = f.value.texts(); err == nil && len(c.fallbacks) > maxFallbackKeys {
				err = f.value.errorf("there are %d, and at most %d are allowed", len(c.fallbacks), maxFallbackKeys)
			}
		default:
			f.value.unknown("paths, action, key, fallback-keys")
		}
		if err != nil {
			return err
		}
	}
	if c.key == "" {
		c.fallbacks = nil // as in CodeBuild
	}
	if len(c.paths) > 0 {
		s.cache = &c
	} else if len(fields) > 0 {
		n.notef("ignored without paths")
	}
	return nil
}

func (s *buildspec) readReports(n node) error {
	var err error
	s.reports, err = s.readGroups(n)
	return err
}

var groupID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_:/.-]*$`)

// readGroups reads a mapping from identifiers to descriptions of files.
func (s *buildspec) readGroups(n node) ([]artifactSpec, error) {
	groups, err := n.fields()
	if err != nil {
		return nil, err
	}
	var specs []artifactSpec
	for _, g := range groups {
		if !groupID.MatchString(g.key) {
			return nil, g.value.errorf("%q is not a valid identifier", g.key)
		}
		fields, err := g.value.given()
		if err != nil {
			return nil, err
		}
		a, rest, err := s.readArtifact(fields)
		if err != nil {
			return nil, err
		}
		for _, f := range rest {
			if f.key != "file-format" && f.key != "s3-prefix" {
				f.value.unknown("files, name, discard-paths, base-directory, exclude-paths, file-format")
			}
		}
		if len(a.files) == 0 {
			return nil, g.value.errorf("files is missing")
		}
		a.id = g.key
		specs = append(specs, a)
	}
	return specs, nil
}

// readArtifact reads what the three kinds have in common and returns the
// other fields.
func (s *buildspec) readArtifact(fields []field) (a artifactSpec, rest []field, err error) {
	for _, f := range fields {
		switch f.key {
		case "files":
			a.files, err = f.value.texts()
		case "exclude-paths":
			a.exclude, err = f.value.texts()
		case "name":
			a.name, err = f.value.text()
		case "base-directory":
			a.base, err = f.value.text()
		case "discard-paths":
			a.discardPaths, err = f.value.yes()
		case "enable-symlinks":
			f.value.notef("ignored: links are kept as the files they point to")
		default:
			rest = append(rest, f)
		}
		if err != nil {
			return a, nil, err
		}
	}
	return a, rest, nil
}

// used names the variables that are looked at when the commands have ended: to
// export them, or to find artifacts.
func (s *buildspec) used() []string {
	names := slices.Clone(s.exported)
	add := func(a artifactSpec) {
		for _, p := range slices.Concat([]string{a.base}, a.files, a.exclude) {
			os.Expand(p, func(name string) string {
				if isIdentifier(name) && !slices.Contains(names, name) {
					names = append(names, name)
				}
				return ""
			})
		}
	}
	if s.artifacts != nil {
		add(*s.artifacts)
	}
	for _, a := range slices.Concat(s.secondary, s.reports) {
		add(a)
	}
	return names
}
