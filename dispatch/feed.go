package dispatch

import (
	"slices"
	"sync"
)

// feed hands changes to whoever watches.
type feed struct {
	mu      sync.Mutex
	readers []chan Change
}

func (f *feed) subscribe(buffer int) (<-chan Change, func()) {
	c := make(chan Change, max(buffer, 1))
	f.mu.Lock()
	f.readers = append(f.readers, c)
	f.mu.Unlock()
	var once sync.Once
	return c, func() {
		once.Do(func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.readers = slices.DeleteFunc(f.readers, func(r chan Change) bool { return r == c })
			close(c)
		})
	}
}

func (f *feed) publish(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.readers {
		select {
		case r <- c:
		default: // it reads the execution again anyway
		}
	}
}
