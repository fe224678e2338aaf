package dashboard

import (
	"crypto/sha256"
	"sync"

	"switchyard/asl"
	"switchyard/asl/graph"
	"switchyard/dispatch"
)

// maxDrawings is how many pictures are kept: each costs some milliseconds to lay out,
// and many executions run the same state machine.
const maxDrawings = 64

// drawings keeps the layouts of definitions.
type drawings struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*graph.Drawing
}

// of lays a definition out, unless that was done before. A definition that this
// parser or layout trips over is an error.
func (d *drawings) of(definition string) (*graph.Drawing, error) {
	key := sha256.Sum256([]byte(definition))
	d.mu.Lock()
	found := d.all[key]
	d.mu.Unlock()
	if found != nil {
		return found, nil
	}
	err := dispatch.Guard(func() error {
		m, err := asl.Parse([]byte(definition))
		if err == nil {
			found = graph.Layout(m)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil || len(d.all) >= maxDrawings {
		d.all = map[[sha256.Size]byte]*graph.Drawing{}
	}
	d.all[key] = found
	return found, nil
}
