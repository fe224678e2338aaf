//go:build unix

package build

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"switchyard/asl/task"
	"switchyard/internal/fault"
)

// The statuses of builds and phases, in CodeBuild's words.
const (
	statusSucceeded = "SUCCEEDED"
	statusFailed    = "FAILED"
	statusTimedOut  = "TIMED_OUT"
	// statusFault is CodeBuild's word for a failure of its own.
	statusFault = "FAULT"
)

// codeFault is the status code of a phase that the machine made fail.
const codeFault = "MACHINE_FAULT"

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

// newResult is the result of a build that is about to begin.
func (h *Handler) newResult(t task.Task, req *request, queued time.Time) *buildResult {
	res := &buildResult{
		CurrentPhase:                 "COMPLETED",
		BuildComplete:                true,
		StartTime:                    millis(queued),
		ProjectName:                  req.project,
		Initiator:                    "states/" + t.ExecutionName,
		SourceVersion:                req.sourceVersion,
		Source:                       sourceResult{Type: "GIT", Location: redact(req.cloneURL), Buildspec: req.buildspec},
		TimeoutInMinutes:             int64(req.timeout / time.Minute),
		SecondaryArtifacts:           []artifactResult{},
		ReportArns:                   []string{},
		ExportedEnvironmentVariables: []nameValue{},
		Environment:                  environmentResult{Type: "LOCAL", EnvironmentVariables: append([]variable{}, req.env...)},
		Logs: logsResult{
			DeepLink:   "file://" + filepath.ToSlash(h.logs.path(t.ExecutionName, t.ID)),
			GroupName:  t.ExecutionName,
			StreamName: t.ID,
		},
	}
	res.identify(t, req.project, h.cfg.Region)
	return res
}

// end records when the build ended.
func (b *buildResult) end(now time.Time) {
	b.EndTime = millis(now)
	b.Phases = append(b.Phases, phaseResult{PhaseType: "COMPLETED", StartTime: b.EndTime})
}

// fail records a phase that the machine kept from beginning.
func (b *buildResult) fail(phase string, err error) {
	b.BuildStatus = statusFault
	b.Phases = append(b.Phases, phaseResult{
		PhaseType: phase, PhaseStatus: statusFault, StartTime: b.StartTime,
		Contexts: []phaseContext{{StatusCode: codeFault, Message: err.Error()}},
	})
}

// faulty is the build that err kept from beginning.
func (b *buildResult) faulty(phase string, err error) error {
	f := fault.Of(err)
	if f == nil {
		f = &fault.Error{Err: err}
	}
	b.fail(phase, err)
	return &buildFaultError{fault: f, res: b}
}

// buildFaultError is a build that the machine, or the repository's host, kept from
// running to its end.
type buildFaultError struct {
	fault *fault.Error
	res   *buildResult
}

func (e *buildFaultError) Error() string { return e.fault.Error() }
func (e *buildFaultError) Unwrap() error { return e.fault }

func (e *buildFaultError) describe() string {
	switch {
	case e.fault.Command:
		return "a command found no room on the disk"
	case e.fault.Brief:
		return "the repository could not be used just now"
	}
	return "the machine or the repository's host failed, not the commit"
}

// give is the build's error when it has been tried often enough.
func (e *buildFaultError) give(tries int) (json.RawMessage, error) {
	b := e.res
	name := task.MachineFault
	for i := range b.Phases {
		p := &b.Phases[i]
		if p.PhaseStatus != statusFault {
			continue
		}
		if e.fault.Brief {
			p.PhaseStatus = statusFailed
			for i := range p.Contexts {
				p.Contexts[i].StatusCode = "CLIENT_ERROR"
			}
			continue
		}
		for i := range p.Contexts {
			p.Contexts[i].Message = fmt.Sprintf("not the commit's failure, tried %d times: %s", tries, p.Contexts[i].Message)
		}
	}
	if e.fault.Brief {
		b.BuildStatus, name = statusFailed, errFailed
	}
	return b.failure(name)
}

// maxCause is Step Functions' limit for the cause of an error, in characters.
const maxCause = 32768

// output is the result as a task's output, or as its error.
func (b *buildResult) output() (json.RawMessage, error) {
	if b.BuildStatus == statusSucceeded {
		return b.marshal()
	}
	return b.failure(errFailed)
}

// failure is the result as a task's error.
func (b *buildResult) failure(name string) (json.RawMessage, error) {
	cause, err := b.marshal()
	if err != nil {
		return nil, err
	}
	if len(cause) > maxCause {
		// What the caller gave in is the least that it misses.
		if len(b.Source.Buildspec) > 1000 {
			b.Source.Buildspec = ""
		}
		b.Environment.EnvironmentVariables = nil
		b.ExportedEnvironmentVariables = nil
		if cause, err = b.marshal(); err != nil {
			return nil, err
		}
	}
	return nil, &task.Error{Name: name, Cause: string(cause)}
}

func (b *buildResult) marshal() (json.RawMessage, error) {
	out, err := json.Marshal(struct{ Build *buildResult }{b})
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", b.ID, err)
	}
	return out, nil
}

// identify sets ID and ARN. They are functions of the task, so that a build
// that is run again after a crash keeps them. The engine's own region stands in
// the ARN where builds have none.
func (b *buildResult) identify(t task.Task, project, inRegion string) {
	sum := sha256.Sum256([]byte(t.ExecutionARN + "\n" + t.ID))
	b.ID = fmt.Sprintf("%s:%x-%x-%x-%x-%x", project, sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	region, account := "local", "000000000000"
	if f := strings.Split(t.ExecutionARN, ":"); len(f) > 4 && f[3] != "" && f[4] != "" {
		region, account = f[3], f[4]
	}
	if inRegion != "" {
		region = inRegion
	}
	b.Arn = fmt.Sprintf("arn:aws:codebuild:%s:%s:build/%s", region, account, b.ID)
}

// showAsSecret lets a variable be seen as CodeBuild shows it: by where its
// value is kept, not the value.
func (b *buildResult) showAsSecret(v variable) {
	for i, shown := range b.Environment.EnvironmentVariables {
		if shown.Name == v.Name {
			b.Environment.EnvironmentVariables[i] = v
		}
	}
}

// mask takes secrets out of all that a build, its buildspec or its input can
// have put into the result.
func (b *buildResult) mask(mask func(string) string) {
	texts := []*string{&b.SourceVersion, &b.Source.Location, &b.Source.Buildspec, &b.Artifacts.Location}
	for i := range b.SecondaryArtifacts {
		texts = append(texts, &b.SecondaryArtifacts[i].ArtifactIdentifier, &b.SecondaryArtifacts[i].Location)
	}
	for i := range b.Phases {
		for j := range b.Phases[i].Contexts {
			texts = append(texts, &b.Phases[i].Contexts[j].Message)
		}
	}
	for i := range b.ExportedEnvironmentVariables {
		texts = append(texts, &b.ExportedEnvironmentVariables[i].Value)
	}
	for i := range b.Environment.EnvironmentVariables {
		texts = append(texts, &b.Environment.EnvironmentVariables[i].Value)
	}
	for _, text := range texts {
		*text = mask(*text)
	}
}

func millis(t time.Time) int64 { return t.UnixMilli() }
