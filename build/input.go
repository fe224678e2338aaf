//go:build unix

package build

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"switchyard/asl/task"
)

// Error names as the CodeBuild integration of Step Functions gives them.
const (
	errInvalidInput = "CodeBuild.InvalidInputException"
	errNotFound     = "CodeBuild.ResourceNotFoundException"
	errFailed       = "States.TaskFailed"
	// errLimit is ours: the build was ended for what it took of the machine.
	errLimit = "Switchyard.BuildLimitExceeded"
)

// request is one build as the input and the project ask for it.
type request struct {
	project       string
	cloneURL      string
	remote        remote
	sourceVersion string
	version       version
	// buildspec is a path in the repository, or YAML when inline is true.
	buildspec string
	inline    bool
	timeout   time.Duration
	env       []variable
	// stored are the input's variables from a store that the project's
	// environment sets.
	stored []variable
	// noSecrets says why this build gets no secrets; "" when it gets those of
	// its project. See [Handler.secretsOf].
	noSecrets string
	artifacts bool
	// submodules are the project's.
	submodules []string
	// network is the project's, for this build.
	network string
	// image is what it runs in, "" where that is no container.
	image string
	// origin is where the execution comes from, and fork says that the commit is
	// a stranger's.
	origin origin
	fork   bool
	// forkNotes are lines for the log about a build of a fork.
	forkNotes []string
	// notes are lines for the log about what the input asks for in vain.
	notes []string
}

// variable is an environment variable as CodeBuild writes it.
type variable struct {
	Name  string
	Value string
	Type  string
}

const (
	plaintext      = "PLAINTEXT"
	parameterStore = "PARAMETER_STORE"
	secretsManager = "SECRETS_MANAGER"
)

func invalid(format string, args ...any) error {
	return &task.Error{Name: errInvalidInput, Cause: fmt.Sprintf(format, args...)}
}

// startBuild is the part of CodeBuild's StartBuild request that has a meaning
// on one machine.
type startBuild struct {
	ProjectName                  string
	SourceVersion                string
	SourceLocationOverride       string
	SourceTypeOverride           string
	BuildspecOverride            string
	EnvironmentVariablesOverride []variable
	TimeoutInMinutesOverride     *float64
	ArtifactsOverride            struct{ Type string }
}

// Fields that StartBuild knows and that change nothing here.
var ignoredFields = []string{
	"AutoRetryLimitOverride", "BuildStatusConfigOverride", "CacheOverride", "CertificateOverride",
	"ComputeTypeOverride", "DebugSessionEnabled", "EncryptionKeyOverride", "EnvironmentTypeOverride",
	"FleetOverride", "GitCloneDepthOverride", "GitSubmodulesConfigOverride", "HostKernelOverride",
	"IdempotencyToken", "ImageOverride", "ImagePullCredentialsTypeOverride", "InsecureSslOverride",
	"LogsConfigOverride", "PrivilegedModeOverride", "QueuedTimeoutInMinutesOverride",
	"RegistryCredentialOverride", "ReportBuildStatusOverride", "SecondaryArtifactsOverride",
	"SecondarySourcesOverride", "SecondarySourcesVersionOverride", "ServiceRoleOverride",
	"SourceAuthOverride",
}

// maxTimeout is CodeBuild's longest build, 36 hours.
const maxTimeout = 36 * time.Hour

// parse reads what the task asks for. With fork, or where the task's origin is
// one, only what a build of a fork gets is in it.
func (h *Handler) parse(t task.Task, fork bool) (*request, error) {
	var in startBuild
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, invalid("the task's input is not a StartBuild request: %v", err)
	}
	if in.ProjectName == "" {
		return nil, invalid("ProjectName is missing")
	}
	whole, known := h.cfg.Projects[in.ProjectName]
	from, p := readOrigin(t.Origin), whole
	if fork = fork || from.Fork; fork {
		p = whole.forForks()
	}
	r := &request{
		origin:        from,
		fork:          fork,
		project:       in.ProjectName,
		cloneURL:      p.CloneURL,
		sourceVersion: in.SourceVersion,
		buildspec:     p.Buildspec,
		timeout:       p.Timeout,
		artifacts:     true,
		submodules:    p.Submodules,
		network:       p.Network,
		image:         cmp.Or(p.Image, h.cfg.Container.Image),
		notes:         fieldNotes(t.Input),
	}
	if fork {
		r.noSecrets = "builds of commits from forks get no secrets"
		r.noteFork(whole)
	}
	if in.SourceLocationOverride != "" {
		r.cloneURL = in.SourceLocationOverride
	}
	if r.cloneURL == "" {
		if !known {
			return nil, &task.Error{Name: errNotFound, Cause: fmt.Sprintf(
				"project %q is not configured and the input has no SourceLocationOverride", in.ProjectName)}
		}
		return nil, invalid("project %q has no clone URL and the input has no SourceLocationOverride", in.ProjectName)
	}
	if err := h.setRemote(r, in.SourceLocationOverride != ""); err != nil {
		return nil, invalid("%v", err)
	}
	switch in.SourceTypeOverride {
	case "", "CODECOMMIT", "GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "BITBUCKET":
	default:
		return nil, invalid("SourceTypeOverride %q can't be built locally; only git sources can", in.SourceTypeOverride)
	}
	var err error
	if r.version, err = parseVersion(in.SourceVersion); err != nil {
		return nil, invalid("SourceVersion: %v", err)
	}
	if in.BuildspecOverride != "" {
		r.buildspec = in.BuildspecOverride
	}
	if r.buildspec == "" {
		r.buildspec = "buildspec.yml"
	}
	r.inline = strings.ContainsAny(r.buildspec, "\n{")
	if err := r.setTimeout(in.TimeoutInMinutesOverride, h.cfg.DefaultTimeout); err != nil {
		return nil, err
	}
	switch in.ArtifactsOverride.Type {
	case "":
	case "NO_ARTIFACTS":
		r.artifacts = false
	default:
		r.note("ArtifactsOverride: artifacts are kept in the data directory, not in %s", in.ArtifactsOverride.Type)
	}
	return r, h.setEnv(r, p, in.EnvironmentVariablesOverride)
}

