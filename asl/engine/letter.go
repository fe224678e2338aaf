package engine

import (
	"switchyard/asl/run"
)

// letter is what reaches an execution from outside.
type letter struct {
	message run.Message // nil to let the execution be looked at
	// ended is closed once the execution has ended durably.
	ended chan struct{}
	// running is told whether the execution runs.
	running chan<- bool
	// unless, when not nil, is asked before the message is handed over: when it
	// is true, refused is called instead.
	unless  func() bool
	refused func()
	// answer is called when what follows from the message is durable; in its
	// place gone is called when the execution has ended, or (there is false)
	// never was.
	answer func(run.Reply)
	gone   func(there bool)
}

// post gives an execution a letter; one that is not in memory is loaded.
func (e *Engine) post(id int64, l letter) {
	for {
		e.liveMu.Lock()
		x := e.live[id]
		if x == nil {
			x = &execution{e: e, id: id}
			e.live[id] = x
		}
		e.liveMu.Unlock()
		if x.post(l) {
			return
		}
	}
}

func (x *execution) post(l letter) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return false
	}
	x.inbox = append(x.inbox, l)
	if !x.busy {
		x.busy = true
		x.e.hold()
		x.e.queue.push(x)
	}
	return true
}
