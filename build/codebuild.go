//go:build unix

package build

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The variables that CodeBuild documents ("Environment variables in build
// environments" in its user guide) are either set, or a build that uses one is
// told that it is not: an empty region makes the name of another registry.

// codebuildVariables are those that are set. What is not known of a build is
// left out; see [session.whyUnset].
func (s *session) codebuildVariables() []nameValue {
	vars := []nameValue{
		{"CODEBUILD_BUILD_ARN", s.res.Arn},
		{"CODEBUILD_BUILD_ID", s.res.ID},
		{"CODEBUILD_BUILD_NUMBER", strconv.FormatInt(s.res.BuildNumber, 10)},
		// The shells of the phases say how it is by then.
		{"CODEBUILD_BUILD_SUCCEEDING", "1"},
		{"CODEBUILD_INITIATOR", s.res.Initiator},
		{"CODEBUILD_LOG_PATH", s.res.Logs.StreamName},
		{"CODEBUILD_PROJECT_ARN", s.res.projectARN()},
		{"CODEBUILD_RESOLVED_SOURCE_VERSION", s.res.ResolvedSourceVersion},
		{"CODEBUILD_SOURCE_REPO_URL", redact(s.req.cloneURL)},
		{"CODEBUILD_SOURCE_VERSION", s.req.sourceVersion},
		{"CODEBUILD_SRC_DIR", s.src},
		{"CODEBUILD_START_TIME", strconv.FormatInt(s.res.StartTime, 10)},
	}
	if s.h.containers != nil {
		vars = append(vars, nameValue{"CODEBUILD_BUILD_IMAGE", s.req.image})
	}
	o := s.req.origin
	branch, isBranch := strings.CutPrefix(o.Ref, "refs/heads/")
	tag, isTag := strings.CutPrefix(o.Ref, "refs/tags/")
	add := func(name, value string) { vars = append(vars, nameValue{name, value}) }
	switch {
	case o.Event == "pull_request" && o.PullRequest > 0:
		add("CODEBUILD_WEBHOOK_TRIGGER", "pr/"+strconv.Itoa(o.PullRequest))
	case o.Event == "push" && isBranch:
		add("CODEBUILD_WEBHOOK_TRIGGER", "branch/"+branch)
	case o.Event == "push" && isTag:
		add("CODEBUILD_WEBHOOK_TRIGGER", "tag/"+tag)
	default:
		return vars
	}
	if o.Ref != "" {
		add("CODEBUILD_WEBHOOK_HEAD_REF", o.Ref)
	}
	if o.Event == "push" {
		add("CODEBUILD_WEBHOOK_EVENT", "PUSH")
	}
	return vars
}

// regionVariables are set where the config gives a region, and may be set by
// project, input and buildspec.
var regionVariables = []string{"AWS_DEFAULT_REGION", "AWS_REGION"}

const (
	noRegion  = "this machine is in no region; set engine.embedded.builds.region, or the variable in the project's environment"
	noWebhook = "it is set for builds of an execution that a push or pull request has started"
	noRunner  = "builds are no runners of another service"
)

// never are the documented variables that are not set, and why.
var never = map[string]string{
	"CODEBUILD_BATCH_BUILD_IDENTIFIER":   "there are no batch builds here",
	"CODEBUILD_BUILD_IMAGE":              "this build runs in no container (engine.embedded.builds.container)",
	"CODEBUILD_KMS_KEY_ID":               "artifacts are not encrypted here",
	"CODEBUILD_PUBLIC_BUILD_URL":         "there is no public site of builds here",
	"CODEBUILD_RUNNER_OWNER":             noRunner,
	"CODEBUILD_RUNNER_REPO":              noRunner,
	"CODEBUILD_RUNNER_REPO_DOMAIN":       noRunner,
	"CODEBUILD_RUNNER_WITH_BUILDSPEC":    noRunner,
	"CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "executions do not hold who has pushed",
	"CODEBUILD_WEBHOOK_BASE_REF":         "executions do not hold the base of a pull request",
	"CODEBUILD_WEBHOOK_JOB_ID":           noRunner,
	"CODEBUILD_WEBHOOK_LABEL":            noRunner,
	"CODEBUILD_WEBHOOK_MERGE_COMMIT":     "executions do not hold the merge commit of a pull request",
	"CODEBUILD_WEBHOOK_PREV_COMMIT":      "executions do not hold the commit before a push",
	"CODEBUILD_WEBHOOK_RUN_ID":           noRunner,
	"CODEBUILD_WEBHOOK_WORKFLOW_NAME":    noRunner,
}

// whyUnset says why a variable of CodeBuild is not set, or "" for a variable
// that is not CodeBuild's.
func (s *session) whyUnset(name string) string {
	if why, ok := never[name]; ok {
		return why
	}
	switch {
	case slices.Contains(regionVariables, name):
		return noRegion
	case name == "CODEBUILD_WEBHOOK_EVENT" && s.req.origin.Event == "pull_request":
		return "executions do not hold what has happened to a pull request"
	case strings.HasPrefix(name, "CODEBUILD_WEBHOOK_"):
		return noWebhook
	case strings.HasPrefix(name, "CODEBUILD_SRC_DIR_"):
		return "secondary sources are not fetched here"
	case strings.HasPrefix(name, "CODEBUILD_"):
		return "local builds do not know it"
	}
	return ""
}

// used finds variables in a command, $NAME and ${NAME…}, and assigned those that
// a command sets.
var (
	usedVariable     = regexp.MustCompile(`\$\{?#?(AWS_REGION|AWS_DEFAULT_REGION|CODEBUILD_[A-Za-z0-9_]+)`)
	assignedVariable = regexp.MustCompile(`(?:^|[\s;&|(])(AWS_REGION|AWS_DEFAULT_REGION|CODEBUILD_[A-Za-z0-9_]+)=`)
)

// noteUnset says in the log which of CodeBuild's variables the commands use that
// are not set, once each.
func (s *session) noteUnset() {
	known := map[string]bool{}
	for _, name := range s.env.names {
		known[name] = true
	}
	for _, phase := range specPhases {
		p := s.spec.phases[phase]
		for _, command := range slices.Concat(p.commands, p.finally) {
			for _, m := range assignedVariable.FindAllStringSubmatch(command, -1) {
				known[m[1]] = true
			}
			for _, m := range usedVariable.FindAllStringSubmatch(command, -1) {
				if name := m[1]; !known[name] {
					known[name] = true
					s.log.note("%s is used in phase %s and is not set: %s", name, strings.ToLower(phase), s.whyUnset(name))
				}
			}
		}
	}
}

// projectARN is the ARN of the build's project.
func (b *buildResult) projectARN() string {
	before, _, _ := strings.Cut(b.Arn, ":build/")
	return fmt.Sprintf("%s:project/%s", before, b.ProjectName)
}
