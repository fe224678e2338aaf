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

// Canary gives a new version of a Lambda function more and more of an alias's
// calls, as long as its metrics are good.
//
//go:embed canary/canary.asl.json
var Canary []byte
