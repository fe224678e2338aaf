package status

import "switchyard/dispatch"

// MemOutbox is an outbox in memory for tests of the package's users.
type MemOutbox struct{ *memOutbox }

// NewMemOutbox returns an empty one.
func NewMemOutbox() MemOutbox { return MemOutbox{newOutbox()} }

// Want records a desired state of the commit that came as number seq.
func (o MemOutbox) Want(seq int64, s dispatch.Status) { o.want(seq, s) }

// Open counts what is neither posted nor refused.
func (o MemOutbox) Open() int { return o.open() }
