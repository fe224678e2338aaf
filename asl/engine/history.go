package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"switchyard/asl/store"
)

// history collects the events of one execution between two flushes, in the
// form in which they are stored. It is written to by the goroutine that
// advances the execution, so that an event costs no allocation of its own.
//
// A segment is, for each event: type, distance to the previous event, time
// since the event before (the first one's since 1970), the fields it has, and
// these fields in the order of their bits. A data text that one of the last
// events had already (what a state gives out is what the next takes in) is
// written as the distance back to it.
type history struct {
	buf   []byte
	first int64 // ID of the segment's first event
	next  int64 // ID of the next event
	time  int64 // of the last event in buf

	recent [4]recentData
	turn   int
}

type recentData struct {
	text   string
	offset int
}

// reset begins a new segment.
func (h *history) reset() {
	h.buf = h.buf[:0]
	h.first = h.next
	h.time = 0
	clear(h.recent[:])
}

// empty reports whether nothing happened since the last flush.
func (h *history) empty() bool { return h.first == h.next }

// add appends e, whose ID it gives.
func (h *history) add(e *Event) int64 {
	e.ID = h.next
	h.next++
	b := h.buf
	b = append(b, byte(e.Type))
	b = binary.AppendUvarint(b, uint64(e.ID-e.Prev))
	b = binary.AppendVarint(b, e.Time-h.time)
	h.time = e.Time
	has, ref := e.Has, 0
	if has&HasData != 0 {
		for i := range h.recent {
			if r := &h.recent[i]; r.offset > 0 && r.text == e.Data {
				has |= dataIsRef
				ref = r.offset
				break
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(has))
	if has&HasName != 0 {
		b = appendText(b, e.Name)
	}
	if has&dataIsRef != 0 {
		b = binary.AppendUvarint(b, uint64(len(b)-ref))
	} else if has&HasData != 0 {
		h.recent[h.turn&3] = recentData{e.Data, len(b)}
		h.turn++
		b = appendText(b, e.Data)
	}
	if has&HasError != 0 {
		b = appendText(b, e.Error)
	}
	if has&HasCause != 0 {
		b = appendText(b, e.Cause)
	}
	if has&HasAssigned != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Assigned)))
		for _, a := range e.Assigned {
			b = appendText(appendText(b, a.Name), a.Value)
		}
	}
	if has&HasIndex != 0 {
		b = binary.AppendUvarint(b, uint64(e.Index))
	}
	if has&HasLength != 0 {
		b = binary.AppendUvarint(b, uint64(e.Length))
	}
	if has&HasResource != 0 {
		b = appendText(appendText(appendText(b, e.ResourceType), e.Resource), e.Region)
	}
	if has&HasTimeout != 0 {
		b = binary.AppendUvarint(b, uint64(e.Timeout))
	}
	if has&HasHeartbeat != 0 {
		b = binary.AppendUvarint(b, uint64(e.Heartbeat))
	}
	if has&HasARN != 0 {
		b = appendText(b, e.ARN)
	}
	h.buf = b
	return e.ID
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBadSegment = errors.New("history segment is damaged")

// decodeEvents reads the events of a segment.
func decodeEvents(seg store.Segment) ([]Event, error) {
	d := decoder{b: seg.Body}
	events := make([]Event, 0, max(0, min(seg.Last-seg.First+1, int64(len(seg.Body)))))
	var time int64
	for id := seg.First; id <= seg.Last; id++ {
		e := Event{ID: id, Type: EventType(d.byte())}
		e.Prev = id - d.int()
		time += d.varint()
		e.Time = time
		e.Has = EventHas(d.int())
		if e.Has&HasName != 0 {
			e.Name = d.text()
		}
		if e.Has&dataIsRef != 0 {
			at := d.i
			back := d.int()
			if back <= 0 || back > int64(at) {
				d.bad = true
				back = 0
			}
			e.Data = (&decoder{b: d.b, i: at - int(back), bad: d.bad}).text()
			e.Has &^= dataIsRef
		} else if e.Has&HasData != 0 {
			e.Data = d.text()
		}
		if e.Has&HasError != 0 {
			e.Error = d.text()
		}
		if e.Has&HasCause != 0 {
			e.Cause = d.text()
		}
		if e.Has&HasAssigned != 0 {
			for range d.count() {
				e.Assigned = append(e.Assigned, Assigned{d.text(), d.text()})
			}
		}
		if e.Has&HasIndex != 0 {
			e.Index = d.int()
		}
		if e.Has&HasLength != 0 {
			e.Length = d.int()
		}
		if e.Has&HasResource != 0 {
			e.ResourceType, e.Resource, e.Region = d.text(), d.text(), d.text()
		}
		if e.Has&HasTimeout != 0 {
			e.Timeout = d.int()
		}
		if e.Has&HasHeartbeat != 0 {
			e.Heartbeat = d.int()
		}
		if e.Has&HasARN != 0 {
			e.ARN = d.text()
		}
		if d.bad {
			return nil, fmt.Errorf("decode event %d: %w", id, errBadSegment)
		}
		events = append(events, e)
	}
	return events, nil
}

// decoder reads what the Append functions of this package wrote. After the
// first thing that can't be read bad is true and everything reads as zero.
type decoder struct {
	b   []byte
	i   int
	bad bool
}

func (d *decoder) byte() byte {
	if d.bad || d.i >= len(d.b) {
		d.bad = true
		return 0
	}
	d.i++
	return d.b[d.i-1]
}

func (d *decoder) int() int64 {
	if d.bad {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.i:])
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.i += n
	return int64(v)
}

func (d *decoder) varint() int64 {
	if d.bad {
		return 0
	}
	v, n := binary.Varint(d.b[d.i:])
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.i += n
	return v
}

// count reads the length of a list; no list is longer than the bytes left.
func (d *decoder) count() int {
	n := d.int()
	if n < 0 || n > int64(len(d.b)-d.i) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	if d.bad {
		return ""
	}
	s := string(d.b[d.i : d.i+n])
	d.i += n
	return s
}
