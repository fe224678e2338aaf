package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

type action func(ctx context.Context, e *engine.Engine, body []byte) (any, error)

// actions are what the server can do, by the name in X-Amz-Target.
var actions = map[string]action{
	"CreateStateMachineAlias":          decoded(createStateMachineAlias),
	"UpdateStateMachineAlias":          decoded(updateStateMachineAlias),
	"DeleteStateMachineAlias":          decoded(deleteStateMachineAlias),
	"DescribeStateMachineAlias":        decoded(describeStateMachineAlias),
	"ListStateMachineAliases":          decoded(listStateMachineAliases),
	"PublishStateMachineVersion":       decoded(publishStateMachineVersion),
	"DeleteStateMachineVersion":        decoded(deleteStateMachineVersion),
	"ListStateMachineVersions":         decoded(listStateMachineVersions),
	"TagResource":                      decoded(tagResource),
	"UntagResource":                    decoded(untagResource),
	"ListTagsForResource":              decoded(listTagsForResource),
	"StartSyncExecution":               decoded(startSyncExecution),
	"RedriveExecution":                 decoded(redriveExecution),
	"TestState":                        decoded(testState),
	"ValidateStateMachineDefinition":   decoded(validateStateMachineDefinition),
	"CreateStateMachine":               decoded(createStateMachine),
	"UpdateStateMachine":               decoded(updateStateMachine),
	"DeleteStateMachine":               decoded(deleteStateMachine),
	"DescribeStateMachine":             decoded(describeStateMachine),
	"ListStateMachines":                decoded(listStateMachines),
	"StartExecution":                   decoded(startExecution),
	"StopExecution":                    decoded(stopExecution),
	"DescribeExecution":                decoded(describeExecution),
	"ListExecutions":                   decoded(listExecutions),
	"DescribeStateMachineForExecution": decoded(describeStateMachineForExecution),
	"GetExecutionHistory":              decoded(getExecutionHistory),
	"SendTaskSuccess":                  decoded(sendTaskSuccess),
	"SendTaskFailure":                  decoded(sendTaskFailure),
	"SendTaskHeartbeat":                decoded(sendTaskHeartbeat),
	"CreateActivity":                   decoded(createActivity),
	"DescribeActivity":                 decoded(describeActivity),
	"DeleteActivity":                   decoded(deleteActivity),
	"ListActivities":                   decoded(listActivities),
	"GetActivityTask":                  decoded(getActivityTask),
	"DescribeMapRun":                   decoded(describeMapRun),
	"ListMapRuns":                      decoded(listMapRuns),
	"UpdateMapRun":                     decoded(updateMapRun),
}

// decoded makes an action of a function that takes the request as a struct.
func decoded[In, Out any](f func(context.Context, *engine.Engine, *In) (Out, error)) action {
	limited := limitedFields(reflect.TypeFor[In]())
	return func(ctx context.Context, e *engine.Engine, body []byte) (any, error) {
		var in In
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, serialization(err)
			}
		}
		if err := checkTexts(reflect.ValueOf(&in).Elem(), limited); err != nil {
			return nil, err
		}
		return f(ctx, e, &in)
	}
}

func serialization(err error) error {
	message := "the request's body is not a JSON object"
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		message = fmt.Sprintf("the field %s must not be a JSON %s", wrong.Field, wrong.Value)
	}
	return &requestError{http.StatusBadRequest, "SerializationException", message}
}

func invalid(format string, args ...any) error {
	return &apierror.Error{Code: apierror.CodeValidation, Message: "1 validation error detected: " + fmt.Sprintf(format, args...)}
}

// required checks parameters that must be there, given as name, value pairs.
func required(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return invalid("Value null at '%s' failed to satisfy constraint: Member must not be null", pairs[i])
		}
	}
	return nil
}

// limited checks the length of a parameter.
func limited(name, value string, most int) error {
	if len(value) > most {
		return invalid("Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", name, most)
	}
	return nil
}

