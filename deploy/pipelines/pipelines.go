// Package pipelines holds the state machines that ship with Switchyard.
package pipelines

import _ "embed"

// Test is the per-commit test run: one build of exactly the commit.
//
//go:embed test.asl.json
var Test []byte
