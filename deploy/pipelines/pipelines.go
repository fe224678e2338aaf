// Package pipelines holds the state machines that ship with Switchyard.
package pipelines

import _ "embed"

// Test is the per-commit test run: one build of exactly the commit.
//
//go:embed test.asl.json
var Test []byte

// Approval asks people before a commit goes out, and escalates once.
//
//go:embed approval/approval.asl.json
var Approval []byte