// page is how lists are cut: maxResults 0 means most.
func page(maxResults, most int) (int, error) {
	switch {
	case maxResults < 0:
		return 0, invalid("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 0", maxResults)
	case maxResults > most:
		return 0, invalid("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to %d", maxResults, most)
	case maxResults == 0:
		return min(100, most), nil
	}
	return maxResults, nil
}

// A page token says which list it goes on with, and where.
func newToken(list, at string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + at))
}

func readToken(token, list string) (at string, err error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		if at, ok := strings.CutPrefix(string(raw), list+"\x00"); ok {
			return at, nil
		}
	}
	return "", &apierror.Error{Code: apierror.CodeInvalidToken, Message: "Invalid Token: 'Invalid token'"}
}

func readIDToken(token, list string) (int64, error) {
	at, err := readToken(token, list)
	if err != nil || at == "" {
		return 0, err
	}
	id, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id < 1 {
		return 0, &apierror.Error{Code: apierror.CodeInvalidToken, Message: "Invalid Token: 'Invalid token'"}
	}
	return id, nil
}

type empty struct{}

type stateMachineIn struct {
	StateMachineArn string `json:"stateMachineArn"`
}

type configurations struct {
	LoggingConfiguration    *catalog.Logging    `json:"loggingConfiguration"`
	TracingConfiguration    *catalog.Tracing    `json:"tracingConfiguration"`
	EncryptionConfiguration *catalog.Encryption `json:"encryptionConfiguration"`
}

func (in *configurations) settings() catalog.Settings {
	return catalog.Settings{Logging: in.LoggingConfiguration, Tracing: in.TracingConfiguration, Encryption: in.EncryptionConfiguration}
}

type createStateMachineIn struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
	RoleArn    string `json:"roleArn"`
	Type       string `json:"type"`
	configurations
	Publish            bool          `json:"publish"`
	VersionDescription string        `json:"versionDescription"`
	Tags               []catalog.Tag `json:"tags"`
}

type createStateMachineOut struct {
	StateMachineArn        string `json:"stateMachineArn"`
	CreationDate           epoch  `json:"creationDate"`
	StateMachineVersionArn string `json:"stateMachineVersionArn,omitempty"`
}

func createStateMachine(ctx context.Context, e *engine.Engine, in *createStateMachineIn) (*createStateMachineOut, error) {
	if err := required("name", in.Name, "definition", in.Definition, "roleArn", in.RoleArn); err != nil {
		return nil, err
	}
	m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{
		Name: in.Name, Definition: in.Definition, RoleARN: in.RoleArn, Type: in.Type,
		Settings: in.settings(), Tags: in.Tags, Publish: in.Publish, Description: in.VersionDescription,
	})
	if err != nil {
		return nil, err
	}
	return &createStateMachineOut{m.ARN, epoch(m.Created), m.VersionARN}, nil
}

type updateStateMachineIn struct {
	stateMachineIn
	Definition *string `json:"definition"`
	RoleArn    *string `json:"roleArn"`
	configurations
	Publish            bool   `json:"publish"`
	VersionDescription string `json:"versionDescription"`
}

type updateStateMachineOut struct {
	UpdateDate             epoch  `json:"updateDate"`
	RevisionID             string `json:"revisionId,omitempty"`
	StateMachineVersionArn string `json:"stateMachineVersionArn,omitempty"`
}

func updateStateMachine(ctx context.Context, e *engine.Engine, in *updateStateMachineIn) (*updateStateMachineOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	m, err := e.Catalog().UpdateMachine(ctx, in.StateMachineArn, catalog.MachineUpdate{
		Definition: in.Definition, RoleARN: in.RoleArn, Publish: in.Publish, Description: in.VersionDescription,
		Settings: in.settings(),
	})
	if err != nil {
		return nil, err
	}
	return &updateStateMachineOut{epoch(m.Updated), m.Revision.ID, m.VersionARN}, nil
}