// setRemote checks where the build is to fetch from. overridden says that this
// is not the project's own.
func (h *Handler) setRemote(r *request, overridden bool) (err error) {
	if r.remote, err = parseRemote(r.cloneURL); err != nil {
		return err
	}
	if overridden && r.remote.user != "" {
		return fmt.Errorf("clone URL %s comes with a user or password, which it may not outside the config; a source has a token, and a project's repository may have them", redact(r.cloneURL))
	}
	return h.permit(r.remote, h.named(r.remote, nil))
}

func (r *request) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *request) setTimeout(minutes *float64, byDefault time.Duration) error {
	if r.timeout == 0 {
		r.timeout = byDefault
	}
	if minutes == nil {
		return nil
	}
	m := *minutes
	if m != math.Trunc(m) || m < 1 || m > maxTimeout.Minutes() {
		return invalid("TimeoutInMinutesOverride is %v, must be a whole number from 1 to %.0f", m, maxTimeout.Minutes())
	}
	r.timeout = time.Duration(m) * time.Minute
	return nil
}

// setEnv joins the project's variables and the input's; the input wins.
func (h *Handler) setEnv(r *request, p Project, override []variable) error {
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		r.env = append(r.env, variable{Name: name, Value: p.Env[name], Type: plaintext})
	}
	store := h.secretsOf(r)
	r.env = append(r.env, store.variables()...)
	for i, v := range override {
		if v.Type == "" {
			v.Type = plaintext
		}
		if err := checkVariable(v.Name, v.Value); err != nil {
			return invalid("EnvironmentVariablesOverride[%d]: %v", i, err)
		}
		switch v.Type {
		case plaintext:
		case parameterStore, secretsManager:
			_, _, err := store.find(v)
			if err == nil {
				break
			}
			if _, ok := p.Env[v.Name]; !ok {
				return invalid("EnvironmentVariablesOverride[%d]: %v", i, err)
			}
			r.stored = append(r.stored, v)
			continue // the project's value stays
		default:
			return invalid("EnvironmentVariablesOverride[%d]: type %q must be %s, %s or %s",
				i, v.Type, plaintext, parameterStore, secretsManager)
		}
		if strings.HasPrefix(v.Name, "CODEBUILD_") {
			r.note("%s: names that begin with CODEBUILD_ are reserved; ignored", v.Name)
			continue
		}
		r.env = slices.DeleteFunc(r.env, func(old variable) bool { return old.Name == v.Name })
		r.env = append(r.env, v)
	}
	return nil
}

// storeName is the store of AWS that a type of variable means.
func storeName(kind string) string {
	if kind == secretsManager {
		return "secrets-manager"
	}
	return "parameter-store"
}

// fieldNotes names the fields of the input that are not acted upon.
func fieldNotes(input json.RawMessage) []string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(input, &fields) != nil {
		return nil
	}
	acted := []string{
		"ProjectName", "SourceVersion", "SourceLocationOverride", "SourceTypeOverride", "BuildspecOverride",
		"EnvironmentVariablesOverride", "TimeoutInMinutesOverride", "ArtifactsOverride",
	}
	var notes []string
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		same := func(known string) bool { return strings.EqualFold(f, known) }
		switch {
		case slices.ContainsFunc(acted, same):
		case slices.ContainsFunc(ignoredFields, same):
			notes = append(notes, f+" has no meaning for a local build; ignored")
		default:
			notes = append(notes, f+" is not a field of StartBuild known here; ignored")
		}
	}
	return notes
}
