package main

import (
	"cmp"
	"fmt"
	"strings"

	"switchyard/asl/integration"
	"switchyard/internal/awsmodel"
)

// service is one that Step Functions has optimised integrations for.
type service struct {
	name string
	// models are botocore's names of its models: the action is looked for in each.
	models []string
	// actions are what it can do, each with what may follow it.
	actions string
	// input names the operation that takes the same parameters as the action,
	// where that is not the action itself; "-" where no model tells them.
	input map[string]string
	// json and any are those of an action.
	json, any map[string][]string
}

// The services are those of the Step Functions developer guide,
// https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html,
// each with the actions that its page there lists.
var optimized = []service{
	{name: "apigateway", actions: "invoke.waitForTaskToken", input: unmodelled("invoke")},
	{name: "athena", models: []string{"athena"}, actions: "startQueryExecution.sync stopQueryExecution getQueryExecution getQueryResults"},
	{name: "batch", models: []string{"batch"}, actions: "submitJob.sync"},
	{
		name: "bedrock", models: []string{"bedrock", "bedrock-runtime"}, actions: "createModelCustomizationJob.sync invokeModel.waitForTaskToken",
		json: map[string][]string{"invokeModel": {"/Body"}}, any: map[string][]string{"invokeModel": {"Input", "Output"}},
	},
	{name: "bedrockagentcore", models: []string{"bedrock-agentcore"}, actions: "invokeHarness"},
	{
		name: "codebuild", models: []string{"codebuild"},
		actions: "startBuild.sync stopBuild batchDeleteBuilds batchGetReports startBuildBatch.sync stopBuildBatch retryBuildBatch.sync deleteBuildBatch",
	},
	{name: "databrew", models: []string{"databrew"}, actions: "startJobRun.sync"},
	{name: "dynamodb", models: []string{"dynamodb"}, actions: "getItem putItem deleteItem updateItem"},
	{name: "ecs", models: []string{"ecs"}, actions: "runTask.sync.waitForTaskToken"},
	{
		name: "eks", models: []string{"eks"},
		actions: "createCluster.sync deleteCluster.sync createFargateProfile.sync deleteFargateProfile.sync createNodegroup.sync deleteNodegroup.sync" +
			" call runJob.sync.waitForTaskToken",
		input: unmodelled("call", "runJob"),
	},
	{
		name: "elasticmapreduce", models: []string{"emr"},
		actions: "createCluster.sync setClusterTerminationProtection terminateCluster.sync addStep.sync cancelStep" +
			" modifyInstanceFleetByName modifyInstanceGroupByName",
		// The others take one cluster and one step where the service takes lists.
		input: map[string]string{
			"createCluster": "RunJobFlow", "setClusterTerminationProtection": "-", "terminateCluster": "-", "addStep": "-", "cancelStep": "-",
			"modifyInstanceFleetByName": "-", "modifyInstanceGroupByName": "-",
		},
	},
	{name: "emr-containers", models: []string{"emr-containers"}, actions: "createVirtualCluster deleteVirtualCluster.sync startJobRun.sync"},
	{
		name: "emr-serverless", models: []string{"emr-serverless"},
		actions: "createApplication.sync startApplication.sync stopApplication.sync deleteApplication.sync startJobRun.sync cancelJobRun.sync",
	},
	{name: "events", models: []string{"events"}, actions: "putEvents.waitForTaskToken", json: map[string][]string{"putEvents": {"/Entries/Detail"}}},
	{name: "glue", models: []string{"glue"}, actions: "startJobRun.sync"},
	{name: "http", actions: "invoke", input: unmodelled("invoke")},
	{name: "lambda", models: []string{"lambda"}, actions: "invoke.waitForTaskToken", json: map[string][]string{"invoke": {"/Payload"}}},
	{name: "mediaconvert", models: []string{"mediaconvert"}, actions: "createJob.sync"},
	{
		name: "sagemaker", models: []string{"sagemaker"},
		actions: "createEndpoint createEndpointConfig createHyperParameterTuningJob.sync createLabelingJob.sync createModel" +
			" createProcessingJob.sync createTrainingJob.sync createTransformJob.sync updateEndpoint",
	},
	{name: "sns", models: []string{"sns"}, actions: "publish.waitForTaskToken", json: map[string][]string{"publish": {"/Message"}}},
	{name: "sqs", models: []string{"sqs"}, actions: "sendMessage.waitForTaskToken", json: map[string][]string{"sendMessage": {"/MessageBody"}}},
	{
		name: "states", models: []string{"stepfunctions"}, actions: "startExecution.sync.sync:2.waitForTaskToken",
		json: map[string][]string{"startExecution": {"/Input"}},
	},
}

func unmodelled(actions ...string) map[string]string {
	none := map[string]string{}
	for _, name := range actions {
		none[name] = "-"
	}
	return none
}

// optimizedEntries are those of service:action.
func optimizedEntries(data string) ([]entry, error) {
	var entries []entry
	for _, s := range optimized {
		text, err := s.entry(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		entries = append(entries, entry{s.name, text})
	}
	return entries, nil
}

func (s service) entry(data string) (string, error) {
	var models []*awsmodel.Model
	for _, name := range s.models {
		m, err := awsmodel.Load(data, name)
		if err != nil {
			return "", err
		}
		models = append(models, m)
	}
	w := &writer{named: optimizedNames}
	for _, text := range strings.Fields(s.actions) {
		parts := strings.Split(text, ".")
		a := action{name: parts[0], patterns: parts[1:], json: s.json[parts[0]], any: s.any[parts[0]]}
		operation := cmp.Or(s.input[a.name], integration.UpperFirst(a.name))
		if operation == "-" {
			w.unknown(a)
			continue
		}
		var op *awsmodel.Operation
		for _, m := range models {
			if found := m.Operations[operation]; found != nil {
				w.model, op = m, found
			}
		}
		if op == nil {
			return "", fmt.Errorf("no model has the operation %s", operation)
		}
		a.input = op.Input
		w.operation(a)
	}
	return w.String(), nil
}