func deleteStateMachine(ctx context.Context, e *engine.Engine, in *stateMachineIn) (*empty, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	return &empty{}, e.Catalog().DeleteMachine(ctx, in.StateMachineArn)
}

type describeStateMachineOut struct {
	StateMachineArn string `json:"stateMachineArn"`
	Name            string `json:"name"`
	Status          string `json:"status"`
	Definition      string `json:"definition"`
	RoleArn         string `json:"roleArn"`
	Type            string `json:"type"`
	CreationDate    epoch  `json:"creationDate"`
	configurations
	VariableReferences map[string][]string `json:"variableReferences,omitempty"`
	RevisionID         string              `json:"revisionId,omitempty"`
	Description        string              `json:"description,omitempty"`
}

// shown are a state machine's settings in an answer.
func shown(s catalog.Settings) configurations {
	s = s.Shown()
	return configurations{s.Logging, s.Tracing, s.Encryption}
}

// variableReferences are the variables that each state refers to.
func variableReferences(definition string) map[string][]string {
	m, err := asl.ParseStored([]byte(definition))
	if err != nil { // of an earlier release, that took it
		return nil
	}
	return m.VariableReferences
}

func describeStateMachine(ctx context.Context, e *engine.Engine, in *stateMachineIn) (*describeStateMachineOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	m, err := e.Catalog().DescribeMachine(ctx, in.StateMachineArn)
	if err != nil {
		return nil, err
	}
	return &describeStateMachineOut{
		StateMachineArn: m.ARN, Name: m.Name, Status: m.Status, Definition: m.Revision.Definition, RoleArn: m.Revision.RoleARN,
		Type: m.Type, CreationDate: epoch(m.Created), RevisionID: m.Revision.ID,
		configurations: shown(m.Settings), VariableReferences: variableReferences(m.Revision.Definition), Description: m.Description,
	}, nil
}

type listIn struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

type stateMachineItem struct {
	StateMachineArn string `json:"stateMachineArn"`
	Name            string `json:"name"`
	Type            string `json:"type"`
	CreationDate    epoch  `json:"creationDate"`
}

type listStateMachinesOut struct {
	StateMachines []stateMachineItem `json:"stateMachines"`
	NextToken     string             `json:"nextToken,omitempty"`
}

