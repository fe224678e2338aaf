package history

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxEvents is how many events Step Functions lets an execution have.
// Source: Step Functions developer guide, "Quotas".
const MaxEvents = 25_000

// Segment is a run of events in the form in which they are stored: those with
// the IDs First to Last.
type Segment struct {
	First int64
	Last  int64
	Body  []byte
}

// Writer collects the events of one execution between two writes to the store,
// in the form in which they are stored, so that an event costs no allocation of
// its own. It is not safe for concurrent use.
//
// A segment is, for each event: type, distance to the previous event, time
// since the event before (the first one's since 1970), the fields it has, and
// these fields in the order of their bits. A data text that one of the last
// events had already (what a state gives out is what the next takes in) is
// written as the distance back to it.
type Writer struct {
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

// NewWriter returns a writer whose first event has the ID next.
func NewWriter(next int64) Writer { return Writer{first: next, next: next} }

// StartAt drops what was added and begins a new segment at the ID next.
func (w *Writer) StartAt(next int64) {
	w.next = next
	w.Reset()
}

// Next is the ID that the next event gets, First that of the segment's first.
func (w *Writer) Next() int64  { return w.next }
func (w *Writer) First() int64 { return w.first }

// Segment is what was added since the last Reset; it shares the writer's memory.
func (w *Writer) Segment() Segment { return Segment{First: w.first, Last: w.next - 1, Body: w.buf} }

// Reset begins a new segment.
func (w *Writer) Reset() {
	w.buf = w.buf[:0]
	w.first = w.next
	w.time = 0
	clear(w.recent[:])
}

// Empty reports whether nothing happened since the last Reset.
func (w *Writer) Empty() bool { return w.first == w.next }

// Add appends e, whose ID it gives.
func (w *Writer) Add(e *Event) int64 {
	e.ID = w.next
	w.next++
	b := w.buf
	b = append(b, byte(e.Type))
	b = binary.AppendUvarint(b, uint64(e.ID-e.Prev))
	b = binary.AppendVarint(b, e.Time-w.time)
	w.time = e.Time
	has, ref := e.Has, 0
	if has&HasData != 0 {
		for i := range w.recent {
			if r := &w.recent[i]; r.offset > 0 && r.text == e.Data {
				has |= dataIsRef
				ref = r.offset
				break
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(has))
	if has&HasName != 0 {
		b = AppendText(b, e.Name)
	}
	if has&dataIsRef != 0 {
		b = binary.AppendUvarint(b, uint64(len(b)-ref))
	} else if has&HasData != 0 {
		w.recent[w.turn&3] = recentData{e.Data, len(b)}
		w.turn++
		b = AppendText(b, e.Data)
	}
	if has&HasError != 0 {
		b = AppendText(b, e.Error)
	}
	if has&HasCause != 0 {
		b = AppendText(b, e.Cause)
	}
	if has&HasAssigned != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Assigned)))
		for _, a := range e.Assigned {
			b = AppendText(AppendText(b, a.Name), a.Value)
		}
	}
	if has&HasIndex != 0 {
		b = binary.AppendUvarint(b, uint64(e.Index))
	}
	if has&HasLength != 0 {
		b = binary.AppendUvarint(b, uint64(e.Length))
	}
	if has&HasResource != 0 {
		b = AppendText(AppendText(AppendText(b, e.ResourceType), e.Resource), e.Region)
	}
	if has&HasTimeout != 0 {
		b = binary.AppendUvarint(b, uint64(e.Timeout))
	}
	if has&HasHeartbeat != 0 {
		b = binary.AppendUvarint(b, uint64(e.Heartbeat))
	}
	if has&HasARN != 0 {
		b = AppendText(b, e.ARN)
	}
	w.buf = b
	return e.ID
}

// ErrDamaged says that a segment does not hold the events it should.
var ErrDamaged = errors.New("history segment is damaged")

// Decode reads the events of a segment.
func Decode(seg Segment) ([]Event, error) {
	d := NewDecoder(seg.Body)
	events := make([]Event, 0, max(0, min(seg.Last-seg.First+1, int64(len(seg.Body)))))
	var time int64
	for id := seg.First; id <= seg.Last; id++ {
		e := Event{ID: id, Type: Type(d.Byte())}
		e.Prev = id - d.Int()
		time += d.Varint()
		e.Time = time
		e.Has = Has(d.Int())
		if e.Has&HasName != 0 {
			e.Name = d.Text()
		}
		if e.Has&dataIsRef != 0 {
			at := d.i
			back := d.Int()
			if back <= 0 || back > int64(at) {
				d.Bad = true
				back = 0
			}
			e.Data = (&Decoder{b: d.b, i: at - int(back), Bad: d.Bad}).Text()
			e.Has &^= dataIsRef
		} else if e.Has&HasData != 0 {
			e.Data = d.Text()
		}
		if e.Has&HasError != 0 {
			e.Error = d.Text()
		}
		if e.Has&HasCause != 0 {
			e.Cause = d.Text()
		}
		if e.Has&HasAssigned != 0 {
			for range d.Count() {
				e.Assigned = append(e.Assigned, Assigned{d.Text(), d.Text()})
			}
		}
		if e.Has&HasIndex != 0 {
			e.Index = d.Int()
		}
		if e.Has&HasLength != 0 {
			e.Length = d.Int()
		}
		if e.Has&HasResource != 0 {
			e.ResourceType, e.Resource, e.Region = d.Text(), d.Text(), d.Text()
		}
		if e.Has&HasTimeout != 0 {
			e.Timeout = d.Int()
		}
		if e.Has&HasHeartbeat != 0 {
			e.Heartbeat = d.Int()
		}
		if e.Has&HasARN != 0 {
			e.ARN = d.Text()
		}
		if d.Bad {
			return nil, fmt.Errorf("decode event %d: %w", id, ErrDamaged)
		}
		events = append(events, e)
	}
	return events, nil
}
