package pipelines

import _ "embed"

// MultiRegion deploys one commit to regions in waves.
//
//go:embed multi-region/multi-region.asl.json
var MultiRegion []byte

// Rehearsal rehearses a disaster in an environment of its own, which it tears down;
// RehearsalGuard does so where the rehearsal can't.
//
//go:embed rehearsal/rehearsal.asl.json
var Rehearsal []byte

// RehearsalGuard see [Rehearsal].
//
//go:embed rehearsal/guard.asl.json
var RehearsalGuard []byte