func listStateMachines(ctx context.Context, e *engine.Engine, in *listIn) (*listStateMachinesOut, error) {
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	after, err := readToken(in.NextToken, "machines")
	if err != nil {
		return nil, err
	}
	found, err := e.Catalog().ListMachines(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listStateMachinesOut{StateMachines: []stateMachineItem{}}
	for i, m := range found {
		if i == limit {
			out.NextToken = newToken("machines", found[i-1].Name)
			break
		}
		out.StateMachines = append(out.StateMachines, stateMachineItem{m.ARN, m.Name, m.Type, epoch(m.Created)})
	}
	return out, nil
}

type startExecutionIn struct {
	stateMachineIn
	Name        string  `json:"name"`
	Input       *string `json:"input"`
	TraceHeader string  `json:"traceHeader"`
}

// input is the execution's, {} where none was given. An empty text is not JSON.
func (in *startExecutionIn) input() (string, error) {
	switch {
	case in.Input == nil:
		return "{}", nil
	case *in.Input == "":
		return "", apierror.New(apierror.CodeInvalidExecutionInput, "Invalid State Machine Execution Input: 'the input is empty'")
	default:
		return *in.Input, nil
	}
}

type startExecutionOut struct {
	ExecutionArn string `json:"executionArn"`
	StartDate    epoch  `json:"startDate"`
}

func startExecution(ctx context.Context, e *engine.Engine, in *startExecutionIn) (*startExecutionOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	input, err := in.input()
	if err != nil {
		return nil, err
	}
	started, err := e.StartExecution(ctx, engine.Start{
		MachineARN: in.StateMachineArn, Name: in.Name, Input: input, TraceHeader: in.TraceHeader,
	})
	if err != nil {
		return nil, err
	}
	return &startExecutionOut{started.ExecutionARN, epoch(started.StartDate)}, nil
}

type executionIn struct {
	ExecutionArn string `json:"executionArn"`
}

type stopExecutionIn struct {
	executionIn
	Error string `json:"error"`
	Cause string `json:"cause"`
}

type stopExecutionOut struct {
	StopDate epoch `json:"stopDate"`
}

func stopExecution(ctx context.Context, e *engine.Engine, in *stopExecutionIn) (*stopExecutionOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	stopped, err := e.StopExecution(ctx, in.ExecutionArn, in.Error, in.Cause)
	if err != nil {
		return nil, err
	}
	return &stopExecutionOut{epoch(stopped)}, nil
}

type included struct {
	Included bool `json:"included"`
}

type describeExecutionOut struct {
	ExecutionArn    string    `json:"executionArn"`
	StateMachineArn string    `json:"stateMachineArn"`
	VersionArn      string    `json:"stateMachineVersionArn,omitempty"`
	AliasArn        string    `json:"stateMachineAliasArn,omitempty"`
	MapRunArn       string    `json:"mapRunArn,omitempty"`
	Name            string    `json:"name"`
	Status          string    `json:"status"`
	StartDate       epoch     `json:"startDate"`
	StopDate        epoch     `json:"stopDate,omitempty"`
	Input           string    `json:"input"`
	InputDetails    included  `json:"inputDetails"`
	Output          *string   `json:"output,omitempty"`
	OutputDetails   *included `json:"outputDetails,omitempty"`
	TraceHeader     string    `json:"traceHeader,omitempty"`
	Error           string    `json:"error,omitempty"`
	Cause           string    `json:"cause,omitempty"`
	RedriveCount    int       `json:"redriveCount"`
	RedriveDate     epoch     `json:"redriveDate,omitempty"`
	RedriveStatus   string    `json:"redriveStatus"`
	RedriveReason   string    `json:"redriveStatusReason,omitempty"`
}

func describeExecution(ctx context.Context, e *engine.Engine, in *executionIn) (*describeExecutionOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	x, err := e.DescribeExecution(ctx, in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	out := &describeExecutionOut{
		ExecutionArn: x.ARN, StateMachineArn: x.MachineARN, Name: x.Name, Status: x.Status.String(),
		StartDate: epoch(x.Started), StopDate: epoch(x.Stopped), Input: string(x.Input), InputDetails: included{true},
		TraceHeader: x.TraceHeader, Error: x.Error, Cause: x.Cause, MapRunArn: x.MapRunARN,
		VersionArn: x.VersionARN, AliasArn: x.AliasARN,
		RedriveCount: x.Redrives, RedriveDate: epoch(x.Redriven), RedriveStatus: "REDRIVABLE", RedriveReason: x.NotRedrivable,
	}
	switch {
	case x.NotRedrivable != "":
		out.RedriveStatus = "NOT_REDRIVABLE"
	case x.ByMapRun:
		out.RedriveStatus = "REDRIVABLE_BY_MAP_RUN"
	}
	if x.Output != nil {
		output := string(x.Output)
		out.Output, out.OutputDetails = &output, &included{true}
	}
	return out, nil
}

type listExecutionsIn struct {
	stateMachineIn
	mapRunIn
	listIn
	StatusFilter string `json:"statusFilter"`
}

type executionItem struct {
	ExecutionArn    string `json:"executionArn"`
	StateMachineArn string `json:"stateMachineArn"`
	VersionArn      string `json:"stateMachineVersionArn,omitempty"`
	AliasArn        string `json:"stateMachineAliasArn,omitempty"`
	Name            string `json:"name"`
	Status          string `json:"status"`
	StartDate       epoch  `json:"startDate"`
	StopDate        epoch  `json:"stopDate,omitempty"`
	RedriveCount    int    `json:"redriveCount"`
	RedriveDate     epoch  `json:"redriveDate,omitempty"`
	// These two are for child executions of a Map run.
	MapRunArn string `json:"mapRunArn,omitempty"`
	ItemCount int64  `json:"itemCount,omitempty"`
}

type listExecutionsOut struct {
	Executions []executionItem `json:"executions"`
	NextToken  string          `json:"nextToken,omitempty"`
}

func listExecutions(ctx context.Context, e *engine.Engine, in *listExecutionsIn) (*listExecutionsOut, error) {
	if (in.StateMachineArn == "") == (in.MapRunArn == "") {
		return nil, &apierror.Error{Code: apierror.CodeValidation, Message: "either 'stateMachineArn' or 'mapRunArn' must be given, and not both"}
	}
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	list := "executions " + in.StateMachineArn + in.MapRunArn + " " + in.StatusFilter
	before, err := readIDToken(in.NextToken, list)
	if err != nil {
		return nil, err
	}
	var filter *store.Status
	if in.StatusFilter != "" {
		status, ok := store.ParseStatus(in.StatusFilter)
		if !ok {
			return nil, apierror.NotOneOf("statusFilter", in.StatusFilter, "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
		}
		if status == store.PendingRedrive && in.MapRunArn == "" {
			return nil, &apierror.Error{Code: apierror.CodeValidation, Message: "'statusFilter' can be PENDING_REDRIVE only with 'mapRunArn'"}
		}
		filter = &status
	}
	of, from := e.ListExecutions, in.StateMachineArn
	if in.MapRunArn != "" {
		of, from = e.ListChildren, in.MapRunArn
	}
	found, err := of(ctx, from, filter, before, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listExecutionsOut{Executions: []executionItem{}}
	for i, x := range found {
		if i == limit {
			out.NextToken = newToken(list, strconv.FormatInt(found[i-1].ID, 10))
			break
		}
		out.Executions = append(out.Executions, executionItem{
			ExecutionArn: x.ARN, StateMachineArn: x.MachineARN, Name: x.Name, Status: x.Status.String(),
			StartDate: epoch(x.Started), StopDate: epoch(x.Stopped), VersionArn: x.VersionARN, AliasArn: x.AliasARN,
			RedriveCount: x.Redrives, RedriveDate: epoch(x.Redriven), MapRunArn: x.MapRunARN, ItemCount: x.Items,
		})
	}
	return out, nil
}

type describeStateMachineForExecutionOut struct {
	StateMachineArn string `json:"stateMachineArn"`
	Name            string `json:"name"`
	Definition      string `json:"definition"`
	RoleArn         string `json:"roleArn"`
	UpdateDate      epoch  `json:"updateDate"`
	configurations
	VariableReferences map[string][]string `json:"variableReferences,omitempty"`
	RevisionID         string              `json:"revisionId,omitempty"`
	MapRunArn          string              `json:"mapRunArn,omitempty"`
	Label              string              `json:"label,omitempty"`
}

func describeStateMachineForExecution(ctx context.Context, e *engine.Engine, in *executionIn) (*describeStateMachineForExecutionOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	m, err := e.MachineOf(ctx, in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x, err := e.DescribeExecution(ctx, in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	_, label, _ := strings.Cut(m.Name, "/") // of a Map run's children
	return &describeStateMachineForExecutionOut{
		StateMachineArn: m.ARN, Name: m.Name, Definition: m.Revision.Definition, RoleArn: m.Revision.RoleARN,
		UpdateDate: epoch(m.Updated), RevisionID: m.Revision.ID, MapRunArn: x.MapRunARN, Label: label,
		configurations: shown(m.Settings), VariableReferences: variableReferences(m.Revision.Definition),
	}, nil
}
