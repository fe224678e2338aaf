//go:build unix

package build

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"switchyard/asl/task"
)

// The statuses of builds and phases, in CodeBuild's words.
const (
	statusSucceeded = "SUCCEEDED"
	statusFailed    = "FAILED"
	statusTimedOut  = "TIMED_OUT"
)

// buildResult is a build as Step Functions gives it: CodeBuild's Build with
// the names in PascalCase and times in milliseconds since 1970.
type buildResult struct {
	ID                           string `json:"Id"`
	Arn                          string
	BuildNumber                  int64
	BuildStatus                  string
	BuildComplete                bool
	CurrentPhase                 string
	StartTime                    int64
	EndTime                      int64
	ProjectName                  string
	Initiator                    string
	SourceVersion                string `json:",omitempty"`
	ResolvedSourceVersion        string `json:",omitempty"`
	Source                       sourceResult
	TimeoutInMinutes             int64
	Phases                       []phaseResult
	Artifacts                    artifactResult
	SecondaryArtifacts           []artifactResult
	ReportArns                   []string
	ExportedEnvironmentVariables []nameValue
	Environment                  environmentResult
	Logs                         logsResult
}

type sourceResult struct {
	Type      string
	Location  string
	Buildspec string
}

type phaseResult struct {
	PhaseType         string
	PhaseStatus       string `json:",omitempty"`
	StartTime         int64
	EndTime           int64          `json:",omitempty"`
	DurationInSeconds int64          `json:",omitempty"`
	Contexts          []phaseContext `json:",omitempty"`
}

type phaseContext struct {
	StatusCode string
	Message    string
}

type artifactResult struct {
	ArtifactIdentifier string `json:",omitempty"`
	Location           string
}

type nameValue struct{ Name, Value string }

type environmentResult struct {
	Type                 string
	EnvironmentVariables []variable
}

type logsResult struct {
	DeepLink   string
	GroupName  string
	StreamName string
}

// maxCause is Step Functions' limit for the cause of an error, in characters.
const maxCause = 32768

// output is the result as a task's output, or as its error.
func (b *buildResult) output() (json.RawMessage, error) {
	if b.BuildStatus == statusSucceeded {
		return b.marshal()
	}
	cause, err := b.marshal()
	if err != nil {
		return nil, err
	}
	if len(cause) > maxCause {
		// What the caller gave in is the least that it misses.
		b.Environment.EnvironmentVariables = nil
		b.ExportedEnvironmentVariables = nil
		if cause, err = b.marshal(); err != nil {
			return nil, err
		}
	}
	return nil, &task.Error{Name: errFailed, Cause: string(cause)}
}

func (b *buildResult) marshal() (json.RawMessage, error) {
	out, err := json.Marshal(struct{ Build *buildResult }{b})
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", b.ID, err)
	}
	return out, nil
}

// identify sets ID and ARN. They are functions of the task, so that a build
// that is run again after a crash keeps them.
func (b *buildResult) identify(t task.Task, project string) {
	sum := sha256.Sum256([]byte(t.ExecutionARN + "\n" + t.ID))
	b.ID = fmt.Sprintf("%s:%x-%x-%x-%x-%x", project, sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	region, account := "local", "000000000000"
	if f := strings.Split(t.ExecutionARN, ":"); len(f) > 4 && f[3] != "" && f[4] != "" {
		region, account = f[3], f[4]
	}
	b.Arn = fmt.Sprintf("arn:aws:codebuild:%s:%s:build/%s", region, account, b.ID)
}

func millis(t time.Time) int64 { return t.UnixMilli() }
