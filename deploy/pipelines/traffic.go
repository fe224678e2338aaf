package pipelines

import _ "embed"

// BlueGreenLambda moves a Lambda alias to a new version, and back when an alarm
// goes off.
//
//go:embed blue-green/lambda.asl.json
var BlueGreenLambda []byte

// BlueGreenECS deploys a task definition to an ECS service, and takes it back when
// it fails or an alarm goes off.
//
//go:embed blue-green/ecs.asl.json
var BlueGreenECS []byte
