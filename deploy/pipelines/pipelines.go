// Package pipelines holds the state machines that ship with Switchyard.
package pipelines

import _ "embed"

// Test is the per-commit test run: one build of exactly the commit.
//
//go:embed test/test.asl.json
var Test []byte

// Approval asks people before a commit goes out, and escalates once.
//
//go:embed approval/approval.asl.json
var Approval []byte

// Semaphore runs a state machine while it holds one of the slots of an
// environment; Sweep frees those of executions that have ended.
//
//go:embed semaphore/semaphore.asl.json
var Semaphore []byte

// Sweep see [Semaphore].
//
//go:embed semaphore/sweep.asl.json
var Sweep []byte

// CloudFormation deploys a stack by change sets, and refuses what would remove or
// replace resources, makes it beside or asks people.
//
//go:embed cloudformation/cloudformation.asl.json
var CloudFormation []byte

// Suites runs suites of tests for one commit, in every cell of a matrix.
//
//go:embed suites/suites.asl.json
var Suites []byte

// Deploy deploys components in parallel, those of [DefaultComponents].
//
//go:embed deploy/deploy.asl.json
var Deploy []byte

// Services deploys those of [DefaultComponents] that the input lists.
//
//go:embed services/services.asl.json
var Services []byte
