package api

import (
	"context"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/engine"
	"switchyard/asl/run"
)

type testStateIn struct {
	Definition      string `json:"definition"`
	StateName       string `json:"stateName"`
	RoleArn         string `json:"roleArn"`
	Input           string `json:"input"`
	InspectionLevel string `json:"inspectionLevel"`
	RevealSecrets   bool   `json:"revealSecrets"`
	Variables       string `json:"variables"`
	Context         string `json:"context"`
	Mock            *struct {
		Result      *string `json:"result"`
		ErrorOutput *struct {
			Error string `json:"error"`
			Cause string `json:"cause"`
		} `json:"errorOutput"`
		FieldValidationMode string `json:"fieldValidationMode"`
	} `json:"mock"`
	StateConfiguration struct {
		RetrierRetryCount int `json:"retrierRetryCount"`
	} `json:"stateConfiguration"`
}

type errorDetails struct {
	CatchIndex *int `json:"catchIndex,omitempty"`
	RetryIndex *int `json:"retryIndex,omitempty"`
	Backoff    *int `json:"retryBackoffIntervalSeconds,omitempty"`
}

type inspectionData struct {
	Input               string        `json:"input,omitempty"`
	AfterInputPath      string        `json:"afterInputPath,omitempty"`
	AfterParameters     string        `json:"afterParameters,omitempty"`
	AfterArguments      string        `json:"afterArguments,omitempty"`
	Result              string        `json:"result,omitempty"`
	AfterResultSelector string        `json:"afterResultSelector,omitempty"`
	AfterResultPath     string        `json:"afterResultPath,omitempty"`
	Variables           string        `json:"variables,omitempty"`
	ErrorDetails        *errorDetails `json:"errorDetails,omitempty"`
}

type testStateOut struct {
	Status         string          `json:"status"`
	Output         string          `json:"output,omitempty"`
	NextState      string          `json:"nextState,omitempty"`
	Error          string          `json:"error,omitempty"`
	Cause          string          `json:"cause,omitempty"`
	InspectionData *inspectionData `json:"inspectionData,omitempty"`
}

func testState(ctx context.Context, e *engine.Engine, in *testStateIn) (*testStateOut, error) {
	if err := required("definition", in.Definition); err != nil {
		return nil, err
	}
	switch in.InspectionLevel {
	case "", "INFO", "DEBUG", "TRACE":
	default:
		return nil, apierror.NotOneOf("inspectionLevel", in.InspectionLevel, "INFO", "DEBUG", "TRACE")
	}
	if n := in.StateConfiguration.RetrierRetryCount; n < 0 {
		return nil, invalid("Value '%d' at 'stateConfiguration.retrierRetryCount' failed to satisfy constraint: Member must have value greater than or equal to 0", n)
	}
	t := engine.StateTest{
		Definition: in.Definition, StateName: in.StateName, RoleARN: in.RoleArn, Input: in.Input,
		Variables: in.Variables, Context: in.Context, RetryCount: in.StateConfiguration.RetrierRetryCount, RevealSecrets: in.RevealSecrets,
	}
	if in.Mock != nil {
		t.Mock = &engine.StateMock{Result: in.Mock.Result}
		if out := in.Mock.ErrorOutput; out != nil {
			t.Mock.Failure = &asl.Error{Name: out.Error, Cause: out.Cause}
		}
	}
	r, err := e.TestState(ctx, t)
	if err != nil {
		return nil, err
	}
	out := &testStateOut{Status: r.Status, Output: r.Output, NextState: r.Next, Error: r.Error, Cause: r.Cause}
	if in.InspectionLevel == "DEBUG" || in.InspectionLevel == "TRACE" {
		out.InspectionData = inspection(&r.Inspection)
	}
	return out, nil
}

func inspection(d *run.Inspection) *inspectionData {
	data := &inspectionData{
		Input: d.Input, AfterInputPath: d.AfterInputPath, AfterParameters: d.AfterParameters, AfterArguments: d.AfterArguments, Result: d.Result,
		AfterResultSelector: d.AfterResultSelector, AfterResultPath: d.AfterResultPath, Variables: d.Variables,
	}
	switch {
	case d.CatchIndex >= 0:
		data.ErrorDetails = &errorDetails{CatchIndex: &d.CatchIndex}
	case d.RetryIndex >= 0:
		data.ErrorDetails = &errorDetails{RetryIndex: &d.RetryIndex, Backoff: &d.Backoff}
	}
	return data
}
